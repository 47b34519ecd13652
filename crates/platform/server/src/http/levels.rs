//! `/api/kandela/v1/levels`: where this deployment is on the ladder.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;

use crate::app::App;
use crate::ladder::{Deployment, Level, ladder};

pub(super) async fn levels(State(app): State<Arc<App>>) -> Json<Vec<Level>> {
    let sources = app.sources.status(Instant::now());
    // What the server says of itself and of its machine is no use of it.
    let others = || sources.iter().filter(|source| !["self", "host"].contains(&source.protocol));
    Json(ladder(&Deployment {
        runs: true,
        host: sources.iter().any(|source| source.protocol == "host" && source.samples > 0),
        samplers: others().filter(|source| source.samples > 0).count(),
        spans: others().map(|source| source.spans).sum(),
        systems: app.autopilot.modes(),
    }))
}
