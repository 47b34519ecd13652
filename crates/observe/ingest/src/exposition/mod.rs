//! Exposition formats: what a target answers when it is scraped.
//!
//! | format | content type | read by |
//! |---|---|---|
//! | Prometheus text 0.0.4 and 1.0.0 | `text/plain` | as Prometheus' own parser reads it |
//! | OpenMetrics 1.0 text | `application/openmetrics-text` | as [`Strictness`] says |
//! | Prometheus protobuf | `application/vnd.google.protobuf` | as Prometheus' own parser reads it, native histograms too |
//!
//! Everything here is a pure function over the bytes of one answer. Text is read where it lies: a sample costs no
//! allocation beyond the batch's own flat arrays. Time and memory grow with the size of the answer and no faster.
//!
//! ```
//! use kandela_ingest::exposition::{ParseOptions, parse};
//! use kandela_model::{MetricBatch, Timestamp};
//!
//! let page = "# TYPE requests counter\nrequests_total{code=\"200\"} 7\n# EOF\n";
//! let mut batch = MetricBatch::default();
//! let scraped_at = Timestamp::from_millis(1_700_000_000_000);
//! parse(
//!     Some("application/openmetrics-text; version=1.0.0"),
//!     page.as_bytes(),
//!     &ParseOptions::scrape(scraped_at),
//!     &mut batch,
//! )?;
//! assert_eq!(batch.samples[0].value, 7.0);
//! assert_eq!(batch.labels(batch.samples[0].series).to_string(), r#"requests_total{code="200"}"#);
//! # Ok::<(), kandela_ingest::exposition::ExpositionError>(())
//! ```

mod client_model;
mod cursor;
mod error;
mod family;
mod labels;
mod negotiate;
mod nhcb;
mod number;
mod openmetrics;
mod protobuf;
mod rules;
mod sink;
mod text;

use kandela_config::ScrapeProtocol;
use kandela_model::{MetricBatch, Timestamp};

pub use error::ExpositionError;
pub use negotiate::{Format, accept_header};

/// How much of OpenMetrics 1.0 is insisted on. Prometheus' own formats know one way of being read only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// All that the specification demands: grouping, clashing names, values that a kind may take, complete histograms. For
    /// checking an exporter.
    Spec,
    /// What Prometheus accepts: the syntax. A scraper that refused more would lose its users' data.
    #[default]
    Scrape,
}

/// How an answer is to be read. The names in quotes are Prometheus' configuration keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseOptions {
    /// When the answer was asked for: the time of every sample that states none.
    pub scraped_at: Timestamp,
    /// How much of OpenMetrics is insisted on.
    pub strictness: Strictness,
    /// What the answer is taken for where its content type says nothing known ("fallback_scrape_protocol").
    pub fallback: Option<ScrapeProtocol>,
    /// Whether times that the answer states count ("honor_timestamps").
    pub honor_timestamps: bool,
    /// Whether native histograms are read ("scrape_native_histograms"); else only their classic part is.
    pub native_histograms: bool,
    /// Whether the classic part of a histogram is kept beside its native form ("always_scrape_classic_histograms").
    pub classic_histograms: bool,
    /// Whether classic histograms become native ones with custom bounds ("convert_classic_histograms_to_nhcb").
    pub convert_to_nhcb: bool,
    /// Whether `_created` samples of OpenMetrics become series, as Prometheus has it by default.
    pub created_series: bool,
    /// How many bytes the label sets of one answer may take. A classic histogram repeats the labels of its metric for every
    /// bucket, so a protobuf answer could ask for far more than it weighs.
    pub max_label_bytes: u32,
}

impl ParseOptions {
    /// How a scrape reads by default.
    pub const fn scrape(scraped_at: Timestamp) -> Self {
        Self {
            scraped_at,
            strictness: Strictness::Scrape,
            fallback: None,
            honor_timestamps: true,
            native_histograms: true,
            classic_histograms: false,
            convert_to_nhcb: false,
            created_series: true,
            max_label_bytes: 512 << 20,
        }
    }

    /// How a check against the specification reads.
    pub const fn spec(scraped_at: Timestamp) -> Self {
        Self { strictness: Strictness::Spec, ..Self::scrape(scraped_at) }
    }
}

/// What was noticed while an answer was read that is no reason to refuse it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// What the answer was read as.
    pub format: Format,
    /// Whether that is the fallback, since the content type said nothing known.
    pub fell_back: bool,
    /// Exemplars left out: labels of more than 128 characters, or none of the times that a native histogram needs.
    pub dropped_exemplars: u32,
    /// Classic histograms left out, since their buckets contradict each other and no native one can be made of them.
    pub dropped_histograms: u32,
}

/// Reads the body of a scrape into `batch`.
///
/// # Errors
/// When no format is known for `content_type`, or the body breaks its format. The batch then holds what came before the
/// fault and is to be thrown away.
pub fn parse(
    content_type: Option<&str>,
    body: &[u8],
    options: &ParseOptions,
    batch: &mut MetricBatch,
) -> Result<Notes, ExpositionError> {
    let found = content_type.unwrap_or_default();
    let (format, fell_back) = match (Format::of_content_type(found), options.fallback) {
        (Some(format), _) => (format, false),
        (None, Some(protocol)) => (Format::of_protocol(protocol), true),
        (None, None) => return Err(ExpositionError::ContentType { found: found.to_owned() }),
    };
    Ok(Notes { fell_back, ..parse_as(format, body, options, batch)? })
}

/// Reads a body of a known format into `batch`.
///
/// # Errors
/// When the body breaks the format; see [`parse`].
pub fn parse_as(
    format: Format,
    body: &[u8],
    options: &ParseOptions,
    batch: &mut MetricBatch,
) -> Result<Notes, ExpositionError> {
    if body.is_empty() && options.strictness == Strictness::Scrape {
        // As Prometheus has it, a target that answers with nothing has nothing to show.
        return Ok(Notes { format, ..Notes::default() });
    }
    match format {
        Format::Text => text::parse(body, options, batch),
        Format::OpenMetrics => openmetrics::parse(body, options, batch),
        Format::Protobuf => protobuf::parse(body, options, batch),
    }
}

#[cfg(test)]
mod tests;
