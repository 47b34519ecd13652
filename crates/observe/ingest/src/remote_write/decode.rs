//! Bodies of write requests into batches.

use kandela_model::MetricBatch;

use super::labels::LabelScratch;
use super::message::{Limits, Message, WriteError};
use super::reject::Rejections;
use super::series::{Budget, Fault, Sink};
use super::{v1, v2};

/// The largest buffer that is kept from one request to the next.
const KEPT_BYTES: usize = 8 << 20;

/// Decodes write requests, one after the other, in buffers that it keeps.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    snappy: snap::raw::Decoder,
    body: Vec<u8>,
    labels: LabelScratch,
    v2: v2::Scratch,
}

impl Decoder {
    /// A decoder that refuses what goes past `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            snappy: snap::raw::Decoder::new(),
            body: Vec::new(),
            labels: LabelScratch::default(),
            v2: v2::Scratch::default(),
        }
    }

    /// Decodes a body as it came over HTTP, compressed, and replaces what `batch` held.
    ///
    /// Series with faults are left out and reported, the others are in the batch: a receiver stores these and answers 400
    /// with the rejections as text, as Prometheus does.
    ///
    /// # Errors
    /// When nothing of the body can be used; `batch` is then empty.
    pub fn decode(
        &mut self,
        message: Message,
        body: &[u8],
        batch: &mut MetricBatch,
    ) -> Result<Rejections, WriteError> {
        match message {
            Message::V1 => {
                self.decode_with("prometheus.WriteRequest", body, batch, |body, _, sink| v1::read(body, sink))
            }
            Message::V2 => self.decode_with("io.prometheus.write.v2.Request", body, batch, v2::read),
        }
    }

    /// Decodes a compressed body by `read` into `batch`, replacing what that held.
    pub(super) fn decode_with(
        &mut self,
        message: &'static str,
        body: &[u8],
        batch: &mut MetricBatch,
        read: impl FnOnce(&[u8], &mut v2::Scratch, &mut Sink<'_>) -> Result<(), Fault>,
    ) -> Result<Rejections, WriteError> {
        batch.clear();
        let len = self.decompress(body)?;
        let body = self.body.get(..len).unwrap_or_default();
        let mut sink = Sink {
            batch,
            labels: &mut self.labels,
            rejections: Rejections::default(),
            budget: Budget(self.limits.batch_bytes),
        };
        let read = read(body, &mut self.v2, &mut sink);
        let rejections = sink.rejections;
        if self.body.len() > KEPT_BYTES {
            self.body = Vec::new();
        }
        read.map(|()| rejections).map_err(|fault| {
            batch.clear();
            self.describe(message, fault)
        })
    }

    /// Unpacks `body` into the kept buffer and gives the length of what it holds. The size that the body declares is
    /// checked before anything is allocated for it.
    fn decompress(&mut self, body: &[u8]) -> Result<usize, WriteError> {
        let snappy = |error: snap::Error| WriteError::Snappy(error.to_string());
        let declared = snap::raw::decompress_len(body).map_err(snappy)?;
        if declared > self.limits.decompressed_bytes {
            return Err(WriteError::TooLarge {
                claims: format!("declares {declared} bytes decompressed"),
                limit: "decompressed_bytes",
                max: self.limits.decompressed_bytes,
            });
        }
        if self.body.len() < declared {
            self.body.resize(declared, 0);
        }
        self.snappy.decompress(body, &mut self.body).map_err(snappy)
    }

    fn describe(&self, message: &'static str, fault: Fault) -> WriteError {
        match fault {
            Fault::Malformed(malformed) => WriteError::Malformed { message, malformed },
            Fault::OverBudget => WriteError::TooLarge {
                claims: "expands to more than a batch may hold".to_owned(),
                limit: "batch_bytes",
                max: self.limits.batch_bytes,
            },
        }
    }
}
