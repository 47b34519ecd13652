//! Role `ingress`: one target a path of each ingress, for probes from outside.

use super::super::{ADDRESS, TargetGroup};
use super::Cluster;
use super::meta::{self, MetaLabels};
use super::objects::{Ingress, IngressRule};

pub(super) fn group(ingress: &Ingress, cluster: &Cluster) -> TargetGroup {
    let Ingress { metadata, spec } = ingress;
    let mut labels = MetaLabels::default();
    labels.set_named_object("ingress", metadata);
    labels.set_namespace(metadata, cluster);
    labels.set_some("ingress_class_name", spec.ingress_class_name.as_ref());
    let mut targets = Vec::new();
    for rule in &spec.rules {
        let is_secure = spec.tls.iter().flat_map(|tls| &tls.hosts).any(|host| covers(host, &rule.host));
        for path in paths(rule) {
            let mut target = MetaLabels::default();
            target.set_plain(ADDRESS, &rule.host);
            target.set("ingress_scheme", if is_secure { "https" } else { "http" });
            target.set("ingress_host", &rule.host);
            target.set("ingress_path", path);
            targets.push(target);
        }
    }
    meta::group("ingress", metadata, labels, targets)
}

/// A rule without paths is for all of them.
fn paths(rule: &IngressRule) -> Vec<&str> {
    match &rule.http {
        None => vec!["/"],
        Some(http) => {
            http.paths.iter().map(|path| if path.path.is_empty() { "/" } else { &path.path }).collect()
        }
    }
}

/// Whether a certificate for `pattern` is one for `host`; `*` stands for one whole label at the front.
fn covers(pattern: &str, host: &str) -> bool {
    if pattern == host {
        return true;
    }
    match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(domain), Some((_, parent))) => domain == parent,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_star_covers_one_label() {
        assert!(covers("shop.example", "shop.example"));
        assert!(covers("*.example", "shop.example"));
        assert!(!covers("*.example", "a.shop.example"));
        assert!(!covers("*.example", "example"));
        assert!(!covers("shop.example", "other.example"));
    }
}
