//! The parts of Kubernetes' objects that become labels (Kubernetes API reference, v1).

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// An object with metadata.
pub(super) trait Object: DeserializeOwned + Send + Sync + 'static {
    fn meta(&self) -> &Meta;
}

/// Kubernetes writes an empty list or map as `null` at times.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Declares objects whose every field may be missing or null.
macro_rules! objects {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, Default, Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            pub(super) struct $name {
                $(
                    #[serde(deserialize_with = "null_is_default")]
                    pub(super) $field: $type,
                )*
            }
        )*
    };
}

objects! {
    /// What every object has.
    Meta {
        name: String,
        namespace: String,
        uid: String,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
        owner_references: Vec<OwnerReference>,
    }
    OwnerReference { kind: String, name: String, controller: bool, }
    ObjectReference { kind: String, name: String, namespace: String, }

    Namespace { metadata: Meta, }

    Node { metadata: Meta, spec: NodeSpec, status: NodeStatus, }
    NodeStatus { addresses: Vec<NodeAddress>, daemon_endpoints: DaemonEndpoints, }
    NodeAddress { r#type: String, address: String, }
    DaemonEndpoints { kubelet_endpoint: DaemonEndpoint, }

    Pod { metadata: Meta, spec: PodSpec, status: PodStatus, }
    PodSpec { node_name: String, containers: Vec<Container>, init_containers: Vec<Container>, }
    Container { name: String, image: String, ports: Vec<ContainerPort>, }
    ContainerPort { name: String, container_port: i32, protocol: String, }
    Condition { r#type: String, status: String, }

    Service { metadata: Meta, spec: ServiceSpec, }
    ServicePort { name: String, port: i32, protocol: String, }

    Endpoints { metadata: Meta, subsets: Vec<Subset>, }
    Subset { addresses: Vec<EndpointAddress>, not_ready_addresses: Vec<EndpointAddress>, ports: Vec<EndpointPort>, }
    EndpointAddress { ip: String, hostname: String, node_name: Option<String>, target_ref: Option<ObjectReference>, }
    EndpointPort { name: String, port: i32, protocol: String, }

    EndpointSlice { metadata: Meta, address_type: String, endpoints: Vec<Endpoint>, ports: Vec<SlicePort>, }
    Endpoint {
        addresses: Vec<String>,
        conditions: Conditions,
        hostname: Option<String>,
        node_name: Option<String>,
        zone: Option<String>,
        target_ref: Option<ObjectReference>,
        deprecated_topology: BTreeMap<String, String>,
    }
    Conditions { ready: Option<bool>, serving: Option<bool>, terminating: Option<bool>, }
    SlicePort { name: Option<String>, port: Option<i32>, protocol: Option<String>, app_protocol: Option<String>, }

    Ingress { metadata: Meta, spec: IngressSpec, }
    IngressSpec { ingress_class_name: Option<String>, rules: Vec<IngressRule>, tls: Vec<IngressTls>, }
    IngressRule { host: String, http: Option<IngressPaths>, }
    IngressPaths { paths: Vec<IngressPath>, }
    IngressPath { path: String, }
    IngressTls { hosts: Vec<String>, }
}

/// Fields whose names serde's camel case does not give.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    #[serde(rename = "providerID")]
    pub(super) provider_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DaemonEndpoint {
    #[serde(rename = "Port")]
    pub(super) port: i32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    #[serde(rename = "podIP")]
    pub(super) pod_ip: String,
    #[serde(rename = "hostIP")]
    pub(super) host_ip: String,
    pub(super) phase: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) container_statuses: Vec<StatusOfContainer>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) init_container_statuses: Vec<StatusOfContainer>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatusOfContainer {
    pub(super) name: String,
    #[serde(rename = "containerID", deserialize_with = "null_is_default")]
    pub(super) container_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceSpec {
    pub(super) r#type: String,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: String,
    pub(super) external_name: String,
    #[serde(rename = "loadBalancerIP")]
    pub(super) load_balancer_ip: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) ports: Vec<ServicePort>,
}

macro_rules! have_meta {
    ($($name:ident),*) => {
        $(impl Object for $name {
            fn meta(&self) -> &Meta {
                &self.metadata
            }
        })*
    };
}

have_meta!(Namespace, Node, Pod, Service, Endpoints, EndpointSlice, Ingress);
