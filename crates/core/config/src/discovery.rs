//! Where targets come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::error::ConfigErrors;
use crate::http_client::{self, HttpClient};
use crate::named::{NameValidation, named};
use crate::read::{self, Fields, Item};
use crate::secret::Url;
use crate::units::serialize_duration;

/// Discoveries that Prometheus knows and Kandela does not serve.
pub(crate) const NOT_SERVED: &[&str] = &[
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "ecs_sd_configs",
    "elasticache_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "msk_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "rds_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

/// Where a job's targets come from; all of them together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Discovery {
    /// Written in the config.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub static_configs: Vec<TargetGroup>,
    /// In files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_sd_configs: Vec<FileSd>,
    /// Answered by an HTTP server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_sd_configs: Vec<HttpSd>,
    /// In the domain name system.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_sd_configs: Vec<DnsSd>,
    /// Objects of a Kubernetes cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kubernetes_sd_configs: Vec<KubernetesSd>,
}

/// Targets that share labels; an item of `static_configs`, of a `file_sd` file and of an HTTP discovery's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TargetGroup {
    /// Addresses as `host:port`; each becomes the label `__address__`.
    pub targets: Vec<String>,
    /// Labels of all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// `file_sd_configs`: files that hold lists of target groups, as YAML or JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSd {
    /// Paths; the last segment may hold one `*`.
    pub files: Vec<PathBuf>,
    /// How often they are read anew even if nothing said that they changed.
    #[serde(serialize_with = "serialize_duration")]
    pub refresh_interval: Duration,
}

/// `http_sd_configs`: a server that answers with a JSON list of target groups.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpSd {
    /// Whom to ask.
    pub url: Url,
    /// How often.
    #[serde(serialize_with = "serialize_duration")]
    pub refresh_interval: Duration,
    /// How to connect.
    #[serde(flatten)]
    pub client: HttpClient,
}

named! {
    /// A DNS record's type.
    pub enum DnsRecord {
        /// Service records, which carry the port.
        Srv = "SRV",
        /// IPv4 addresses.
        A = "A",
        /// IPv6 addresses.
        Aaaa = "AAAA",
        /// Mail exchangers.
        Mx = "MX",
        /// Name servers.
        Ns = "NS",
    }
}

/// `dns_sd_configs`: names that are looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DnsSd {
    /// The names.
    pub names: Vec<String>,
    /// How often.
    #[serde(serialize_with = "serialize_duration")]
    pub refresh_interval: Duration,
    /// The type of record.
    #[serde(rename = "type")]
    pub record: DnsRecord,
    /// The targets' port; 0 with `SRV` records, which carry their own.
    pub port: u16,
}

named! {
    /// The kind of Kubernetes object that becomes a target.
    pub enum KubernetesRole {
        /// Nodes.
        Node = "node",
        /// Pods' containers.
        Pod = "pod",
        /// Services' ports.
        Service = "service",
        /// Addresses behind services, by `Endpoints` objects.
        Endpoints = "endpoints",
        /// Addresses behind services, by `EndpointSlice` objects.
        EndpointSlice = "endpointslice",
        /// Ingress paths.
        Ingress = "ingress",
    }
}

/// `kubernetes_sd_configs`: objects of a cluster. With neither `api_server` nor `kubeconfig_file`, the cluster that the
/// process runs in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KubernetesSd {
    /// The cluster's API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_server: Option<Url>,
    /// What becomes a target.
    pub role: KubernetesRole,
    /// A kubeconfig file, in place of `api_server` and the client's settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig_file: Option<PathBuf>,
    /// How to connect.
    #[serde(flatten)]
    pub client: HttpClient,
    /// Which namespaces; all of them when empty.
    #[serde(skip_serializing_if = "KubernetesNamespaces::is_default")]
    pub namespaces: KubernetesNamespaces,
    /// Which objects, by role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub selectors: Vec<KubernetesSelector>,
    /// What else is looked up for each target.
    pub attach_metadata: KubernetesMetadata,
}

/// Namespaces of a Kubernetes discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KubernetesNamespaces {
    /// Whether the namespace that the process runs in is one.
    pub own_namespace: bool,
    /// Namespaces by name.
    pub names: Vec<String>,
}

/// Label and field selectors, in Kubernetes' syntax, of one role's objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KubernetesSelector {
    /// Whose objects.
    pub role: KubernetesRole,
    /// A label selector; empty selects all.
    pub label: String,
    /// A field selector; empty selects all.
    pub field: String,
}

/// What a Kubernetes discovery attaches to its targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KubernetesMetadata {
    /// Labels of the node that a target runs on.
    pub node: bool,
    /// Labels of the target's namespace.
    pub namespace: bool,
}

