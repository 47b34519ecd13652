//! Turns baskets into orders. An order is accepted at once, and paid by the queue's workers.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use opentelemetry::context::FutureExt;
use opentelemetry::trace::{SpanContext, Status, TraceContextExt};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde_json::json;

use super::cart;
use super::payment::Charge;
use super::stock::{Release, Reservation};
use crate::database::Database;
use crate::downstream::{Call, Downstream};
use crate::extract::Path;
use crate::failure::Failure;
use crate::process::{Endpoints, Site};
use crate::queue::Queue;
use crate::resilience::cache::Cache;
use crate::telemetry;

struct Checkout {
    db: Database,
    cart: Downstream,
    stock: Downstream,
    payment: Downstream,
    /// States of orders that change no more.
    settled: Cache<String>,
    queue: Arc<Queue<Waiting>>,
}

/// An order that waits to be paid.
struct Waiting {
    order: String,
    cents: u64,
    sent: SpanContext,
}

pub(super) fn build(site: &mut Site, endpoints: &mut Endpoints) -> Result<()> {
    let state = Arc::new(Checkout {
        db: Database::open(&site.knobs, site.database("checkout"), prepare)?,
        cart: site.downstream("cart")?,
        stock: site.downstream("stock")?,
        payment: site.downstream("payment")?,
        settled: Cache::new(&site.knobs)?,
        queue: Queue::new(&site.knobs)?,
    });
    endpoints.post("/orders", order, &state);
    endpoints.get("/orders/{id}", show, &state);
    let worker = state.clone();
    state.queue.work(move |batch| settle(worker.clone(), batch));
    Ok(())
}

pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, cents INTEGER NOT NULL, state TEXT NOT NULL);",
    )
}

async fn order(State(checkout): State<Arc<Checkout>>, headers: HeaderMap) -> Result<Response, Failure> {
    let session = cart::session(&headers)?;
    if !checkout.queue.has_room() {
        return Err(Failure::busy("too many orders wait to be paid"));
    }
    // A customer who hangs up half-way has ordered all the same: no order is left half made.
    let made = tokio::spawn(make_order(checkout, session).with_current_context());
    let (order, cents) = made.await.map_err(anyhow::Error::from)??;
    Ok((StatusCode::ACCEPTED, Json(json!({ "order": order, "cents": cents }))).into_response())
}

/// Sets aside what is in the basket, writes the order down, and has it wait to be paid. Its number and price.
async fn make_order(checkout: Arc<Checkout>, session: String) -> Result<(String, u64), Failure> {
    let of_session = |call: Call<'static>| Call { session: Some(&session), ..call };
    let basket = checkout.cart.call(of_session(Call::get("/cart", "/cart".to_owned()))).await?;
    let basket = cart::read_priced(&basket)?;
    if basket.lines.is_empty() {
        return Err(Failure::new(StatusCode::CONFLICT, "the basket is empty"));
    }

    let id = format!("{:032x}", rand::random::<u128>());
    let lines = basket.lines.iter().map(|line| (line.item, line.quantity)).collect();
    let reservation = to_json(&Reservation { order: id.clone(), lines })?;
    checkout.stock.call(Call::post("/reservations", reservation)).await?;
    let (order, cents) = (id.clone(), basket.cents);
    let made = async {
        let inserted = checkout.db.run("INSERT", "orders", move |connection| {
            connection.execute("INSERT INTO orders VALUES (?1, ?2, 'accepted')", params![order, cents])
        });
        inserted.await?;
        let clear = Call { repeatable: true, ..Call::post("/cart/clear", Bytes::new()) };
        checkout.cart.call(of_session(clear)).await
    };
    if let Err(failure) = made.await {
        if checkout.give_up(id).await.is_err() {
            tracing::warn!("an order that failed keeps what it has set aside");
        }
        return Err(failure);
    }

    let span = telemetry::producer_span();
    let waiting = Waiting { order: id.clone(), cents, sent: span.span().span_context().clone() };
    let pushed = checkout.queue.push(waiting);
    span.span().end();
    if let Err(Waiting { order, .. }) = pushed {
        checkout.give_up(order).await?;
        return Err(Failure::busy("too many orders wait to be paid"));
    }
    telemetry::orders_queued(1);
    Ok((id, cents))
}

