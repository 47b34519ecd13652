//! `kubernetes_sd_configs`: objects of a Kubernetes cluster, by its API.
//!
//! Objects are listed once and watched from then on. Labels are those that Prometheus documents for each role,
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#kubernetes_sd_config>.

mod api;
mod endpoints;
mod endpointslice;
mod ingress;
mod kubeconfig;
mod meta;
mod node;
mod objects;
mod pod;
mod service;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kandela_config::discovery::{KubernetesMetadata, KubernetesRole, KubernetesSd};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::api::{Api, Resource};
use self::objects::{EndpointSlice, Endpoints, Ingress, Namespace, Node, Object, Pod, Service};
use self::store::Store;
use super::{TargetGroup, Updates};

/// Changes come in bursts; one rebuild serves all that come within this time.
const SETTLE: Duration = Duration::from_millis(200);

/// How long to wait before the cluster is asked again after it could not be.
const RETRY: Duration = Duration::from_secs(5);

/// What is known of the cluster; what a role does not need stays empty.
#[derive(Default)]
struct Cluster {
    nodes: Store<Node>,
    pods: Store<Pod>,
    services: Store<Service>,
    endpoints: Store<Endpoints>,
    slices: Store<EndpointSlice>,
    ingresses: Store<Ingress>,
    namespaces: Store<Namespace>,
    attach: KubernetesMetadata,
}

/// Tells the rebuilding task what the watching ones see.
#[derive(Default)]
struct Progress {
    news: Notify,
    /// Watches that have listed their objects.
    listed: AtomicUsize,
}

/// Lists and watches the objects that the role needs.
pub(super) async fn run(config: KubernetesSd, user_agent: String, updates: Updates) {
    let (api, namespaces) = loop {
        match api::connect(&config, &user_agent).await {
            Ok(connected) => break connected,
            Err(reason) => {
                tracing::error!(reason, "the cluster's API can't be reached");
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    let cluster = Arc::new(Cluster { attach: config.attach_metadata.clone(), ..Cluster::default() });
    let progress = Arc::new(Progress::default());
    let mut watches =
        Watches { api, config: &config, namespaces, progress: progress.clone(), tasks: JoinSet::new() };
    watches.start(&cluster);
    let mut known: Option<Vec<TargetGroup>> = None;
    loop {
        progress.news.notified().await;
        tokio::time::sleep(SETTLE).await;
        // Half a picture would drop targets that are there.
        if progress.listed.load(Ordering::Acquire) < watches.tasks.len() {
            continue;
        }
        let groups = cluster.groups(config.role);
        if known.as_ref() != Some(&groups) {
            updates.send(groups.clone());
            known = Some(groups);
        }
    }
}

impl Cluster {
    fn groups(&self, role: KubernetesRole) -> Vec<TargetGroup> {
        match role {
            KubernetesRole::Node => self.nodes.all().iter().map(|node| node::group(node)).collect(),
            KubernetesRole::Pod => self.pods.all().iter().map(|pod| pod::group(pod, self)).collect(),
            KubernetesRole::Service => {
                self.services.all().iter().map(|one| service::group(one, self)).collect()
            }
            KubernetesRole::Endpoints => {
                self.endpoints.all().iter().map(|one| endpoints::group(one, self)).collect()
            }
            KubernetesRole::EndpointSlice => {
                self.slices.all().iter().map(|one| endpointslice::group(one, self)).collect()
            }
            KubernetesRole::Ingress => {
                self.ingresses.all().iter().map(|one| ingress::group(one, self)).collect()
            }
        }
    }
}

struct Watches<'a> {
    api: Arc<Api>,
    config: &'a KubernetesSd,
    /// Empty for all.
    namespaces: Vec<String>,
    progress: Arc<Progress>,
    tasks: JoinSet<()>,
}

impl Watches<'_> {
    fn start(&mut self, cluster: &Arc<Cluster>) {
        use KubernetesRole as Role;
        let role = self.config.role;
        let attach = &self.config.attach_metadata;
        let behind_services = matches!(role, Role::Endpoints | Role::EndpointSlice);
        if role == Role::Node || (attach.node && (role == Role::Pod || behind_services)) {
            self.watch_cluster_wide(Role::Node, "/api/v1", "nodes", cluster, |cluster| &cluster.nodes);
        }
        if role == Role::Pod || behind_services {
            self.watch(Role::Pod, "/api/v1", "pods", cluster, |cluster| &cluster.pods);
        }
        if role == Role::Service || behind_services {
            self.watch(Role::Service, "/api/v1", "services", cluster, |cluster| &cluster.services);
        }
        if role == Role::Endpoints {
            self.watch(role, "/api/v1", "endpoints", cluster, |cluster| &cluster.endpoints);
        }
        if role == Role::EndpointSlice {
            let group = "/apis/discovery.k8s.io/v1";
            self.watch(role, group, "endpointslices", cluster, |cluster| &cluster.slices);
        }
        if role == Role::Ingress {
            let group = "/apis/networking.k8s.io/v1";
            self.watch(role, group, "ingresses", cluster, |cluster| &cluster.ingresses);
        }
        if attach.namespace && role != Role::Node {
            let resource = Resource::cluster_wide("/api/v1", "namespaces");
            self.spawn(resource, cluster, |cluster| &cluster.namespaces);
        }
    }

    fn watch_cluster_wide<T: Object>(
        &mut self,
        of: KubernetesRole,
        group: &'static str,
        kind: &'static str,
        cluster: &Arc<Cluster>,
        store: fn(&Cluster) -> &Store<T>,
    ) {
        let resource = self.selected(Resource::cluster_wide(group, kind), of);
        self.spawn(resource, cluster, store);
    }

    fn watch<T: Object>(
        &mut self,
        of: KubernetesRole,
        group: &'static str,
        kind: &'static str,
        cluster: &Arc<Cluster>,
        store: fn(&Cluster) -> &Store<T>,
    ) {
        if self.namespaces.is_empty() {
            return self.watch_cluster_wide(of, group, kind, cluster, store);
        }
        for namespace in self.namespaces.clone() {
            let resource = self.selected(Resource::in_namespace(group, kind, namespace), of);
            self.spawn(resource, cluster, store);
        }
    }

    /// The resource with the selectors that the config has for its role.
    fn selected(&self, mut resource: Resource, of: KubernetesRole) -> Resource {
        if let Some(selector) = self.config.selectors.iter().find(|selector| selector.role == of) {
            resource.label_selector.clone_from(&selector.label);
            resource.field_selector.clone_from(&selector.field);
        }
        resource
    }

    fn spawn<T: Object>(
        &mut self,
        resource: Resource,
        cluster: &Arc<Cluster>,
        store: fn(&Cluster) -> &Store<T>,
    ) {
        let (api, cluster, progress) = (self.api.clone(), cluster.clone(), self.progress.clone());
        self.tasks.spawn(async move {
            let mut is_listed = false;
            loop {
                let outcome = store::follow(&api, &resource, store(&cluster), || {
                    if !std::mem::replace(&mut is_listed, true) {
                        progress.listed.fetch_add(1, Ordering::AcqRel);
                    }
                    progress.news.notify_one();
                });
                match outcome.await {
                    Ok(()) => {}
                    Err(reason) => {
                        tracing::warn!(resource = resource.kind, reason, "watching the cluster failed");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        });
    }
}
