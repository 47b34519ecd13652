//! Whose data are told, to whom, and to which web pages.

use kandela_config::Secret;
use kandela_config::kandela::{Credential, Role, User};
use kandela_model::TenantId;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{now, requests, send_to};
use crate::support::{Running, start};

async fn asked(running: &Running, method: Method, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let request = reqwest::Client::new().request(method, running.url(path));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

#[tokio::test]
async fn each_tenant_sees_its_own_series() {
    let shop = TenantId::new("shop").unwrap();
    let running = start(|options| options.config.kandela.tenants = vec![shop]).await;
    send_to(&running.url("/api/v1/write"), Some("shop"), &requests(now() - 100, 10)).await;
    let found = async |tenant: Option<&str>| {
        let headers: Vec<(&str, &str)> = tenant.map(|tenant| ("X-Scope-OrgID", tenant)).into_iter().collect();
        let path = "/api/v1/query?query=count(requests_total)";
        let document: Value = asked(&running, Method::GET, path, &headers).await.json().await.unwrap();
        document["data"]["result"].as_array().map(Vec::len)
    };
    assert_eq!(found(Some("shop")).await, Some(1));
    assert_eq!(found(None).await, Some(0));
    let unknown = asked(&running, Method::GET, "/api/v1/query?query=1", &[("X-Scope-OrgID", "nobody")]).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let document: Value = unknown.json().await.unwrap();
    assert_eq!(document["errorType"], "not_found");
}

#[tokio::test]
async fn a_viewer_may_read_and_nobody_else_gets_in() {
    let viewer = User {
        name: "viewer".to_owned(),
        role: Role::Viewer,
        credential: Credential::BearerToken(Secret::new("viewer-token")),
    };
    let running = start(|options| options.config.kandela.users = vec![viewer]).await;
    let viewer = [("Authorization", "Bearer viewer-token")];
    for path in ["/api/v1/query?query=1", "/api/v1/labels", "/api/v1/status/config", "/federate?match[]=up"] {
        assert_eq!(asked(&running, Method::GET, path, &viewer).await.status(), StatusCode::OK, "{path}");
        let stranger = asked(&running, Method::GET, path, &[]).await;
        assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED, "{path}");
        let document: Value = stranger.json().await.unwrap();
        assert_eq!(document["status"], "error", "{path}");
    }
    let admin = asked(&running, Method::POST, "/api/v1/admin/tsdb/snapshot", &viewer).await;
    assert_eq!(admin.status(), StatusCode::FORBIDDEN);
}

const TRUSTED: &str = "https://grafana.example";
const ALLOWED: &str = "access-control-allow-origin";

#[tokio::test]
async fn only_pages_of_trusted_origins_may_read() {
    let running = start(|options| options.config.kandela.allowed_origins = vec![TRUSTED.to_owned()]).await;
    let path = "/api/v1/query?query=1";
    let trusted = asked(&running, Method::GET, path, &[("Origin", TRUSTED)]).await;
    assert_eq!(trusted.headers()[ALLOWED], TRUSTED);
    assert!(trusted.headers().get_all("vary").iter().any(|value| value == "Origin"));
    let foreign = asked(&running, Method::GET, path, &[("Origin", "https://evil.example")]).await;
    assert_eq!(foreign.status(), StatusCode::OK);
    assert!(foreign.headers().get(ALLOWED).is_none());
    let none = asked(&running, Method::GET, path, &[]).await;
    assert!(none.headers().get(ALLOWED).is_none());
}

#[tokio::test]
async fn a_preflight_needs_no_credentials_and_tells_nothing() {
    let user = User {
        name: "viewer".to_owned(),
        role: Role::Viewer,
        credential: Credential::BearerToken(Secret::new("viewer-token")),
    };
    let running = start(|options| {
        options.config.kandela.users = vec![user];
        options.config.kandela.allowed_origins = vec![TRUSTED.to_owned()];
    })
    .await;
    let preflight = async |origin: &str| {
        let headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        asked(&running, Method::OPTIONS, "/api/v1/query", &headers).await
    };
    let trusted = preflight(TRUSTED).await;
    assert_eq!(trusted.status(), StatusCode::NO_CONTENT);
    assert_eq!(trusted.headers()[ALLOWED], TRUSTED);
    assert!(trusted.headers()["access-control-allow-headers"].to_str().unwrap().contains("Authorization"));
    let foreign = preflight("https://evil.example").await;
    assert_eq!(foreign.status(), StatusCode::NO_CONTENT);
    assert!(foreign.headers().get(ALLOWED).is_none());
}

#[tokio::test]
async fn questions_that_come_through_the_proxy_of_a_dashboard_are_answered() {
    let running = start(|_| ()).await;
    let headers = [("Origin", TRUSTED), ("Sec-Fetch-Site", "same-origin")];
    for path in ["query", "query_range", "labels", "series", "query_exemplars", "parse_query", "format_query"]
    {
        let answer = asked(&running, Method::POST, &format!("/api/v1/{path}"), &headers).await;
        assert_ne!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        assert!(answer.headers().get(ALLOWED).is_none(), "{path}");
    }
    let write = asked(&running, Method::POST, "/api/v1/write", &headers).await;
    assert_eq!(write.status(), StatusCode::FORBIDDEN);
    assert!(write.text().await.unwrap().contains("kandela.allowed_origins"));
}

#[tokio::test]
async fn options_are_told_anywhere() {
    let running = start(|_| ()).await;
    for path in ["/api/v1/query", "/-/healthy"] {
        let answer = asked(&running, Method::OPTIONS, path, &[]).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{path}");
    }
}
