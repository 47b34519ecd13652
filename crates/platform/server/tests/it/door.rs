//! Who gets in: hosts, origins, credentials, roles, TLS.

use std::sync::{Arc, Mutex};

use kandela_config::Secret;
use kandela_config::kandela::{Credential, Role, TlsServer, User};
use kandela_server::{Options, Server, StartError};
use reqwest::StatusCode;
use tempfile::TempDir;

use crate::support::{quiet, raw, start, start_with, status_of};

fn three_roles() -> Vec<User> {
    let token = |name: &str, role| User {
        name: name.to_owned(),
        role,
        credential: Credential::BearerToken(Secret::new(format!("{name}-token"))),
    };
    let hash = "$2b$04$ikaeBqmVbb6sQC491oDdIObEoy/NjHkzfpPKEDex8nkPPGixl4vO2";
    let ana = User {
        name: "ana".to_owned(),
        role: Role::Operator,
        credential: Credential::PasswordBcrypt(Secret::new(hash)),
    };
    vec![token("viewer", Role::Viewer), token("writer", Role::Writer), ana]
}

#[tokio::test]
async fn a_forged_host_gets_nowhere() {
    let running = start(|_| ()).await;
    let address = running.server.addresses().http;
    for path in ["/", "/metrics", "/-/healthy", "/api/kandela/v1/status", "/nowhere"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n");
        let answer = raw(address, &request).await;
        assert_eq!(status_of(&answer), 421, "{path}: {answer}");
        assert!(answer.contains("rebound.example") && answer.contains("kandela.allowed_hosts"), "{answer}");
    }
    let answer =
        raw(address, "GET /metrics HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status_of(&answer), 200);
    assert!(
        answer.contains("kandela_http_refused_requests_total{listener=\"http\",reason=\"host\"} 5"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_request_that_hides_its_host_gets_nowhere() {
    let running = start(|_| ()).await;
    let address = running.server.addresses().http;
    let none = raw(address, "GET /metrics HTTP/1.0\r\n\r\n").await;
    assert_eq!(status_of(&none), 400, "{none}");
    let two =
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: rebound.example\r\nConnection: close\r\n\r\n";
    assert_eq!(status_of(&raw(address, two).await), 400);
    let absolute =
        "GET http://rebound.example/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status_of(&raw(address, absolute).await), 400);
}

#[tokio::test]
async fn a_configured_host_name_is_own() {
    let running =
        start(|options| options.config.kandela.allowed_hosts = vec!["kandela.example".to_owned()]).await;
    let request = "GET /-/healthy HTTP/1.1\r\nHost: kandela.example:80\r\nConnection: close\r\n\r\n";
    assert_eq!(status_of(&raw(running.server.addresses().http, request).await), 200);
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    for origin in ["http://evil.example", "null", "http://localhost:3000"] {
        let answer = client.post(running.url("/-/reload")).header("Origin", origin).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin}");
    }
    let hidden =
        client.post(running.url("/-/reload")).header("Sec-Fetch-Site", "cross-site").send().await.unwrap();
    assert_eq!(hidden.status(), StatusCode::FORBIDDEN);
    let own = running.url("");
    let answer = client.post(running.url("/-/reload")).header("Origin", own).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn each_role_reaches_what_it_may_and_no_more() {
    let running = start(|options| options.config.kandela.users = three_roles()).await;
    let client = reqwest::Client::new();
    let get = |path: &str| client.get(running.url(path));
    let reload = || client.post(running.url("/-/reload"));
    let status = |request: reqwest::RequestBuilder| async { request.send().await.unwrap().status() };

    for path in ["/", "/metrics", "/-/healthy", "/-/ready", "/api/kandela/v1/status", "/nowhere"] {
        assert_eq!(status(get(path)).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(status(get("/metrics").bearer_auth("guess")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(get("/metrics").bearer_auth("viewer-token")).await, StatusCode::OK);
    assert_eq!(status(get("/metrics").bearer_auth("writer-token")).await, StatusCode::OK);
    assert_eq!(status(reload().bearer_auth("viewer-token")).await, StatusCode::FORBIDDEN);
    assert_eq!(status(reload().bearer_auth("writer-token")).await, StatusCode::FORBIDDEN);
    assert_eq!(status(reload().basic_auth("ana", Some("wrong"))).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(reload().basic_auth("ana", Some("operator-password"))).await, StatusCode::OK);
}

#[tokio::test]
async fn a_browser_is_asked_for_a_password() {
    let running = start(|options| options.config.kandela.users = three_roles()).await;
    let answer = reqwest::get(running.url("/")).await.unwrap();
    let asked: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
    assert!(asked.iter().any(|value| value.to_str().unwrap().starts_with("Basic ")), "{asked:?}");
}

#[tokio::test]
async fn listening_beyond_loopback_needs_credentials() {
    let folder = TempDir::new().unwrap();
    for address in ["0.0.0.0:0", "[::]:0"] {
        for port in 0..3 {
            let mut options = quiet(&folder);
            let listen = &mut options.config.kandela.listen;
            *[&mut listen.http, &mut listen.otlp_grpc, &mut listen.otlp_http][port] =
                address.parse().unwrap();
            let error = Server::start(options, None).await.err().expect("an open server started");
            assert!(matches!(error, StartError::Unguarded(_)), "{error}");
            assert!(error.to_string().contains("--insecure"), "{error}");
        }
    }
    let mut guarded = quiet(&folder);
    guarded.config.kandela.listen.http = "0.0.0.0:0".parse().unwrap();
    guarded.config.kandela.users = three_roles();
    Server::start(guarded, None).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let running = start(|_| ()).await;
    let folder = TempDir::new().unwrap();
    let mut options = quiet(&folder);
    options.config.kandela.listen.http = running.server.addresses().http;
    let error = Server::start(options, None).await.err().expect("two servers on one port").to_string();
    assert!(error.contains(&running.server.addresses().http.to_string()), "{error}");
}

#[tokio::test]
async fn tls_serves_clients_that_trust_the_certificate() {
    let folder = TempDir::new().unwrap();
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files =
        TlsServer { cert_file: folder.path().join("cert.pem"), key_file: folder.path().join("key.pem") };
    std::fs::write(&files.cert_file, signed.cert.pem()).unwrap();
    std::fs::write(&files.key_file, signed.signing_key.serialize_pem()).unwrap();
    let running = start(|options| options.config.kandela.tls = Some(files)).await;
    let port = running.server.addresses().http.port();
    let url = format!("https://localhost:{port}/-/healthy");

    let trusting = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(signed.cert.pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    assert_eq!(trusting.get(&url).send().await.unwrap().status(), StatusCode::OK);
    assert!(reqwest::get(&url).await.is_err(), "a client that does not know the certificate was served");
    assert!(reqwest::get(url.replace("https", "http")).await.is_err(), "plain HTTP was served on a TLS port");
}

#[tokio::test]
async fn a_reload_puts_new_credentials_in_force_and_keeps_the_old_on_an_error() {
    let next = Arc::new(Mutex::new(Ok(three_roles())));
    let given = next.clone();
    let source = move || {
        let users: Result<Vec<User>, String> = given.lock().unwrap().clone();
        let mut options = Options::default();
        options.config.kandela.users = users?;
        Ok(options)
    };
    let running = start_with(|_| (), Some(Arc::new(source))).await;
    let client = reqwest::Client::new();
    let reload = || client.post(running.url("/-/reload")).basic_auth("ana", Some("operator-password"));
    assert_eq!(client.get(running.url("/metrics")).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(reload().send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(client.get(running.url("/metrics")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);

    *next.lock().unwrap() = Err("line 3: unknown key".to_owned());
    let answer = reload().send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text().await.unwrap().contains("line 3: unknown key"));
    let metrics = client.get(running.url("/metrics")).bearer_auth("viewer-token").send().await.unwrap();
    let text = metrics.text().await.unwrap();
    assert!(text.contains("kandela_config_reloads_total{outcome=\"error\"} 1"), "{text}");
    assert!(text.contains("kandela_config_reloads_total{outcome=\"ok\"} 1"), "{text}");
}

#[tokio::test]
async fn a_reload_names_what_waits_for_a_restart() {
    let folder = TempDir::new().unwrap();
    let before = quiet(&folder);
    let mut after = before.clone();
    after.config.kandela.retention.metrics *= 2;
    after.config.kandela.limits.body_size += 1;
    let source = Arc::new(move || Ok(after.clone()));
    let server = Server::start(before, Some(source)).await.unwrap();
    let url = format!("http://{}/-/reload", server.addresses().http);
    let answer = reqwest::Client::new().post(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let told = answer.text().await.unwrap();
    assert_eq!(told, "configuration reloaded; restart for kandela.retention, kandela.limits.body_size\n");
}

#[tokio::test]
async fn a_reload_tells_of_systems_that_changed_and_refuses_those_that_can_not_be_read() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("autopilot.yaml");
    let describe = |max: &str| {
        let text = include_str!("../../../../../demo/shop/autopilot.yaml").replace("max: 0.04", max);
        std::fs::write(&file, text).unwrap();
    };
    describe("max: 0.04");
    let mut options = quiet(&folder);
    options.config.kandela.autopilot = Some(file.clone());
    let next = options.clone();
    let server = Server::start(options, Some(Arc::new(move || Ok(next.clone())))).await.unwrap();
    let url = format!("http://{}/-/reload", server.addresses().http);
    let reload = async || {
        let answer = reqwest::Client::new().post(&url).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    assert_eq!(reload().await, (StatusCode::OK, "configuration reloaded\n".to_owned()));
    describe("max: 0.05");
    assert_eq!(reload().await.1, "configuration reloaded; restart for kandela.autopilot\n");
    describe("max: -1");
    let (status, told) = reload().await;
    assert!(
        status == StatusCode::INTERNAL_SERVER_ERROR
            && told.contains("autopilot.yaml")
            && told.contains("shop"),
        "{status} {told}"
    );
}
