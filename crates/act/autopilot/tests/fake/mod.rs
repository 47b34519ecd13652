//! An API server with one deployment, which keeps who owns which field.
//!
//! From the documentation of server-side apply: a manager owns the fields that it applied or changed; applying a field with another
//! value than it has, where another manager owns it, is a conflict (409) unless forced, and nothing changes; applying the value that
//! it has shares it; a field that a manager applied before and leaves out now loses that owner, and is removed when it was the last.
//! An update takes the fields whose values it changes from all others. Lists of containers and variables are maps by `name`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

/// The way to a field: `spec`, `replicas`; an item of a list is `[name=app]`.
type Way = Vec<String>;

struct Store {
    object: Value,
    /// Fields by manager and operation.
    owners: BTreeMap<(String, String), BTreeSet<Way>>,
    forced: bool,
}

#[derive(Clone)]
pub(crate) struct Api {
    url: String,
    store: Arc<Mutex<Store>>,
}

impl Api {
    pub(crate) async fn start() -> Api {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "generation": 1},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "app", "image": "web:1", "env": [{"name": "LEVEL", "value": "info"}], "resources": {"limits": {"cpu": "2"}}},
                {"name": "sidecar", "image": "proxy:3"},
            ]}}},
        });
        // Whoever made it did not say how many replicas: the server's default is nobody's.
        let mut owned = leaves(&object["spec"], &["spec".to_owned()]);
        owned.remove(&vec!["spec".to_owned(), "replicas".to_owned()]);
        let owners = BTreeMap::from([(("kubectl-create".to_owned(), "Update".to_owned()), owned)]);
        let store = Arc::new(Mutex::new(Store { object, owners, forced: false }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let path = "/apis/apps/v1/namespaces/shop/deployments/web";
        let router = Router::new().route(path, get(show).patch(patch)).with_state(store.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Api { url, store }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn object(&self) -> Value {
        self.store.lock().expect("whole").object.clone()
    }

    pub(crate) fn container(&self, name: &str) -> Value {
        let object = self.object();
        let containers = object["spec"]["template"]["spec"]["containers"].as_array().expect("a list").clone();
        containers.into_iter().find(|container| container["name"] == name).expect("a container")
    }

    /// Whether anybody ever applied by force.
    pub(crate) fn forced(&self) -> bool {
        self.store.lock().expect("whole").forced
    }

    /// Somebody else updates the object, in the name of `manager`.
    pub(crate) fn update(&self, manager: &str, change: impl FnOnce(&mut Value)) {
        let mut store = self.store.lock().expect("whole");
        let before = store.object.clone();
        change(&mut store.object);
        let after = store.object.clone();
        let changed: BTreeSet<Way> = leaves(&after["spec"], &["spec".to_owned()])
            .into_iter()
            .filter(|way| at(&before, way) != at(&after, way))
            .collect();
        for owned in store.owners.values_mut() {
            owned.retain(|way| !changed.contains(way));
        }
        store.owners.entry((manager.to_owned(), "Update".to_owned())).or_default().extend(changed);
        store.next_generation();
    }
}

impl Store {
    fn next_generation(&mut self) {
        let generation = self.object["metadata"]["generation"].as_i64().expect("a number") + 1;
        self.object["metadata"]["generation"] = json!(generation);
    }

    /// The object with its managed fields, and a status as if a controller had been at work: ten replicas fit.
    fn shown(&self) -> Value {
        let mut object = self.object.clone();
        let entry = |((manager, operation), ways): (&(String, String), &BTreeSet<Way>)| {
            let mut fields = json!({});
            for way in ways {
                let mut place = &mut fields;
                for step in way {
                    let key = match step.strip_prefix("[name=") {
                        Some(name) => format!("k:{}", json!({"name": name.trim_end_matches(']')})),
                        None => format!("f:{step}"),
                    };
                    place = place.as_object_mut().expect("an object").entry(key).or_insert(json!({}));
                }
            }
            json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
        };
        object["metadata"]["managedFields"] = self.owners.iter().map(entry).collect();
        let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
        object["status"] = json!({
            "observedGeneration": object["metadata"]["generation"], "replicas": wanted, "updatedReplicas": wanted,
            "availableReplicas": wanted.min(10),
        });
        object
    }

    fn apply(&mut self, manager: &str, force: bool, patch: &Value) -> Result<(), Vec<Value>> {
        let applied = leaves(&patch["spec"], &["spec".to_owned()]);
        let ours = (manager.to_owned(), "Apply".to_owned());
        let mut conflicts = Vec::new();
        for way in applied.iter().filter(|way| at(patch, way) != at(&self.object, way)) {
            for ((other, _), owned) in self.owners.iter().filter(|(owner, _)| **owner != ours) {
                if owned.contains(way) {
                    let message = format!("conflict with \"{other}\" using apps/v1");
                    conflicts.push(
                        json!({"reason": "FieldManagerConflict", "message": message, "field": shown(way)}),
                    );
                }
            }
        }
        if !conflicts.is_empty() && !force {
            return Err(conflicts);
        }
        let before = self.owners.get(&ours).cloned().unwrap_or_default();
        for way in before.difference(&applied) {
            if !self.owners.iter().any(|(owner, owned)| *owner != ours && owned.contains(way)) {
                remove(&mut self.object, way);
            }
        }
        for way in &applied {
            put(&mut self.object, way, at(patch, way).cloned().unwrap_or_default());
        }
        if self.object["spec"].get("replicas").is_none() {
            self.object["spec"]["replicas"] = json!(1);
        }
        self.owners.insert(ours, applied);
        self.next_generation();
        Ok(())
    }
}

async fn show(State(store): State<Arc<Mutex<Store>>>) -> Json<Value> {
    Json(store.lock().expect("whole").shown())
}

async fn patch(
    State(store): State<Arc<Mutex<Store>>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok());
    let Some(manager) = query.get("fieldManager").filter(|_| kind == Some("application/apply-patch+yaml"))
    else {
        let message = "fieldManager is required for apply patch";
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"kind": "Status", "message": message})))
            .into_response();
    };
    let patch: Value = serde_saphyr::from_str(&body).expect("YAML");
    assert_eq!((&patch["apiVersion"], &patch["kind"]), (&json!("apps/v1"), &json!("Deployment")));
    let force = query.get("force").is_some_and(|force| force == "true");
    let mut store = store.lock().expect("whole");
    store.forced |= force;
    match store.apply(manager, force, &patch) {
        Ok(()) => Json(store.shown()).into_response(),
        Err(causes) => {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409,
                "message": format!("Apply failed with {} conflict", causes.len()), "details": {"causes": causes},
            });
            (StatusCode::CONFLICT, Json(status)).into_response()
        }
    }
}

