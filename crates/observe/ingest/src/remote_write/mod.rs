//! Prometheus remote write, both versions, and remote read.
//!
//! [`Decoder`] turns a request's body into a [`MetricBatch`](kandela_model::MetricBatch), [`Encoder`] turns a batch into
//! bodies for another receiver, and [`read`] asks a remote server for what it keeps.
//!
//! This is the way that most samples take, so the reader is written by hand: it walks the decompressed buffer once and copies
//! label bytes straight into the batch, in canonical form; nothing is allocated a sample. Specifications:
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/> and
//! <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>.
//!
//! What one series did wrong costs only that series: the others are taken, and [`Rejections`] says what to tell the sender.
//!
//! ```
//! use kandela_ingest::remote_write::{Decoder, Encoder, Limits, Message};
//! use kandela_model::{MetricBatch, Timestamp};
//!
//! let mut sent = MetricBatch::default();
//! let up = sent.add_series([("__name__", "up"), ("job", "shop")])?;
//! sent.add_sample(up, Timestamp::from_millis(1_700_000_000_000), 1.0);
//! let body = Encoder::default().encode(Message::V2, &sent);
//!
//! let message = Message::from_headers(Some(Message::V2.content_type()), Some("snappy"))?;
//! let mut received = MetricBatch::default();
//! let rejections = Decoder::new(Limits::default()).decode(message, &body, &mut received)?;
//! assert!(rejections.is_empty());
//! assert_eq!(received.samples, sent.samples);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod histogram;
mod labels;
mod message;
pub mod read;
mod reject;
mod series;
mod v1;
mod v2;

pub use crate::protobuf::Malformed;
pub use decode::Decoder;
pub use encode::Encoder;
pub use message::{Limits, Message, WriteError, Written};
pub use reject::{Reason, Rejection, Rejections};
pub(crate) use series::exemplar;
pub(crate) use v2::family_of;
