//! What is there, and what is set aside for orders. What is on its way, the warehouse's old system knows.

use std::sync::Arc;

use anyhow::Result;
use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ITEMS;
use crate::answer::Answer;
use crate::database::Database;
use crate::downstream::{Call, Downstream};
use crate::extract::Query;
use crate::failure::Failure;
use crate::process::{Endpoints, Site};
use crate::resilience::cache::Cache;

/// At less than this, the warehouse has filled up the shelf.
const FILL_UP_AT: i64 = 20;
const FULL_SHELF: i64 = 1000;
/// The most items that one request may ask for.
const MOST_ITEMS: usize = 100;

struct Stock {
    db: Database,
    warehouse: Downstream,
    cache: Cache<Bytes>,
}

pub(super) fn build(site: &mut Site, endpoints: &mut Endpoints) -> Result<()> {
    let state = Arc::new(Stock {
        db: Database::open(&site.knobs, site.database("stock"), prepare)?,
        warehouse: site.downstream("warehouse")?,
        cache: Cache::new(&site.knobs)?,
    });
    endpoints.get("/availability", availability, &state);
    endpoints.post("/reservations", reserve, &state);
    endpoints.post("/releases", release, &state);
    Ok(())
}

pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS shelf (item INTEGER PRIMARY KEY, quantity INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS reservations (order_id TEXT, item INTEGER, quantity INTEGER);
         CREATE INDEX IF NOT EXISTS reservations_of_order ON reservations (order_id);",
    )?;
    let filled: bool = transaction.query_row("SELECT EXISTS (SELECT 1 FROM shelf)", [], |row| row.get(0))?;
    if !filled {
        let mut insert = transaction.prepare("INSERT INTO shelf VALUES (?1, ?2)")?;
        for item in 0..ITEMS {
            insert.execute(params![item, FULL_SHELF])?;
        }
    }
    transaction.commit()
}

#[derive(Deserialize)]
struct Asked {
    /// Numbers, with commas between.
    items: String,
}

async fn availability(
    State(stock): State<Arc<Stock>>,
    Query(asked): Query<Asked>,
) -> Result<Answer, Failure> {
    let items: Vec<i64> = asked
        .items
        .split(',')
        .map(|item| item.parse().map_err(|_| Failure::bad_request(format!("{item:?} is no item's number"))))
        .collect::<Result<_, _>>()?;
    if items.len() > MOST_ITEMS {
        return Err(Failure::bad_request(format!("{} items; at most {MOST_ITEMS}", items.len())));
    }
    if let Some(known) = stock.cache.get(&asked.items) {
        return Ok(Answer(known));
    }
    let deliveries = stock.warehouse.call(Call::get("/deliveries", "/deliveries".to_owned())).await?;
    let quantities = stock.db.run("SELECT", "shelf", move |connection| {
        let mut select = connection.prepare_cached("SELECT quantity FROM shelf WHERE item = ?1")?;
        let of_item = |item: &i64| {
            let quantity = select.query_row([item], |row| row.get::<_, i64>(0)).optional()?;
            Ok(quantity.unwrap_or(0))
        };
        items.iter().map(of_item).collect::<rusqlite::Result<Vec<i64>>>()
    });
    let quantities = quantities.await?;
    let deliveries: Value = serde_json::from_slice(&deliveries).map_err(anyhow::Error::from)?;
    let answer = json!({ "quantities": quantities, "next_delivery_days": deliveries["days"] });
    let answer = Bytes::from(answer.to_string());
    stock.cache.put(asked.items, answer.clone());
    Ok(Answer(answer))
}

/// What an order sets aside.
#[derive(Serialize, Deserialize)]
pub(super) struct Reservation {
    pub(super) order: String,
    /// Item and quantity.
    pub(super) lines: Vec<(u32, u64)>,
}

async fn reserve(
    State(stock): State<Arc<Stock>>,
    Json(asked): Json<Reservation>,
) -> Result<StatusCode, Failure> {
    let short = stock.db.run("UPDATE", "shelf", move |connection| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (item, quantity) in &asked.lines {
            let there: i64 =
                transaction
                    .query_row("SELECT quantity FROM shelf WHERE item = ?1", [item], |row| row.get(0))?;
            let quantity = i64::try_from(*quantity).unwrap_or(i64::MAX);
            if there < quantity {
                return Ok(Some(*item));
            }
            let left = there - quantity;
            let left = if left < FILL_UP_AT { FULL_SHELF } else { left };
            transaction.execute("UPDATE shelf SET quantity = ?2 WHERE item = ?1", params![item, left])?;
            transaction.execute(
                "INSERT INTO reservations VALUES (?1, ?2, ?3)",
                params![asked.order, item, quantity],
            )?;
        }
        transaction.commit()?;
        Ok(None)
    });
    match short.await? {
        Some(item) => Err(Failure::new(StatusCode::CONFLICT, format!("too little of item {item} is there"))),
        None => Ok(StatusCode::CREATED),
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Release {
    pub(super) order: String,
}

async fn release(State(stock): State<Arc<Stock>>, Json(asked): Json<Release>) -> Result<StatusCode, Failure> {
    let released = stock.db.run("UPDATE", "shelf", move |connection| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "UPDATE shelf SET quantity = quantity + (SELECT sum(quantity) FROM reservations
               WHERE order_id = ?1 AND reservations.item = shelf.item)
             WHERE item IN (SELECT item FROM reservations WHERE order_id = ?1)",
            [&asked.order],
        )?;
        transaction.execute("DELETE FROM reservations WHERE order_id = ?1", [&asked.order])?;
        transaction.commit()
    });
    released.await?;
    Ok(StatusCode::NO_CONTENT)
}
