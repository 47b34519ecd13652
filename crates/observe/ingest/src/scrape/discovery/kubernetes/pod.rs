//! Role `pod`: one target a declared port of each container, or one a container without ports.

use super::super::{ADDRESS, TargetGroup, host_port};
use super::Cluster;
use super::meta::{self, MetaLabels};
use super::objects::{Container, ContainerPort, Pod, StatusOfContainer};

pub(super) fn group(pod: &Pod, cluster: &Cluster) -> TargetGroup {
    let mut labels = pod_labels(pod);
    labels.set_namespace(&pod.metadata, cluster);
    labels.attach_node(&pod.spec.node_name, cluster);
    let mut targets = Vec::new();
    // A pod that has not been placed yet has no address.
    if !pod.status.pod_ip.is_empty() {
        for (container, is_init) in containers(pod) {
            let ports = container.ports.iter().map(Some);
            let none = container.ports.is_empty().then_some(None);
            targets.extend(ports.chain(none).map(|port| container_target(pod, container, is_init, port)));
        }
    }
    meta::group("pod", &pod.metadata, labels, targets)
}

fn container_target(
    pod: &Pod,
    container: &Container,
    is_init: bool,
    port: Option<&ContainerPort>,
) -> MetaLabels {
    let ip = &pod.status.pod_ip;
    let mut target = MetaLabels::default();
    target.set("pod_container_name", &container.name);
    target.set("pod_container_id", container_id(pod, container, is_init));
    target.set("pod_container_image", &container.image);
    target.set("pod_container_init", is_init.to_string());
    match port {
        None => target.set_plain(ADDRESS, ip),
        Some(port) => {
            target.set_plain(ADDRESS, host_port(ip, port.container_port));
            target.set("pod_container_port_number", port.container_port.to_string());
            target.set("pod_container_port_name", &port.name);
            target.set("pod_container_port_protocol", &port.protocol);
        }
    }
    target
}

fn container_id<'a>(pod: &'a Pod, container: &Container, is_init: bool) -> &'a str {
    let statuses = if is_init { &pod.status.init_container_statuses } else { &pod.status.container_statuses };
    let of_container = |status: &&StatusOfContainer| status.name == container.name;
    statuses.iter().find(of_container).map(|status| status.container_id.as_str()).unwrap_or_default()
}

/// All containers, and whether each is an init container.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, bool)> {
    let main = pod.spec.containers.iter().map(|container| (container, false));
    main.chain(pod.spec.init_containers.iter().map(|container| (container, true)))
}

/// Labels of the pod as such, without its namespace.
pub(super) fn pod_labels(pod: &Pod) -> MetaLabels {
    let mut labels = MetaLabels::default();
    labels.set_named_object("pod", &pod.metadata);
    let ready = pod.status.conditions.iter().find(|condition| condition.r#type == "Ready");
    labels.set("pod_ip", &pod.status.pod_ip);
    labels.set("pod_ready", ready.map_or("unknown".to_owned(), |ready| ready.status.to_lowercase()));
    labels.set("pod_phase", &pod.status.phase);
    labels.set("pod_node_name", &pod.spec.node_name);
    labels.set("pod_host_ip", &pod.status.host_ip);
    labels.set("pod_uid", &pod.metadata.uid);
    if let Some(controller) = pod.metadata.owner_references.iter().find(|owner| owner.controller) {
        labels.set("pod_controller_kind", &controller.kind);
        labels.set("pod_controller_name", &controller.name);
    }
    labels
}

/// A target for one port of a container, found through a service, without the pod's own labels.
pub(super) fn port_labels(container: &Container, is_init: bool, port: &ContainerPort) -> MetaLabels {
    let mut labels = MetaLabels::default();
    labels.set("pod_container_name", &container.name);
    labels.set("pod_container_image", &container.image);
    labels.set("pod_container_port_name", &port.name);
    labels.set("pod_container_port_number", port.container_port.to_string());
    labels.set("pod_container_port_protocol", &port.protocol);
    labels.set("pod_container_init", is_init.to_string());
    labels
}