impl KubernetesNamespaces {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Discovery {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            static_configs: fields.list("static_configs", target_group),
            file_sd_configs: fields.list("file_sd_configs", file_sd),
            http_sd_configs: fields.list("http_sd_configs", http_sd).into_iter().flatten().collect(),
            dns_sd_configs: fields.list("dns_sd_configs", dns_sd),
            kubernetes_sd_configs: fields
                .list("kubernetes_sd_configs", kubernetes_sd)
                .into_iter()
                .flatten()
                .collect(),
        }
    }

    /// Reports URLs in the place of addresses, which without relabelling can only be a mistake.
    pub(crate) fn check_static_targets(&self, fields: &Fields<'_>) {
        let targets = self.static_configs.iter().flat_map(|group| &group.targets);
        for target in targets.filter(|target| target.contains('/')) {
            fields.whole().invalid(format!(
                "target {target:?} is not host:port; scheme and path have keys of their own"
            ));
        }
    }

    /// The files that this names, to be resolved against the config's folder.
    pub(crate) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let mut paths: Vec<&mut PathBuf> =
            self.file_sd_configs.iter_mut().flat_map(|sd| sd.files.iter_mut()).collect();
        paths.extend(self.http_sd_configs.iter_mut().flat_map(|sd| sd.client.paths()));
        for sd in &mut self.kubernetes_sd_configs {
            paths.extend(sd.kubeconfig_file.as_mut());
            paths.extend(sd.client.paths());
        }
        paths
    }
}

/// Reads a list of target groups: the content of a `file_sd` file, in YAML or JSON, or an HTTP discovery's answer.
///
/// # Errors
/// With all that is wrong in it; `file` names the text in messages.
pub fn parse_target_groups(text: &str, file: &str) -> Result<Vec<TargetGroup>, ConfigErrors> {
    let read = |root: Item<'_>| -> Vec<TargetGroup> {
        root.items().iter().filter_map(|item| item.fields().map(target_group)).collect()
    };
    read::document(file, text, read).map(|(groups, _)| groups)
}

fn target_group(mut fields: Fields<'_>) -> TargetGroup {
    let group = TargetGroup {
        targets: fields.texts("targets"),
        labels: fields.get("labels").map(|item| labels(&item, NameValidation::Utf8)).unwrap_or_default(),
    };
    fields.finish(&[]);
    group
}

/// A mapping of label names to values.
pub(crate) fn labels(item: &Item<'_>, names: NameValidation) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (name, item) in item.entries() {
        if !names.is_label_name(name) {
            item.invalid(format!("{name:?} is not a valid label name"));
        }
        if let Some(value) = item.text() {
            labels.insert(name.to_owned(), value.to_owned());
        }
    }
    labels
}

fn file_sd(mut fields: Fields<'_>) -> FileSd {
    let files = fields.texts("files");
    if files.is_empty() {
        fields.missing("files");
    }
    for file in files.iter().filter(|file| !is_file_sd_path(file)) {
        fields.whole().invalid(format!(
            "file {file:?} is none that discovery reads; it ends in .json, .yml or .yaml, and only its last segment may hold one *"
        ));
    }
    let sd = FileSd {
        files: files.into_iter().map(PathBuf::from).collect(),
        refresh_interval: fields.period("refresh_interval").unwrap_or(Duration::from_secs(300)),
    };
    fields.finish(&[]);
    sd
}

/// Prometheus' rule: `^[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)$`.
fn is_file_sd_path(path: &str) -> bool {
    let known = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
    let Some(stem) = known.iter().find_map(|end| path.strip_suffix(end)) else { return false };
    stem.split_once('*').is_none_or(|(_, behind)| !behind.contains('/'))
}

fn http_sd(mut fields: Fields<'_>) -> Option<HttpSd> {
    let url = required_url(&mut fields);
    let refresh_interval = fields.period("refresh_interval").unwrap_or(Duration::from_secs(60));
    let client = HttpClient::read(&mut fields, true);
    fields.finish(http_client::NOT_SERVED);
    Some(HttpSd { url: url?, refresh_interval, client })
}

/// The key `url`, which must be there.
pub(crate) fn required_url(fields: &mut Fields<'_>) -> Option<Url> {
    match fields.get_set("url") {
        Some(item) => item.parse(Url::parse),
        None => {
            fields.missing("url");
            None
        }
    }
}

