//! Objects of one kind, kept as the cluster has them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::{Api, ApiError, Resource};
use super::objects::{Object, null_is_default};
use crate::scrape::status::lock;

/// Objects by `namespace/name`.
pub(super) struct Store<T> {
    objects: Mutex<BTreeMap<String, Arc<T>>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { objects: Mutex::default() }
    }
}

impl<T: Object> Store<T> {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        lock(&self.objects).get(&format!("{namespace}/{name}")).cloned()
    }

    /// All, by namespace and name.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        lock(&self.objects).values().cloned().collect()
    }

    pub(super) fn insert(&self, object: T) {
        lock(&self.objects).insert(key(&object), Arc::new(object));
    }

    fn remove(&self, object: &T) {
        lock(&self.objects).remove(&key(object));
    }

    /// Puts `listed` in the place of all objects of `namespace`, or of all.
    fn replace(&self, namespace: Option<&str>, listed: Vec<T>) {
        let mut objects = lock(&self.objects);
        match namespace {
            Some(namespace) => objects.retain(|_, object| object.meta().namespace != namespace),
            None => objects.clear(),
        }
        objects.extend(listed.into_iter().map(|object| (key(&object), Arc::new(object))));
    }
}

fn key<T: Object>(object: &T) -> String {
    let meta = object.meta();
    format!("{}/{}", meta.namespace, meta.name)
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct List<T> {
    metadata: ListMeta,
    #[serde(default, deserialize_with = "null_is_default")]
    items: Vec<T>,
}

#[derive(Deserialize)]
struct ListMeta {
    #[serde(rename = "resourceVersion")]
    version: String,
    #[serde(default, rename = "continue")]
    token: String,
}

/// An event of a watch. The object is read once the type is known: a `BOOKMARK` and an `ERROR` hold none of ours.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
}

#[derive(Deserialize)]
struct Version {
    metadata: VersionMeta,
}

#[derive(Deserialize)]
struct VersionMeta {
    #[serde(rename = "resourceVersion")]
    version: String,
}

/// Lists the resource into `store` and applies what changes, calling `changed` after each step. Returns when the cluster
/// wants it listed anew.
pub(super) async fn follow<T: Object>(
    api: &Api,
    resource: &Resource,
    store: &Store<T>,
    mut changed: impl FnMut(),
) -> Result<(), String> {
    let mut version = match list(api, resource, store).await {
        Ok(version) => version,
        Err(ApiError::Gone) => return Ok(()),
        Err(ApiError::Failed(reason)) => return Err(reason),
    };
    changed();
    loop {
        let mut watch = match api.watch(resource, &version).await {
            Ok(watch) => watch,
            Err(ApiError::Gone) => return Ok(()),
            Err(ApiError::Failed(reason)) => return Err(reason),
        };
        while let Some(line) = watch.next().await? {
            let event: Event<'_> =
                serde_json::from_slice(&line).map_err(|error| format!("in an event: {error}"))?;
            if event.kind == "ERROR" {
                tracing::debug!(
                    resource = resource.kind,
                    error = event.object.get(),
                    "the watch starts anew"
                );
                return Ok(());
            }
            let json = event.object.get();
            let failed = |error: serde_json::Error| format!("in an event of type {}: {error}", event.kind);
            version = serde_json::from_str::<Version>(json).map_err(failed)?.metadata.version;
            match event.kind.as_str() {
                "ADDED" | "MODIFIED" => store.insert(serde_json::from_str(json).map_err(failed)?),
                "DELETED" => store.remove(&serde_json::from_str(json).map_err(failed)?),
                _ => continue,
            }
            changed();
        }
    }
}

/// Lists the resource into `store`; the version to watch from.
async fn list<T: Object>(api: &Api, resource: &Resource, store: &Store<T>) -> Result<String, ApiError> {
    let mut token = String::new();
    let mut listed = Vec::new();
    loop {
        let page = api.list(resource, &token).await?;
        let page: List<T> = serde_json::from_slice(&page)
            .map_err(|error| format!("in the list of {}: {error}", resource.kind))?;
        listed.extend(page.items);
        token = page.metadata.token;
        if token.is_empty() {
            store.replace(resource.namespace.as_deref(), listed);
            return Ok(page.metadata.version);
        }
    }
}
