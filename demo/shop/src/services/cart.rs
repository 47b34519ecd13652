//! Baskets, and what they cost.

use std::sync::Arc;

use anyhow::Result;
use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::catalogue::Item;
use crate::database::Database;
use crate::downstream::{Call, Downstream, SESSION};
use crate::failure::Failure;
use crate::pricing::{self, Line, Priced};
use crate::process::{Endpoints, Site};
use crate::resilience::cache::Cache;

/// The most of one item in a basket.
const MOST: u64 = 100;

struct Cart {
    db: Database,
    catalogue: Downstream,
    /// Prices by what is in the basket.
    prices: Cache<Priced>,
}

pub(super) fn build(site: &mut Site, endpoints: &mut Endpoints) -> Result<()> {
    let state = Arc::new(Cart {
        db: Database::open(&site.knobs, site.database("cart"), prepare)?,
        catalogue: site.downstream("catalogue")?,
        prices: Cache::new(&site.knobs)?,
    });
    endpoints.get("/cart", show, &state);
    endpoints.post("/cart/lines", add, &state);
    endpoints.post("/cart/clear", clear, &state);
    Ok(())
}

pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS lines (
           session TEXT NOT NULL, item INTEGER NOT NULL, category INTEGER NOT NULL, cents INTEGER NOT NULL,
           quantity INTEGER NOT NULL, PRIMARY KEY (session, item)) WITHOUT ROWID;",
    )
}

/// The session that a request is of.
pub(super) fn session(headers: &HeaderMap) -> Result<String, Failure> {
    let session = headers.get(SESSION).and_then(|session| session.to_str().ok());
    let session = session.filter(|session| (1..=64).contains(&session.len()));
    session
        .map(str::to_owned)
        .ok_or_else(|| Failure::bad_request(format!("give a session of 1 to 64 letters in {SESSION}")))
}

/// One more thing in a basket.
#[derive(Serialize, Deserialize)]
pub(super) struct NewLine {
    item: u32,
    quantity: u64,
}

#[derive(Deserialize)]
struct Found {
    items: Vec<Item>,
}

async fn add(
    State(cart): State<Arc<Cart>>,
    headers: HeaderMap,
    Json(new): Json<NewLine>,
) -> Result<Json<Priced>, Failure> {
    let session = session(&headers)?;
    if !(1..=MOST).contains(&new.quantity) {
        return Err(Failure::bad_request(format!("quantity is {}; it may be 1 to {MOST}", new.quantity)));
    }
    let found = cart.catalogue.call(Call::get("/items/{id}", format!("/items/{}", new.item))).await?;
    let found: Found = serde_json::from_slice(&found).map_err(anyhow::Error::from)?;
    let Some(item) = found.items.into_iter().next() else {
        return Err(Failure::bad_gateway("the catalogue named no item"));
    };
    let lines = cart.db.run("INSERT", "lines", move |connection| {
        connection.execute(
            "INSERT INTO lines VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET quantity = min(quantity + excluded.quantity, 100), cents = excluded.cents",
            params![session, item.id, item.category, item.cents, new.quantity],
        )?;
        lines_of(connection, &session)
    });
    cart.priced(lines.await?).await
}

async fn show(State(cart): State<Arc<Cart>>, headers: HeaderMap) -> Result<Json<Priced>, Failure> {
    let session = session(&headers)?;
    let lines = cart.db.run("SELECT", "lines", move |connection| lines_of(connection, &session)).await?;
    cart.priced(lines).await
}

async fn clear(State(cart): State<Arc<Cart>>, headers: HeaderMap) -> Result<StatusCode, Failure> {
    let session = session(&headers)?;
    let cleared = cart.db.run("DELETE", "lines", move |connection| {
        connection.execute("DELETE FROM lines WHERE session = ?1", [session])
    });
    cleared.await?;
    Ok(StatusCode::NO_CONTENT)
}

fn lines_of(connection: &Connection, session: &str) -> rusqlite::Result<Vec<Line>> {
    let mut select =
        connection.prepare_cached("SELECT item, category, cents, quantity FROM lines WHERE session = ?1")?;
    let rows = select.query_map([session], |row| {
        Ok(Line { item: row.get(0)?, category: row.get(1)?, cents: row.get(2)?, quantity: row.get(3)? })
    })?;
    rows.collect()
}

impl Cart {
    async fn priced(&self, lines: Vec<Line>) -> Result<Json<Priced>, Failure> {
        let key: String = lines.iter().map(|line| format!("{}×{} ", line.item, line.quantity)).collect();
        if let Some(known) = self.prices.get(&key) {
            return Ok(Json(known));
        }
        let priced =
            tokio::task::spawn_blocking(move || pricing::price(lines)).await.map_err(anyhow::Error::from)?;
        self.prices.put(key, priced.clone());
        Ok(Json(priced))
    }
}

/// Reads a priced basket from the service's answer.
pub(super) fn read_priced(body: &Bytes) -> Result<Priced, Failure> {
    Ok(serde_json::from_slice(body).map_err(anyhow::Error::from)?)
}
