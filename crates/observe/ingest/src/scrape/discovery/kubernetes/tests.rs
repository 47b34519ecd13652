//! Discovery against a server that answers as Kubernetes' API does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use kandela_model::Labels;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::super::{TargetGroup, Updates};

/// An open watch: its path, and where its events go.
type OpenWatch = (String, mpsc::UnboundedSender<Bytes>);

/// A cluster: lists by path, and the watches that are open.
#[derive(Clone, Default)]
struct Fake {
    lists: Arc<Mutex<Vec<(&'static str, Value)>>>,
    requests: Arc<Mutex<Vec<String>>>,
    watches: Arc<Mutex<Vec<OpenWatch>>>,
}

impl Fake {
    fn new(lists: Vec<(&'static str, Vec<Value>)>) -> Self {
        let fake = Self::default();
        for (path, items) in lists {
            let list = json!({"kind": "List", "metadata": {"resourceVersion": "100"}, "items": items});
            fake.lists.lock().unwrap().push((path, list));
        }
        fake
    }

    /// Sends an event to whoever watches `path`.
    fn send(&self, path: &str, kind: &str, object: &Value) {
        let line = Bytes::from(json!({"type": kind, "object": object}).to_string() + "\n");
        let watches = self.watches.lock().unwrap();
        for (_, watch) in watches.iter().filter(|(watched, _)| watched == path) {
            let _ = watch.send(line.clone());
        }
    }

    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        format!("http://{address}")
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let (path, query) =
        (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    fake.requests.lock().unwrap().push(format!("{path}?{query}"));
    if request.headers().get("authorization").and_then(|value| value.to_str().ok()) != Some("Bearer t0ken") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if query.contains("watch=1") {
        let (sender, receiver) = mpsc::unbounded_channel();
        fake.watches.lock().unwrap().push((path, sender));
        let events = futures::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|line| (Ok::<_, std::io::Error>(line), receiver))
        });
        return Body::from_stream(events.boxed()).into_response();
    }
    let list =
        fake.lists.lock().unwrap().iter().find(|(known, _)| *known == path).map(|(_, list)| list.clone());
    list.map_or(StatusCode::NOT_FOUND.into_response(), |list| axum::Json(list).into_response())
}

/// A discovery that runs.
struct Running {
    task: tokio::task::JoinHandle<()>,
    updates: Updates,
    news: Arc<Notify>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    async fn start(fake: &Fake, yaml: &str) -> Self {
        let server = fake.serve().await;
        let text = format!(
            "scrape_configs:\n- job_name: k\n  kubernetes_sd_configs:\n  - {{api_server: '{server}', authorization: {{credentials: t0ken}}, {yaml}}}"
        );
        let mut config = kandela_config::parse(&text, "test.yml", &|_| None).unwrap().0;
        let sd = config.scrape_configs.remove(0).discovery.kubernetes_sd_configs.remove(0);
        let news = Arc::new(Notify::new());
        let updates = Updates::new(news.clone());
        let task = tokio::spawn(super::run(sd, "test".into(), updates.clone()));
        Self { task, updates, news }
    }

    async fn next(&self) -> Vec<TargetGroup> {
        tokio::time::timeout(Duration::from_secs(10), self.news.notified()).await.expect("no news");
        self.updates.slot.lock().unwrap().to_vec()
    }
}

async fn groups(lists: Vec<(&'static str, Vec<Value>)>, yaml: &str) -> Vec<TargetGroup> {
    Running::start(&Fake::new(lists), yaml).await.next().await
}

/// Labels as lines, Kubernetes' prefix left out.
fn shown(labels: &Labels) -> Vec<String> {
    labels
        .iter()
        .map(|(name, value)| format!("{}={value}", name.strip_prefix("__meta_kubernetes_").unwrap_or(name)))
        .collect()
}

fn pod() -> Value {
    json!({
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "u-1",
            "labels": {"app.kubernetes.io/name": "web"},
            "annotations": {"prometheus.io/scrape": "true"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "controller": true}]
        },
        "spec": {
            "nodeName": "n1",
            "containers": [
                {"name": "app", "image": "web:1", "ports": [
                    {"name": "http", "containerPort": 8080, "protocol": "TCP"},
                    {"name": "admin", "containerPort": 9000, "protocol": "TCP"}]},
                {"name": "log", "image": "log:1"}],
            "initContainers": [{"name": "init", "image": "init:1", "ports": null}]
        },
        "status": {
            "podIP": "10.1.0.7", "hostIP": "10.0.0.1", "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "app", "containerID": "containerd://a"}],
            "initContainerStatuses": null
        }
    })
}

