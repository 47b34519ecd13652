//! How targets are reached.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::support::{Running, Target, job, until};

#[tokio::test]
async fn a_refused_connection_is_down_and_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let running = Running::start(&job(&Target::at(address, ""), "")).await;
    until("up 0", || running.kept.value("up{") == Some(0.0)).await;
    until("an error", || running.errors()[0].to_lowercase().contains("refused")).await;
    assert_eq!(running.kept.value("scrape_samples_scraped"), Some(0.0));
}

#[tokio::test]
async fn another_status_than_200_is_down() {
    let target = Target::serve("a 1\n").await;
    target.change(|reply| reply.status = 503);
    let running = Running::start(&job(&target, "")).await;
    until("an error", || {
        running
            .errors()
            .first()
            .is_some_and(|error| error == "server returned HTTP status 503 Service Unavailable")
    })
    .await;
    assert_eq!(running.kept.value("up{"), Some(0.0));
    assert!(running.kept.value("a{").is_none());
}

#[tokio::test]
async fn a_target_that_hangs_is_down_and_costs_others_nothing() {
    let hanging = Target::serve("a 1\n").await;
    hanging.change(|reply| reply.delay = Duration::from_secs(60));
    let quick = Target::serve("b 1\n").await;
    let yaml = format!(
        "- job_name: test\n  static_configs: [{{targets: ['{}', '{}']}}]",
        hanging.address, quick.address
    );
    let running = Running::start(&yaml).await;
    until("b five times", || running.kept.samples("b{").len() >= 5).await;
    let up = format!("up{{instance=\"{}\"", hanging.address);
    until("up 0", || running.kept.value(&up) == Some(0.0)).await;
    until("an error", || {
        running.errors().iter().any(|error| error.contains("within the scrape timeout of 200ms"))
    })
    .await;
    assert!(running.kept.value("a{").is_none());
}

#[tokio::test]
async fn requests_say_what_prometheus_says() {
    let target = Target::serve("a 1\n").await;
    let more = "metrics_path: /probe\nparams: {module: [http]}\nscrape_timeout: 150ms\nhttp_headers: {X-Team: {values: [shop]}}";
    let running = Running::start(&job(&target, more)).await;
    until("a", || running.kept.value("a{").is_some()).await;
    let (uri, headers) = target.requests().remove(0);
    assert_eq!(uri, "/probe?module=http");
    let header =
        |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    assert_eq!(header("x-prometheus-scrape-timeout-seconds"), "0.15");
    assert!(
        header("accept").starts_with("application/openmetrics-text;version=1.0.0"),
        "{}",
        header("accept")
    );
    assert_eq!(header("accept-encoding"), "gzip");
    assert!(header("user-agent").starts_with("Kandela/"));
    assert_eq!(header("x-team"), "shop");

    let target = Target::serve("a 1\n").await;
    let running = Running::start(&job(&target, "enable_compression: false")).await;
    until("a", || running.kept.value("a{").is_some()).await;
    let (_, headers) = target.requests().remove(0);
    assert_eq!(headers.get("accept-encoding"), None);
}

#[tokio::test]
async fn basic_auth_sends_user_and_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret\n").unwrap();
    for password in ["password: s3cret".to_owned(), format!("password_file: '{}'", file.display())] {
        let target = Target::serve("a 1\n").await;
        let running =
            Running::start(&job(&target, &format!("basic_auth: {{username: me, {password}}}"))).await;
        until("a", || running.kept.value("a{").is_some()).await;
        // base64 of me:s3cret
        assert_eq!(target.requests()[0].1.get("authorization").unwrap(), "Basic bWU6czNjcmV0");
    }
}

#[tokio::test]
async fn a_token_file_is_read_for_each_scrape() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "one\n").unwrap();
    let target = Target::serve("a 1\n").await;
    let running =
        Running::start(&job(&target, &format!("authorization: {{credentials_file: '{}'}}", file.display())))
            .await;
    let sent = |target: &Target| {
        target.requests().pop().and_then(|(_, headers)| headers.get("authorization").cloned())
    };
    until("the first token", || sent(&target).is_some_and(|value| value == "Bearer one")).await;
    std::fs::write(&file, "two\n").unwrap();
    until("the second token", || sent(&target).is_some_and(|value| value == "Bearer two")).await;
    std::fs::remove_file(&file).unwrap();
    until("an error", || running.errors()[0].contains("token: No such file")).await;
    assert_eq!(running.kept.value("up{"), Some(0.0));
}

#[tokio::test]
async fn redirects_are_followed_unless_told_otherwise() {
    let there = Target::serve("a 1\n").await;
    let here = Target::serve("").await;
    here.change(|reply| {
        reply.status = 302;
        reply.headers.push(("location", format!("http://{}/metrics", there.address)));
    });
    let running = Running::start(&job(&here, "")).await;
    until("a", || running.kept.value("a{").is_some()).await;
    let running = Running::start(&job(&here, "follow_redirects: false")).await;
    until("an error", || running.errors().first().is_some_and(|error| error.contains("302 Found"))).await;
}

/// An authority's certificate, and a server's certificate and key that it signed for `name`.
fn authority(name: &str) -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (issuer.pem(), certificate.pem(), key.serialize_pem())
}

async fn serve_tls(certificate: &str, key: &str) -> Target {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::at(listener.local_addr().unwrap(), "a 1\n");
    let service = TowerToHyperService::new(target.router());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, service) = (acceptor.clone(), service.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                }
            });
        }
    });
    target
}

#[tokio::test]
async fn a_server_with_an_own_authority_is_trusted_by_its_ca_file() {
    let (ca, certificate, key) = authority("127.0.0.1");
    let target = serve_tls(&certificate, &key).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca).unwrap();
    let running = Running::start(&job(
        &target,
        &format!("scheme: https\ntls_config: {{ca_file: '{}'}}", file.display()),
    ))
    .await;
    until("a", || running.kept.value("a{") == Some(1.0)).await;
    assert!(running.manager.targets().active[0].scrape_url.starts_with("https://"));
}

#[tokio::test]
async fn an_unknown_authority_is_refused_unless_verification_is_off() {
    let (_, certificate, key) = authority("127.0.0.1");
    let target = serve_tls(&certificate, &key).await;
    let running = Running::start(&job(&target, "scheme: https")).await;
    until("an error", || {
        running.errors().first().is_some_and(|error| error.to_lowercase().contains("certificate"))
    })
    .await;
    assert_eq!(running.kept.value("up{"), Some(0.0));
    let running =
        Running::start(&job(&target, "scheme: https\ntls_config: {insecure_skip_verify: true}")).await;
    until("a", || running.kept.value("a{") == Some(1.0)).await;
}

#[tokio::test]
async fn a_server_name_stands_in_for_the_address() {
    let (ca, certificate, key) = authority("shop.internal");
    let target = serve_tls(&certificate, &key).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca).unwrap();
    let tls = |name: &str| {
        format!("scheme: https\ntls_config: {{ca_file: '{}', server_name: {name}}}", file.display())
    };
    let running = Running::start(&job(&target, &tls("shop.internal"))).await;
    until("a", || running.kept.value("a{") == Some(1.0)).await;
    let running = Running::start(&job(&target, &tls("other.internal"))).await;
    until("an error", || running.errors().first().is_some_and(|error| error.contains("not valid for name")))
        .await;
}
