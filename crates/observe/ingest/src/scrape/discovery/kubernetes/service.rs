//! Role `service`: one target a port of each service, at its name inside the cluster.

use super::super::{ADDRESS, TargetGroup, host_port};
use super::Cluster;
use super::meta::{self, MetaLabels};
use super::objects::Service;

pub(super) fn group(service: &Service, cluster: &Cluster) -> TargetGroup {
    let Service { metadata, spec } = service;
    let mut labels = MetaLabels::default();
    labels.set_named_object("service", metadata);
    labels.set_namespace(metadata, cluster);
    let host = format!("{}.{}.svc", metadata.name, metadata.namespace);
    let targets = spec.ports.iter().map(|port| {
        let mut target = MetaLabels::default();
        target.set_plain(ADDRESS, host_port(&host, port.port));
        target.set("service_port_name", &port.name);
        target.set("service_port_number", port.port.to_string());
        target.set("service_port_protocol", &port.protocol);
        target.set("service_type", &spec.r#type);
        match spec.r#type.as_str() {
            "ExternalName" => target.set("service_external_name", &spec.external_name),
            _ => target.set("service_cluster_ip", &spec.cluster_ip),
        }
        if spec.r#type == "LoadBalancer" {
            target.set("service_loadbalancer_ip", &spec.load_balancer_ip);
        }
        target
    });
    meta::group("svc", metadata, labels, targets.collect())
}

/// What targets behind a service tell of it.
pub(super) fn set_service(labels: &mut MetaLabels, namespace: &str, name: &str, cluster: &Cluster) {
    if let Some(service) = cluster.services.get(namespace, name) {
        labels.set_named_object("service", &service.metadata);
    }
}