fn node() -> Value {
    json!({
        "metadata": {"name": "n1", "labels": {"zone": "a"}},
        "spec": {"providerID": "cloud://1"},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": "n1"},
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "InternalIP", "address": "10.0.0.9"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}
        }
    })
}

fn service() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "shop", "labels": {"tier": "front"}},
        "spec": {"type": "ClusterIP", "clusterIP": "10.2.0.1",
                 "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    })
}

const POD_LABELS: [&str; 12] = [
    "pod_annotation_prometheus_io_scrape=true",
    "pod_annotationpresent_prometheus_io_scrape=true",
    "pod_controller_kind=ReplicaSet",
    "pod_controller_name=web",
    "pod_host_ip=10.0.0.1",
    "pod_ip=10.1.0.7",
    "pod_label_app_kubernetes_io_name=web",
    "pod_labelpresent_app_kubernetes_io_name=true",
    "pod_name=web-1",
    "pod_node_name=n1",
    "pod_phase=Running",
    "pod_ready=true",
];

#[tokio::test]
async fn a_node_is_its_kubelet_at_the_first_internal_address() {
    let groups = groups(vec![("/api/v1/nodes", vec![node()])], "role: node").await;
    assert_eq!(groups[0].source, "node/n1");
    assert_eq!(
        shown(&groups[0].labels),
        ["node_label_zone=a", "node_labelpresent_zone=true", "node_name=n1", "node_provider_id=cloud://1"]
    );
    assert_eq!(
        shown(&groups[0].targets[0]),
        [
            "__address__=10.0.0.1:10250",
            "node_address_Hostname=n1",
            "node_address_InternalIP=10.0.0.1",
            "instance=n1"
        ]
    );
}

#[tokio::test]
async fn a_pod_is_its_containers_ports_with_what_is_attached() {
    let lists = vec![
        ("/api/v1/pods", vec![pod()]),
        ("/api/v1/nodes", vec![node()]),
        ("/api/v1/namespaces", vec![json!({"metadata": {"name": "shop", "labels": {"team": "a"}}})]),
    ];
    let groups = groups(lists, "role: pod, attach_metadata: {node: true, namespace: true}").await;
    assert_eq!(groups[0].source, "pod/shop/web-1");
    let mut expected = vec![
        "namespace=shop",
        "namespace_label_team=a",
        "namespace_labelpresent_team=true",
        "node_label_zone=a",
        "node_labelpresent_zone=true",
        "node_name=n1",
    ];
    expected.extend(POD_LABELS);
    expected.push("pod_uid=u-1");
    assert_eq!(shown(&groups[0].labels), expected);
    let targets: Vec<_> = groups[0].targets.iter().map(shown).collect();
    assert_eq!(targets.len(), 4);
    assert_eq!(
        targets[0],
        [
            "__address__=10.1.0.7:8080",
            "pod_container_id=containerd://a",
            "pod_container_image=web:1",
            "pod_container_init=false",
            "pod_container_name=app",
            "pod_container_port_name=http",
            "pod_container_port_number=8080",
            "pod_container_port_protocol=TCP"
        ]
    );
    assert_eq!(
        targets[2],
        [
            "__address__=10.1.0.7",
            "pod_container_image=log:1",
            "pod_container_init=false",
            "pod_container_name=log"
        ]
    );
    assert_eq!(
        targets[3],
        [
            "__address__=10.1.0.7",
            "pod_container_image=init:1",
            "pod_container_init=true",
            "pod_container_name=init"
        ]
    );
}

