//! Role `node`: one target a node, the kubelet's port.

use super::super::{ADDRESS, TargetGroup, host_port};
use super::meta::{self, MetaLabels, sanitized};
use super::objects::Node;

/// The address that a node is scraped at, most wanted first.
const ADDRESS_TYPES: [&str; 6] =
    ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

pub(super) fn group(node: &Node) -> TargetGroup {
    let mut labels = MetaLabels::default();
    labels.set_named_object("node", &node.metadata);
    labels.set("node_provider_id", &node.spec.provider_id);

    let addresses = &node.status.addresses;
    let of_type = |kind: &&str| addresses.iter().find(|address| address.r#type == **kind);
    let Some(address) = ADDRESS_TYPES.iter().find_map(of_type) else {
        return meta::group("node", &node.metadata, labels, Vec::new());
    };
    let mut target = MetaLabels::default();
    let port = node.status.daemon_endpoints.kubelet_endpoint.port;
    target.set_plain(ADDRESS, host_port(&address.address, port));
    target.set_plain("instance", &node.metadata.name);
    // The first of each type counts.
    for address in addresses.iter().rev() {
        target.set(&format!("node_address_{}", sanitized(&address.r#type)), &address.address);
    }
    meta::group("node", &node.metadata, labels, vec![target])
}
