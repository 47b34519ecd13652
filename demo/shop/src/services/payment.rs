//! Has orders charged by the bank, each once.

use std::sync::Arc;

use anyhow::Result;
use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::database::Database;
use crate::downstream::{Call, Downstream};
use crate::failure::Failure;
use crate::process::{Endpoints, Site};
use crate::resilience::cache::Cache;

struct Payment {
    db: Database,
    bank: Downstream,
    /// Orders that are charged, so that asking again charges nothing.
    charged: Cache<()>,
}

/// What is to be paid.
#[derive(Serialize, Deserialize)]
pub(super) struct Charge {
    pub(super) order: String,
    pub(super) cents: u64,
}

pub(super) fn build(site: &mut Site, endpoints: &mut Endpoints) -> Result<()> {
    let state = Arc::new(Payment {
        db: Database::open(&site.knobs, site.database("payment"), prepare)?,
        bank: site.downstream("bank")?,
        charged: Cache::new(&site.knobs)?,
    });
    endpoints.post("/payments", pay, &state);
    Ok(())
}

pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS payments (order_id TEXT PRIMARY KEY, cents INTEGER NOT NULL) WITHOUT ROWID;",
    )
}

async fn pay(
    State(payment): State<Arc<Payment>>,
    Json(charge): Json<Charge>,
) -> Result<Json<Value>, Failure> {
    let order = charge.order.clone();
    if payment.is_charged(&order).await? {
        return Ok(Json(json!({ "paid": true })));
    }
    let body = Bytes::from(json!({ "reference": order, "cents": charge.cents }).to_string());
    // The reference makes it the same charge, however often it is asked for.
    payment.bank.call(Call { repeatable: true, ..Call::post("/charges", body) }).await?;
    let inserted = payment.db.run("INSERT", "payments", move |connection| {
        connection
            .execute("INSERT OR IGNORE INTO payments VALUES (?1, ?2)", params![charge.order, charge.cents])
    });
    inserted.await?;
    payment.charged.put(order, ());
    Ok(Json(json!({ "paid": true })))
}

impl Payment {
    async fn is_charged(&self, order: &str) -> Result<bool> {
        if self.charged.get(order).is_some() {
            return Ok(true);
        }
        let order = order.to_owned();
        let found = self.db.run("SELECT", "payments", move |connection| {
            let found =
                connection.query_row("SELECT 1 FROM payments WHERE order_id = ?1", [order], |_| Ok(()));
            found.optional()
        });
        Ok(found.await?.is_some())
    }
}