#[tokio::test]
async fn a_service_is_its_ports_at_its_cluster_name() {
    let groups = groups(vec![("/api/v1/services", vec![service()])], "role: service").await;
    assert_eq!(groups[0].source, "svc/shop/web");
    assert_eq!(
        shown(&groups[0].labels),
        ["namespace=shop", "service_label_tier=front", "service_labelpresent_tier=true", "service_name=web"]
    );
    assert_eq!(
        shown(&groups[0].targets[0]),
        [
            "__address__=web.shop.svc:80",
            "service_cluster_ip=10.2.0.1",
            "service_port_name=http",
            "service_port_number=80",
            "service_port_protocol=TCP",
            "service_type=ClusterIP"
        ]
    );
}

#[tokio::test]
async fn endpoints_are_addresses_with_their_pod_and_the_pods_other_ports() {
    let endpoints = json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "subsets": [{
            "addresses": [{"ip": "10.1.0.7", "nodeName": "n1",
                           "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "shop"}}],
            "notReadyAddresses": [{"ip": "10.1.0.8", "hostname": "web-2"}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]
        }]
    });
    let lists = vec![
        ("/api/v1/endpoints", vec![endpoints]),
        ("/api/v1/services", vec![service()]),
        ("/api/v1/pods", vec![pod()]),
    ];
    let groups = groups(lists, "role: endpoints").await;
    assert_eq!(groups[0].source, "endpoints/shop/web");
    assert_eq!(
        shown(&groups[0].labels),
        [
            "endpoints_name=web",
            "namespace=shop",
            "service_label_tier=front",
            "service_labelpresent_tier=true",
            "service_name=web"
        ]
    );
    let targets: Vec<_> = groups[0].targets.iter().map(shown).collect();
    assert_eq!(targets.len(), 3);
    let mut expected = vec![
        "__address__=10.1.0.7:8080",
        "endpoint_address_target_kind=Pod",
        "endpoint_address_target_name=web-1",
        "endpoint_node_name=n1",
        "endpoint_port_name=http",
        "endpoint_port_protocol=TCP",
        "endpoint_ready=true",
    ];
    expected.extend(POD_LABELS);
    expected.extend([
        "pod_uid=u-1",
        "pod_container_image=web:1",
        "pod_container_init=false",
        "pod_container_name=app",
        "pod_container_port_name=http",
        "pod_container_port_number=8080",
        "pod_container_port_protocol=TCP",
    ]);
    expected.sort_unstable();
    let mut found = targets[0].clone();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(
        targets[1],
        [
            "__address__=10.1.0.8:8080",
            "endpoint_hostname=web-2",
            "endpoint_port_name=http",
            "endpoint_port_protocol=TCP",
            "endpoint_ready=false"
        ]
    );
    assert_eq!(targets[2][0], "__address__=10.1.0.7:9000");
    assert!(targets[2].contains(&"pod_container_port_name=admin".to_owned()));
    assert!(targets[2].contains(&"pod_name=web-1".to_owned()));
    assert!(!targets[2].iter().any(|label| label.starts_with("endpoint_")));
}

