//! Where scraped samples go: into the default tenant's lake.

use std::error::Error;
use std::sync::{Arc, Weak};

use kandela_ingest::scrape::{Manager, ScrapeOptions, Sink};
use kandela_model::{MetricBatch, SeriesIndex, TenantId};

use super::now;
use crate::app::App;
use crate::label_limits;
use crate::receive::{self, Delivery};

/// A manager without jobs, whose samples go to the server's lake.
pub(crate) fn scraping(app: &Arc<App>) -> Manager {
    let limits = app.options.kandela().limits;
    let options = ScrapeOptions {
        max_body_bytes: limits.body_size,
        max_series_per_target: usize::try_from(limits.series_per_target).unwrap_or(usize::MAX),
        label_limits: label_limits::of(&limits),
        user_agent: format!("Kandela/{}", env!("CARGO_PKG_VERSION")),
        clock: Arc::new(now),
        ..ScrapeOptions::default()
    };
    Manager::new(Arc::new(LakeSink { app: Arc::downgrade(app) }), options)
}

struct LakeSink {
    app: Weak<App>,
}

impl Sink for LakeSink {
    fn append(&self, batch: &MetricBatch, page_bytes: u64) -> Result<(), Box<dyn Error + Send + Sync>> {
        let app = self.app.upgrade().ok_or("the server has stopped")?;
        let tenant = TenantId::default();
        let lake = app.tenants.opened(&tenant).ok_or("the lake is not open")?;
        let job = batch.labels(SeriesIndex(0)).get("job").unwrap_or("unknown").to_owned();
        let delivery = Delivery { protocol: "scrape", tenant, sender: job, bytes: page_bytes };
        let appended = lake.append(batch)?;
        if page_bytes > 0 {
            app.received(&delivery, receive::counted(&appended));
        }
        let problem = receive::rejections(&appended).unwrap_or_default();
        app.dropped(&delivery, "samples", appended.rejected_points() as u64, &problem);
        let problem = receive::left_out_exemplars(&appended).unwrap_or_default();
        app.dropped(&delivery, "exemplars", appended.untimely_exemplars as u64, &problem);
        Ok(())
    }
}
