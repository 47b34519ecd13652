//! `__meta_kubernetes_*` labels.

use std::collections::BTreeMap;

use kandela_model::Labels;

use super::super::TargetGroup;
use super::Cluster;
use super::objects::Meta;

const PREFIX: &str = "__meta_kubernetes_";

/// Labels of a target or a group while they are collected.
#[derive(Clone, Debug, Default)]
pub(super) struct MetaLabels(BTreeMap<String, String>);

impl MetaLabels {
    /// Sets `__meta_kubernetes_<name>`.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(format!("{PREFIX}{name}"), value.into());
    }

    /// The same where there is a value.
    pub(super) fn set_some(&mut self, name: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Sets a label that is not Kubernetes' own.
    pub(super) fn set_plain(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Labels and annotations of an object, each with one that says that it is there.
    pub(super) fn set_object(&mut self, kind: &str, meta: &Meta) {
        for (name, value) in &meta.labels {
            let name = sanitized(name);
            self.set(&format!("{kind}_label_{name}"), value);
            self.set(&format!("{kind}_labelpresent_{name}"), "true");
        }
        for (name, value) in &meta.annotations {
            let name = sanitized(name);
            self.set(&format!("{kind}_annotation_{name}"), value);
            self.set(&format!("{kind}_annotationpresent_{name}"), "true");
        }
    }

    /// The same and the object's name.
    pub(super) fn set_named_object(&mut self, kind: &str, meta: &Meta) {
        self.set(&format!("{kind}_name"), &meta.name);
        self.set_object(kind, meta);
    }

    /// The object's namespace, and what is to be attached of it.
    pub(super) fn set_namespace(&mut self, meta: &Meta, cluster: &Cluster) {
        self.set("namespace", &meta.namespace);
        if cluster.attach.namespace
            && let Some(namespace) = cluster.namespaces.get("", &meta.namespace)
        {
            self.set_object("namespace", &namespace.metadata);
        }
    }

    /// What is to be attached of the node `name`.
    pub(super) fn attach_node(&mut self, name: &str, cluster: &Cluster) {
        if cluster.attach.node
            && let Some(node) = cluster.nodes.get("", name)
        {
            self.set_named_object("node", &node.metadata);
        }
    }

    /// Adds `others`, which win.
    pub(super) fn merge(&mut self, others: &Self) {
        self.0.extend(others.0.clone());
    }

    pub(super) fn build(self) -> Labels {
        // Keys of a map are different, and none is empty.
        Labels::new(self.0).unwrap_or_default()
    }
}

/// A group made from an object.
pub(super) fn group(kind: &str, meta: &Meta, labels: MetaLabels, targets: Vec<MetaLabels>) -> TargetGroup {
    let source = if meta.namespace.is_empty() {
        format!("{kind}/{}", meta.name)
    } else {
        format!("{kind}/{}/{}", meta.namespace, meta.name)
    };
    let targets = targets.into_iter().map(MetaLabels::build).collect();
    TargetGroup { source, targets, labels: labels.build() }
}

/// `name` with every character that a label's name can't have replaced by an underscore.
pub(super) fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
