//! The running system: listens, takes telemetry in, answers, and keeps the lake in shape.
//!
//! The only crate that knows wire formats going out, and the one that wires the others together. One [`Server`] listens on
//! one main port for pages and all APIs, and on OTLP's two ports; [`Options`] say where, for whom and within which limits.
//!
//! ```no_run
//! # async fn run() -> Result<(), kandela_server::StartError> {
//! use kandela_server::{Options, Server};
//!
//! let server = Server::start(Options::default(), None).await?;
//! println!("open http://{}", server.addresses().http);
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod admission;
mod app;
mod autopilot;
mod background;
mod guard;
mod http;
mod label_limits;
mod ladder;
mod memory;
mod net;
mod options;
mod otlp;
mod promql;
mod receive;
mod refusal;
mod remote_read;
mod server;
mod sources;
mod sql;
mod telemetry;
mod tenants;
mod turns;

pub use app::{Addresses, OptionsSource};
pub use autopilot::ConfigError as AutopilotConfigError;
pub use guard::CredentialError;
pub use ladder::{Deployment, Level, Standing, ladder};
pub use memory::share_heaps;
pub use net::{TlsError, TlsFiles};
pub use options::Options;
pub use remote_read::{RemoteBatches, RemotePiece, RemoteRead, RemoteReadError, RemoteSource};
pub use server::{Server, StartError};
pub use sources::SourceStatus;
pub use sql::{RowEncoder, RowFormat, WARNING};
