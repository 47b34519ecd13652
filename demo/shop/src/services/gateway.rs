//! The shop's front door.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use kandela_runtime::knob::LeasedKnob;
use serde::Deserialize;

use super::cart;
use crate::answer::Answer;
use crate::downstream::{Call, Downstream};
use crate::extract::{Path, Query};
use crate::failure::Failure;
use crate::process::{Endpoints, Site};
use crate::resilience::cache::Cache;

struct Gateway {
    catalogue: Downstream,
    cart: Downstream,
    checkout: Downstream,
    /// Pages and items, if that is switched on.
    cache: Cache<Bytes>,
    caches: Arc<LeasedKnob<bool>>,
}

pub(super) fn build(site: &mut Site, endpoints: &mut Endpoints) -> Result<()> {
    let state = Arc::new(Gateway {
        catalogue: site.downstream("catalogue")?,
        cart: site.downstream("cart")?,
        checkout: site.downstream("checkout")?,
        cache: Cache::new(&site.knobs)?,
        caches: site.knobs.switch("cache.enabled")?,
    });
    endpoints.get("/browse", browse, &state);
    endpoints.get("/items/{id}", item, &state);
    endpoints.get("/cart", show_cart, &state);
    endpoints.post("/cart/lines", add, &state);
    endpoints.post("/checkout", check_out, &state);
    endpoints.get("/orders/{id}", show_order, &state);
    Ok(())
}

#[derive(Deserialize)]
struct Wanted {
    category: u32,
    #[serde(default)]
    page: u32,
}

async fn browse(
    State(gateway): State<Arc<Gateway>>,
    Query(wanted): Query<Wanted>,
) -> Result<Answer, Failure> {
    let path = format!("/items?category={}&page={}", wanted.category, wanted.page);
    gateway.ask_catalogue("/items", path).await
}

async fn item(State(gateway): State<Arc<Gateway>>, Path(id): Path<u32>) -> Result<Answer, Failure> {
    gateway.ask_catalogue("/items/{id}", format!("/items/{id}")).await
}

impl Gateway {
    async fn ask_catalogue(&self, route: &'static str, path: String) -> Result<Answer, Failure> {
        let caches = self.caches.read();
        if let Some(known) = caches.then(|| self.cache.get(&path)).flatten() {
            return Ok(Answer(known));
        }
        let answer = self.catalogue.call(Call::get(route, path.clone())).await?;
        if caches {
            self.cache.put(path, answer.clone());
        }
        Ok(Answer(answer))
    }
}

async fn show_cart(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Result<Answer, Failure> {
    let session = cart::session(&headers)?;
    let call = Call { session: Some(&session), ..Call::get("/cart", "/cart".to_owned()) };
    gateway.cart.call(call).await.map(Answer)
}

async fn add(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, Failure> {
    let session = cart::session(&headers)?;
    gateway.cart.call(Call { session: Some(&session), ..Call::post("/cart/lines", body) }).await.map(Answer)
}

async fn check_out(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Result<Response, Failure> {
    let session = cart::session(&headers)?;
    let call = Call { session: Some(&session), ..Call::post("/orders", Bytes::new()) };
    let accepted = gateway.checkout.call(call).await?;
    Ok((StatusCode::ACCEPTED, Answer(accepted)).into_response())
}

async fn show_order(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>) -> Result<Answer, Failure> {
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::bad_request("an order's number has 32 hexadecimal digits"));
    }
    gateway.checkout.call(Call::get("/orders/{id}", format!("/orders/{id}"))).await.map(Answer)
}
