//! Sockets: listening, TLS, and bodies of bounded size.

pub(crate) mod body;
mod listen;
mod tls;

pub(crate) use listen::{Listener, Peer, Shutdown};
pub(crate) use tls::TlsAcceptor;
pub use tls::{TlsError, TlsFiles};
