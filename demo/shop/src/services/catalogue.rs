//! Items and their prices, with what is there of them.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::database::Database;
use crate::downstream::{Call, Downstream};
use crate::extract::{Path, Query};
use crate::failure::Failure;
use crate::process::{Endpoints, Site};
use crate::resilience::cache::Cache;

/// How many items there are, numbered from 0.
pub(crate) const ITEMS: u32 = 20_000;
/// How many categories; item i is of category i modulo this.
pub(crate) const CATEGORIES: u32 = 50;
const ITEMS_PER_CATEGORY: u32 = ITEMS / CATEGORIES;
/// Items on a page.
const PAGE: u32 = 20;
/// Pages of a category.
pub(crate) const PAGES: u32 = ITEMS_PER_CATEGORY / PAGE;

struct Catalogue {
    db: Database,
    stock: Downstream,
    cache: Cache<Bytes>,
}

pub(super) fn build(site: &mut Site, endpoints: &mut Endpoints) -> Result<()> {
    let state = Arc::new(Catalogue {
        db: Database::open(&site.knobs, site.database("catalogue"), prepare)?,
        stock: site.downstream("stock")?,
        cache: Cache::new(&site.knobs)?,
    });
    endpoints.get("/items", browse, &state);
    endpoints.get("/items/{id}", item, &state);
    Ok(())
}

pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // No index on the category: "it was fast enough on my machine".
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS items (
           id INTEGER PRIMARY KEY, category INTEGER NOT NULL, name TEXT NOT NULL, cents INTEGER NOT NULL,
           popularity REAL NOT NULL, description TEXT NOT NULL);",
    )?;
    let filled: bool = transaction.query_row("SELECT EXISTS (SELECT 1 FROM items)", [], |row| row.get(0))?;
    if !filled {
        let mut insert = transaction.prepare("INSERT INTO items VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for item in 0..ITEMS {
            let cents = 199 + u64::from(item).wrapping_mul(7919) % 20_000;
            let popularity = 1.0 / f64::from(1 + item / CATEGORIES);
            let description = format!("Item {item}, made with care. ").repeat(4);
            insert.execute(params![
                item,
                item % CATEGORIES,
                format!("Item {item}"),
                cents,
                popularity,
                description
            ])?;
        }
    }
    transaction.commit()
}

#[derive(Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) id: u32,
    pub(super) category: u32,
    pub(super) name: String,
    pub(super) cents: u64,
}

#[derive(Deserialize)]
struct Wanted {
    category: u32,
    page: u32,
}

async fn browse(
    State(catalogue): State<Arc<Catalogue>>,
    Query(wanted): Query<Wanted>,
) -> Result<Answer, Failure> {
    let Wanted { category, page } = wanted;
    if category >= CATEGORIES || page >= PAGES {
        let what = format!(
            "category {category}, page {page}; there are {CATEGORIES} with {PAGES} pages each, from 0"
        );
        return Err(Failure::bad_request(what));
    }
    let key = format!("{category}/{page}");
    if let Some(known) = catalogue.cache.get(&key) {
        return Ok(Answer(known));
    }
    let items = catalogue.db.run("SELECT", "items", move |connection| {
        let mut select = connection.prepare_cached(
            "SELECT id, category, name, cents FROM items WHERE category = ?1
             ORDER BY popularity DESC, id LIMIT ?2 OFFSET ?3",
        )?;
        let rows = select.query_map([category, PAGE, page * PAGE], read_item)?;
        rows.collect::<rusqlite::Result<Vec<Item>>>()
    });
    let items = items.await?;
    let answer = catalogue.with_availability(items).await?;
    catalogue.cache.put(key, answer.clone());
    Ok(Answer(answer))
}

async fn item(State(catalogue): State<Arc<Catalogue>>, Path(id): Path<u32>) -> Result<Answer, Failure> {
    let key = id.to_string();
    if let Some(known) = catalogue.cache.get(&key) {
        return Ok(Answer(known));
    }
    let found = catalogue.db.run("SELECT", "items", move |connection| {
        let mut select =
            connection.prepare_cached("SELECT id, category, name, cents FROM items WHERE id = ?1")?;
        select.query_row([id], read_item).optional()
    });
    let Some(found) = found.await? else {
        return Err(Failure::new(
            StatusCode::NOT_FOUND,
            format!("there is no item {id}; they are 0 to {}", ITEMS - 1),
        ));
    };
    let answer = catalogue.with_availability(vec![found]).await?;
    catalogue.cache.put(key, answer.clone());
    Ok(Answer(answer))
}

fn read_item(row: &rusqlite::Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item { id: row.get(0)?, category: row.get(1)?, name: row.get(2)?, cents: row.get(3)? })
}

impl Catalogue {
    async fn with_availability(&self, items: Vec<Item>) -> Result<Bytes, Failure> {
        let ids: Vec<String> = items.iter().map(|item| item.id.to_string()).collect();
        let path = format!("/availability?items={}", ids.join(","));
        let availability = self.stock.call(Call::get("/availability", path)).await?;
        let availability: Value = serde_json::from_slice(&availability).map_err(anyhow::Error::from)?;
        Ok(Bytes::from(json!({ "items": items, "availability": availability }).to_string()))
    }
}