/// The ways to all values; the names of items of lists are their keys, and no values.
fn leaves(value: &Value, way: &[String]) -> BTreeSet<Way> {
    let deeper = |step: String, value: &Value| leaves(value, &[way, &[step]].concat());
    match value {
        Value::Object(fields) => {
            let item = way.last().is_some_and(|step| step.starts_with("[name="));
            let own = fields.iter().filter(|(name, _)| !(item && *name == "name"));
            own.flat_map(|(name, value)| deeper(name.clone(), value)).collect()
        }
        Value::Array(items) => items
            .iter()
            .flat_map(|item| deeper(format!("[name={}]", item["name"].as_str().expect("a name")), item))
            .collect(),
        Value::Null => BTreeSet::new(),
        _ => BTreeSet::from([way.to_vec()]),
    }
}

fn name_of(step: &str) -> Option<&str> {
    step.strip_prefix("[name=")?.strip_suffix(']')
}

fn at<'a>(object: &'a Value, way: &[String]) -> Option<&'a Value> {
    way.iter().try_fold(object, |place, step| match name_of(step) {
        Some(name) => place.as_array()?.iter().find(|item| item["name"] == name),
        None => place.get(step),
    })
}

fn put(object: &mut Value, way: &[String], value: Value) {
    let Some((step, rest)) = way.split_first() else {
        *object = value;
        return;
    };
    let place = match name_of(step) {
        Some(name) => {
            if !object.is_array() {
                *object = json!([]);
            }
            let items = object.as_array_mut().expect("a list");
            let place = items.iter().position(|item| item["name"] == name).unwrap_or_else(|| {
                items.push(json!({ "name": name }));
                items.len() - 1
            });
            &mut items[place]
        }
        None => {
            if !object.is_object() {
                *object = Value::Object(Map::new());
            }
            object.as_object_mut().expect("an object").entry(step.clone()).or_insert(Value::Null)
        }
    };
    put(place, rest, value);
}

/// Removes a value, and items of lists and objects of which it was the last.
fn remove(object: &mut Value, way: &[String]) {
    let Some((step, rest)) = way.split_first() else { return };
    match name_of(step) {
        Some(name) => {
            let Some(items) = object.as_array_mut() else { return };
            let Some(place) = items.iter().position(|item| item["name"] == name) else { return };
            remove(&mut items[place], rest);
            if items[place].as_object().is_some_and(|item| item.len() == 1) {
                items.remove(place);
            }
        }
        None if rest.is_empty() => {
            object.as_object_mut().map(|fields| fields.remove(step));
        }
        None => {
            if let Some(inner) = object.get_mut(step) {
                remove(inner, rest);
            }
        }
    }
}

fn shown(way: &[String]) -> String {
    let step = |step: &String| match name_of(step) {
        Some(name) => format!("[name=\"{name}\"]"),
        None => format!(".{step}"),
    };
    way.iter().map(step).collect()
}