fn dns_sd(mut fields: Fields<'_>) -> DnsSd {
    let names = fields.texts("names");
    if names.is_empty() {
        fields.missing("names");
    }
    let record = fields.parse("type", |text| DnsRecord::parse(&text.to_ascii_uppercase()));
    let record = record.unwrap_or(DnsRecord::Srv);
    let port = fields.parse("port", |text| {
        text.parse::<u16>().map_err(|_| format!("{text:?} is not a port from 0 to 65535"))
    });
    if port.unwrap_or(0) == 0 && record != DnsRecord::Srv {
        fields.missing("port");
    }
    let sd = DnsSd {
        names,
        refresh_interval: fields.period("refresh_interval").unwrap_or(Duration::from_secs(30)),
        record,
        port: port.unwrap_or(0),
    };
    fields.finish(&[]);
    sd
}

fn kubernetes_sd(mut fields: Fields<'_>) -> Option<KubernetesSd> {
    let role = match fields.get_set("role") {
        Some(item) => item.parse(KubernetesRole::parse),
        None => {
            fields.missing("role");
            None
        }
    };
    let api_server = fields.parse_word("api_server", Url::parse);
    let kubeconfig_file = http_client::path(&mut fields, "kubeconfig_file");
    let client = HttpClient::read(&mut fields, true);
    let namespaces = fields.section("namespaces", |mut fields| {
        let namespaces = KubernetesNamespaces {
            own_namespace: fields.boolean("own_namespace", false),
            names: fields.texts("names"),
        };
        fields.finish(&[]);
        namespaces
    });
    let selectors = fields.list("selectors", |fields| selector(fields, role));
    let attach_metadata = fields.section("attach_metadata", |mut fields| {
        let metadata = KubernetesMetadata {
            node: fields.boolean("node", false),
            namespace: fields.boolean("namespace", false),
        };
        fields.finish(&["deployment", "job", "cronjob"]);
        metadata
    });
    let sd = KubernetesSd {
        api_server,
        role: role.unwrap_or(KubernetesRole::Node),
        kubeconfig_file,
        client,
        namespaces: namespaces.unwrap_or_default(),
        selectors: selectors.into_iter().flatten().collect(),
        attach_metadata: attach_metadata.unwrap_or_default(),
    };
    for message in kubernetes_conflicts(&sd) {
        fields.whole().invalid(message);
    }
    fields.finish(http_client::NOT_SERVED);
    role.map(|_| sd)
}

fn selector(mut fields: Fields<'_>, of: Option<KubernetesRole>) -> Option<KubernetesSelector> {
    let role = fields.parse("role", KubernetesRole::parse);
    let label = fields.text("label").unwrap_or_default();
    let field = fields.text("field").unwrap_or_default();
    let whole = fields.whole().clone();
    fields.finish(&[]);
    let (role, of) = (role?, of?);
    let allowed = selectable(of);
    if !allowed.contains(&role) {
        let allowed = allowed.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
        whole.invalid(format!("role {of} takes selectors of {allowed} only, this one is of {role}"));
    }
    Some(KubernetesSelector { role, label, field })
}

/// The roles whose objects a discovery of `role` looks at.
fn selectable(role: KubernetesRole) -> &'static [KubernetesRole] {
    use KubernetesRole::{EndpointSlice, Endpoints, Ingress, Node, Pod, Service};
    match role {
        Pod => &[Pod, Node],
        Service => &[Service],
        EndpointSlice => &[Pod, Service, EndpointSlice],
        Endpoints => &[Pod, Service, Endpoints],
        Node => &[Node],
        Ingress => &[Ingress],
    }
}

fn kubernetes_conflicts(sd: &KubernetesSd) -> Vec<String> {
    let own_client = sd.client != HttpClient::default();
    let (api_server, kubeconfig) = (sd.api_server.is_some(), sd.kubeconfig_file.is_some());
    let own_namespace = sd.namespaces.own_namespace;
    let repeated = sd
        .selectors
        .iter()
        .enumerate()
        .find(|(i, one)| sd.selectors.iter().take(*i).any(|other| other.role == one.role))
        .map(|(_, one)| format!("two selectors are of role {}; join them into one", one.role));
    let conflicts = [
        (api_server && kubeconfig, "api_server and kubeconfig_file exclude each other; keep one"),
        (kubeconfig && own_client, "kubeconfig_file says how to connect; remove the other client settings"),
        (!api_server && !kubeconfig && own_client, "client settings need api_server; add it, or remove them"),
        (api_server && own_namespace, "api_server and namespaces.own_namespace exclude each other"),
        (kubeconfig && own_namespace, "kubeconfig_file and namespaces.own_namespace exclude each other"),
    ];
    let conflicts = conflicts.iter().filter(|(holds, _)| *holds).map(|(_, message)| (*message).to_owned());
    conflicts.chain(repeated).collect()
}
