//! Where scraped samples go.

use std::error::Error;

use kandela_model::MetricBatch;

/// What keeps scraped samples. The server implements it over the lake.
pub trait Sink: Send + Sync + 'static {
    /// Takes in the samples of one scrape, all or none; `page_bytes` is the length of the page that it got, 0 where it failed.
    /// Called on a thread that may block.
    ///
    /// # Errors
    /// When the samples were not kept. The scrape's series then count as never having been offered.
    fn append(&self, batch: &MetricBatch, page_bytes: u64) -> Result<(), Box<dyn Error + Send + Sync>>;
}
