//! Another server's samples, by Prometheus' remote read.

mod client;
mod source;

pub use client::{RemoteBatches, RemotePiece, RemoteRead, RemoteReadError};
pub use source::RemoteSource;