async fn show(State(checkout): State<Arc<Checkout>>, Path(id): Path<String>) -> Result<Response, Failure> {
    if let Some(state) = checkout.settled.get(&id) {
        return Ok(Json(json!({ "order": id, "state": state })).into_response());
    }
    let order = id.clone();
    let state = checkout.db.run("SELECT", "orders", move |connection| {
        let state = connection.query_row("SELECT state FROM orders WHERE id = ?1", [order], |row| row.get(0));
        state.optional()
    });
    let state: Option<String> = state.await?;
    let Some(state) = state else {
        return Err(Failure::new(StatusCode::NOT_FOUND, "there is no such order"));
    };
    if state != "accepted" {
        checkout.settled.put(id.clone(), state.clone());
    }
    Ok(Json(json!({ "order": id, "state": state })).into_response())
}

/// Pays the orders of a batch side by side, and writes down what came of them in one transaction.
async fn settle(checkout: Arc<Checkout>, batch: Vec<Waiting>) {
    telemetry::orders_queued(-i64::try_from(batch.len()).unwrap_or(i64::MAX));
    let paying: Vec<_> = batch
        .into_iter()
        .map(|waiting| {
            let checkout = checkout.clone();
            tokio::spawn(async move { (checkout.pay(&waiting).await, waiting.order) })
        })
        .collect();
    let mut settled = Vec::new();
    for paid in paying {
        match paid.await {
            Ok((paid, order)) => settled.push((paid, order)),
            Err(error) => tracing::error!(%error, "paying an order panicked"),
        }
    }
    let failed: Vec<String> =
        settled.iter().filter(|(paid, _)| !paid).map(|(_, order)| order.clone()).collect();
    let paid: Vec<String> = settled.into_iter().filter(|(paid, _)| *paid).map(|(_, order)| order).collect();
    if let Err(error) = checkout.write_states(paid, "paid").await {
        tracing::error!(error = %format!("{error:#}"), "orders were paid and not written down");
    }
    for order in failed {
        if checkout.give_up(order).await.is_err() {
            tracing::warn!("a failed order keeps what it set aside");
        }
    }
}

impl Checkout {
    async fn pay(&self, waiting: &Waiting) -> bool {
        let since = Instant::now();
        let context = telemetry::consumer_span(waiting.sent.clone());
        let charge = to_json(&Charge { order: waiting.order.clone(), cents: waiting.cents });
        let Ok(charge) = charge else { return false };
        // The bank knows an order that it has charged.
        let call = Call { repeatable: true, ..Call::post("/payments", charge) };
        let paid = self.payment.call(call).with_context(context.clone()).await.is_ok();
        if !paid {
            context.span().set_status(Status::error("payment failed"));
        }
        context.span().end();
        telemetry::order_processed(since.elapsed(), paid);
        paid
    }

    async fn write_states(&self, orders: Vec<String>, state: &'static str) -> Result<()> {
        if orders.is_empty() {
            return Ok(());
        }
        let written = self.db.run("UPDATE", "orders", move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for order in orders {
                transaction.execute("UPDATE orders SET state = ?2 WHERE id = ?1", params![order, state])?;
            }
            transaction.commit()
        });
        written.await
    }

    async fn give_up(&self, order: String) -> Result<(), Failure> {
        self.write_states(vec![order.clone()], "failed").await?;
        let release = Call { repeatable: true, ..Call::post("/releases", to_json(&Release { order })?) };
        self.stock.call(release).await.map(|_| ())
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<Bytes> {
    Ok(Bytes::from(serde_json::to_vec(value)?))
}