#[tokio::test]
async fn endpoint_slices_tell_conditions_zone_and_topology() {
    let slice = json!({
        "metadata": {"name": "web-abc", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv6",
        "endpoints": [{
            "addresses": ["fd00::7"],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": "n1", "zone": "a", "hostname": "h",
            "targetRef": {"kind": "Node", "name": "n1"},
            "deprecatedTopology": {"kubernetes.io/hostname": "n1"}
        }],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}, {"name": "all"}]
    });
    let empty = json!({"metadata": {"name": "empty", "namespace": "shop"}, "endpoints": null, "ports": null});
    let lists = vec![
        ("/apis/discovery.k8s.io/v1/endpointslices", vec![slice, empty]),
        ("/api/v1/services", vec![service()]),
        ("/api/v1/pods", vec![]),
        ("/api/v1/nodes", vec![node()]),
    ];
    let groups = groups(lists, "role: endpointslice, attach_metadata: {node: true}").await;
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[0].targets.len(), 0);
    let group = &groups[1];
    assert_eq!(group.source, "endpointslice/shop/web-abc");
    let labels = shown(&group.labels);
    for label in ["endpointslice_address_type=IPv6", "endpointslice_name=web-abc", "service_name=web"] {
        assert!(labels.contains(&label.to_owned()), "{label}");
    }
    assert_eq!(
        shown(&group.targets[0]),
        [
            "__address__=[fd00::7]:8080",
            "endpointslice_address_target_kind=Node",
            "endpointslice_address_target_name=n1",
            "endpointslice_endpoint_conditions_ready=true",
            "endpointslice_endpoint_conditions_serving=true",
            "endpointslice_endpoint_conditions_terminating=false",
            "endpointslice_endpoint_hostname=h",
            "endpointslice_endpoint_node_name=n1",
            "endpointslice_endpoint_topology_kubernetes_io_hostname=n1",
            "endpointslice_endpoint_topology_present_kubernetes_io_hostname=true",
            "endpointslice_endpoint_zone=a",
            "endpointslice_port=8080",
            "endpointslice_port_app_protocol=http",
            "endpointslice_port_name=http",
            "endpointslice_port_protocol=TCP",
            "node_label_zone=a",
            "node_labelpresent_zone=true",
            "node_name=n1"
        ]
    );
    assert_eq!(shown(&group.targets[1])[0], "__address__=fd00::7");
}

#[tokio::test]
async fn an_ingress_is_its_paths_with_the_scheme_of_its_hosts() {
    let ingress = json!({
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": ["*.example"]}],
            "rules": [
                {"host": "shop.example", "http": {"paths": [{"path": "/api"}, {}]}},
                {"host": "plain.test"}]
        }
    });
    let groups = groups(vec![("/apis/networking.k8s.io/v1/ingresses", vec![ingress])], "role: ingress").await;
    assert_eq!(shown(&groups[0].labels), ["ingress_class_name=nginx", "ingress_name=shop", "namespace=shop"]);
    let targets: Vec<_> = groups[0].targets.iter().map(|target| shown(target).join(" ")).collect();
    assert_eq!(
        targets,
        [
            "__address__=shop.example ingress_host=shop.example ingress_path=/api ingress_scheme=https",
            "__address__=shop.example ingress_host=shop.example ingress_path=/ ingress_scheme=https",
            "__address__=plain.test ingress_host=plain.test ingress_path=/ ingress_scheme=http"
        ]
    );
}

#[tokio::test]
async fn what_a_watch_tells_changes_the_targets() {
    let path = "/api/v1/namespaces/shop/services";
    let fake = Fake::new(vec![(path, vec![service()])]);
    let running = Running::start(
        &fake,
        "role: service, namespaces: {names: [shop]}, selectors: [{role: service, label: 'tier=front'}]",
    )
    .await;
    assert_eq!(running.next().await.len(), 1);
    while fake.watches.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let requests = fake.requests.lock().unwrap().clone();
    assert!(requests.iter().all(|request| request.contains("labelSelector=tier%3Dfront")), "{requests:?}");
    assert!(requests[1].contains("watch=1") && requests[1].contains("resourceVersion=100"), "{requests:?}");

    let mut second = service();
    second["metadata"]["name"] = json!("api");
    second["metadata"]["resourceVersion"] = json!("101");
    fake.send(path, "ADDED", &second);
    let sources: Vec<_> = running.next().await.into_iter().map(|group| group.source).collect();
    assert_eq!(sources, ["svc/shop/api", "svc/shop/web"]);

    let mut gone = service();
    gone["metadata"]["resourceVersion"] = json!("102");
    fake.send(path, "BOOKMARK", &json!({"metadata": {"resourceVersion": "102"}}));
    fake.send(path, "DELETED", &gone);
    let sources: Vec<_> = running.next().await.into_iter().map(|group| group.source).collect();
    assert_eq!(sources, ["svc/shop/api"]);

    // A watch that is told that it is too old lists anew.
    fake.lists.lock().unwrap()[0].1["items"] = json!([]);
    fake.send(path, "ERROR", &json!({"kind": "Status", "code": 410}));
    assert_eq!(running.next().await.len(), 0);
}
