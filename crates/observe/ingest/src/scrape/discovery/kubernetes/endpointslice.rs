//! Role `endpointslice`: as `endpoints`, from the objects that replace them in large clusters.

use super::super::{ADDRESS, TargetGroup, host_port};
use super::Cluster;
use super::endpoints::{SeenPods, attach_node};
use super::meta::{self, MetaLabels, sanitized};
use super::objects::{Endpoint, EndpointSlice, SlicePort};
use super::service::set_service;

/// The label by which a slice names its service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

pub(super) fn group(slice: &EndpointSlice, cluster: &Cluster) -> TargetGroup {
    let metadata = &slice.metadata;
    let mut labels = MetaLabels::default();
    labels.set_named_object("endpointslice", metadata);
    labels.set("endpointslice_address_type", &slice.address_type);
    labels.set_namespace(metadata, cluster);
    if let Some(service) = metadata.labels.get(SERVICE_NAME) {
        set_service(&mut labels, &metadata.namespace, service, cluster);
    }
    let mut seen = SeenPods::default();
    let mut targets = Vec::new();
    for port in &slice.ports {
        for endpoint in &slice.endpoints {
            for address in &endpoint.addresses {
                let mut target = endpoint_target(endpoint, address, port);
                let reference = endpoint.target_ref.as_ref();
                attach_node(&mut target, endpoint.node_name.as_deref(), reference, cluster);
                let protocol = port.protocol.as_deref().unwrap_or_default();
                seen.join_pod(&mut target, reference, port.port, protocol, &metadata.namespace, cluster);
                targets.push(target);
            }
        }
    }
    targets.extend(seen.other_ports());
    meta::group("endpointslice", metadata, labels, targets)
}

fn endpoint_target(endpoint: &Endpoint, address: &str, port: &SlicePort) -> MetaLabels {
    let mut target = MetaLabels::default();
    target.set_plain(ADDRESS, port.port.map_or_else(|| address.to_owned(), |port| host_port(address, port)));
    target.set_some("endpointslice_port_name", port.name.as_ref());
    target.set_some("endpointslice_port_protocol", port.protocol.as_ref());
    target.set_some("endpointslice_port", port.port.map(|port| port.to_string()));
    target.set_some("endpointslice_port_app_protocol", port.app_protocol.as_ref());
    let conditions = &endpoint.conditions;
    for (name, condition) in [
        ("ready", conditions.ready),
        ("serving", conditions.serving),
        ("terminating", conditions.terminating),
    ] {
        let name = format!("endpointslice_endpoint_conditions_{name}");
        target.set_some(&name, condition.map(|holds| holds.to_string()));
    }
    target.set_some("endpointslice_endpoint_hostname", endpoint.hostname.as_ref());
    target.set_some("endpointslice_endpoint_node_name", endpoint.node_name.as_ref());
    target.set_some("endpointslice_endpoint_zone", endpoint.zone.as_ref());
    if let Some(reference) = &endpoint.target_ref {
        target.set("endpointslice_address_target_kind", &reference.kind);
        target.set("endpointslice_address_target_name", &reference.name);
    }
    for (name, value) in &endpoint.deprecated_topology {
        let name = sanitized(name);
        target.set(&format!("endpointslice_endpoint_topology_{name}"), value);
        target.set(&format!("endpointslice_endpoint_topology_present_{name}"), "true");
    }
    target
}
