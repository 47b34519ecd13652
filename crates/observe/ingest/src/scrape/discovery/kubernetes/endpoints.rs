//! Role `endpoints`: one target an address and port behind each service; for pods, also their ports that the service does
//! not have.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{ADDRESS, TargetGroup, host_port};
use super::Cluster;
use super::meta::{self, MetaLabels};
use super::objects::{EndpointAddress, EndpointPort, Endpoints, ObjectReference, Pod};
use super::pod::{containers, pod_labels, port_labels};
use super::service::set_service;

/// Pods behind a service, and which of their ports the service has.
#[derive(Default)]
pub(super) struct SeenPods(BTreeMap<String, (Arc<Pod>, Vec<i32>)>);

pub(super) fn group(endpoints: &Endpoints, cluster: &Cluster) -> TargetGroup {
    let metadata = &endpoints.metadata;
    let mut labels = MetaLabels::default();
    labels.set_named_object("endpoints", metadata);
    labels.set_namespace(metadata, cluster);
    set_service(&mut labels, &metadata.namespace, &metadata.name, cluster);
    let mut seen = SeenPods::default();
    let mut targets = Vec::new();
    for subset in &endpoints.subsets {
        for port in &subset.ports {
            let ready = subset.addresses.iter().map(|address| (address, true));
            let not_ready = subset.not_ready_addresses.iter().map(|address| (address, false));
            for (address, is_ready) in ready.chain(not_ready) {
                let mut target = address_target(address, port, is_ready, cluster);
                let reference = address.target_ref.as_ref();
                seen.join_pod(
                    &mut target,
                    reference,
                    Some(port.port),
                    &port.protocol,
                    &metadata.namespace,
                    cluster,
                );
                targets.push(target);
            }
        }
    }
    targets.extend(seen.other_ports());
    meta::group("endpoints", metadata, labels, targets)
}

fn address_target(
    address: &EndpointAddress,
    port: &EndpointPort,
    is_ready: bool,
    cluster: &Cluster,
) -> MetaLabels {
    let mut target = MetaLabels::default();
    target.set_plain(ADDRESS, host_port(&address.ip, port.port));
    target.set("endpoint_port_name", &port.name);
    target.set("endpoint_port_protocol", &port.protocol);
    target.set("endpoint_ready", is_ready.to_string());
    if let Some(reference) = &address.target_ref {
        target.set("endpoint_address_target_kind", &reference.kind);
        target.set("endpoint_address_target_name", &reference.name);
    }
    target.set_some("endpoint_node_name", address.node_name.as_ref());
    target.set("endpoint_hostname", &address.hostname);
    attach_node(&mut target, address.node_name.as_deref(), address.target_ref.as_ref(), cluster);
    target
}

/// The node that an address is on: by its name, or because the address is a node's.
pub(super) fn attach_node(
    target: &mut MetaLabels,
    node_name: Option<&str>,
    reference: Option<&ObjectReference>,
    cluster: &Cluster,
) {
    let referred =
        reference.filter(|reference| reference.kind == "Node").map(|reference| reference.name.as_str());
    if let Some(name) = node_name.or(referred) {
        target.attach_node(name, cluster);
    }
}

impl SeenPods {
    /// Adds the labels of the pod that an address belongs to, if it does, and of the container with that port.
    pub(super) fn join_pod(
        &mut self,
        target: &mut MetaLabels,
        reference: Option<&ObjectReference>,
        port: Option<i32>,
        protocol: &str,
        namespace: &str,
        cluster: &Cluster,
    ) {
        let Some(reference) = reference.filter(|reference| reference.kind == "Pod") else { return };
        let namespace = if reference.namespace.is_empty() { namespace } else { &reference.namespace };
        let Some(pod) = cluster.pods.get(namespace, &reference.name) else { return };
        target.merge(&pod_labels(&pod));
        // The last container that declares the port wins, as in Prometheus.
        for (container, is_init) in containers(&pod) {
            if let Some(declared) =
                container.ports.iter().find(|declared| Some(declared.container_port) == port)
            {
                target.merge(&port_labels(container, is_init, declared));
                target.set("pod_container_port_protocol", protocol);
            }
        }
        let key = format!("{namespace}/{}", reference.name);
        let (_, ports) = self.0.entry(key).or_insert_with(|| (pod, Vec::new()));
        ports.extend(port);
    }

    /// Targets for the pods' ports that the service does not have.
    pub(super) fn other_ports(&self) -> impl Iterator<Item = MetaLabels> {
        let placed = self.0.values().filter(|(pod, _)| !pod.status.pod_ip.is_empty());
        placed.flat_map(|(pod, served)| {
            containers(pod).flat_map(move |(container, is_init)| {
                let others = container.ports.iter().filter(|port| !served.contains(&port.container_port));
                others.map(move |port| {
                    let mut target = port_labels(container, is_init, port);
                    target.set_plain(ADDRESS, host_port(&pod.status.pod_ip, port.container_port));
                    target.merge(&pod_labels(pod));
                    target
                })
            })
        })
    }
}
