//! The series of one target from scrape to scrape: what their labels became, and which have ended.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, HashSet};

use kandela_config::ScrapeConfig;
use kandela_model::{BatchSample, Labels, MetricBatch, STALE_NAN, SeriesExemplar, SeriesIndex, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use super::error::ScrapeError;
use super::labels;
use crate::label_limits::LabelLimits;

/// What a page held, for the series that report on the scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Samples that the target exposed.
    pub(super) scraped: u64,
    /// Samples left after relabelling.
    pub(super) kept: u64,
    /// Series that were not there before.
    pub(super) added: u64,
}

/// What a target may bring at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) series: usize,
    pub(super) labels: LabelLimits,
}

/// What has been seen of one target. Relabelling and checking cost much more than a look-up, and most pages hold the
/// series of the page before.
#[derive(Debug, Default)]
pub(super) struct SeriesCache {
    /// By the hash of the exposed label set.
    series: HashMap<u128, Known>,
    /// What was alive under labels that an older config gave.
    orphans: Vec<Labels>,
    /// The number of the current scrape, from 1.
    scrape: u64,
}

#[derive(Debug)]
struct Known {
    /// What it is kept under; nothing where relabelling drops it.
    labels: Option<Labels>,
    /// The scrape that first saw it.
    born: u64,
    /// The scrape that last saw it.
    seen: u64,
    /// The last scrape in which it had a sample whose absence in the next one ends it; 0 where it has ended.
    alive: u64,
    /// The last scrape in which it had a sample at the scrape's own time.
    sampled: u64,
}

impl SeriesCache {
    /// Moves a page into `out`, under the labels that its series are kept under, and ends the series that the last page
    /// had and this one lacks. Of several samples of a series at the scrape's time, the first counts.
    ///
    /// # Errors
    /// When the page breaks a limit or a name. `out` is then as it was, and [`SeriesCache::end_all`] is to follow.
    pub(super) fn take_in(
        &mut self,
        job: &ScrapeConfig,
        target: &Labels,
        most: Most,
        page: &mut MetricBatch,
        at: Timestamp,
        out: &mut MetricBatch,
    ) -> (Counts, Result<(), ScrapeError>) {
        self.scrape += 1;
        let mut counts = Counts { scraped: page.points() as u64, ..Counts::default() };
        let keys = match self.resolve(job, target, most, page) {
            Ok(keys) => keys,
            Err(error) => return (counts, Err(error)),
        };
        let is_kept = |series: SeriesIndex| {
            let key = keys.get(series.0 as usize);
            key.and_then(|key| self.series.get(key)).is_some_and(|known| known.labels.is_some())
        };
        counts.kept = page.samples.iter().filter(|sample| is_kept(sample.series)).count() as u64
            + page.histograms.iter().filter(|histogram| is_kept(histogram.series)).count() as u64;
        if let Some(limit) = job.limits.sample_limit
            && counts.kept > limit
        {
            return (counts, Err(ScrapeError::Samples { samples: counts.kept, limit }));
        }
        counts.added = self.emit(job, &keys, page, at, out);
        self.end(at, out);
        (counts, Ok(()))
    }

    /// Ends all series of the last page: the scrape failed, or the target is gone.
    pub(super) fn end_all(&mut self, at: Timestamp, out: &mut MetricBatch) {
        let failed = self.scrape;
        // What only a refused page had is not worth knowing.
        self.series.retain(|_, known| known.born < failed || known.alive != 0 || known.sampled != 0);
        self.scrape += 1;
        for known in self.series.values_mut().filter(|known| known.alive != 0) {
            known.alive = failed;
        }
        self.end(at, out);
    }

    /// To be called when `out` was kept. After a page that was taken in, forgets the series that it lacked.
    pub(super) fn commit(&mut self, took_page: bool) {
        let scrape = self.scrape;
        self.orphans.clear();
        for known in self.series.values_mut().filter(|known| known.alive < scrape) {
            known.alive = 0;
        }
        if took_page {
            self.series.retain(|_, known| known.seen == scrape);
        }
    }

    /// To be called when `out` was not kept: what should have ended with this scrape ends with the next.
    pub(super) fn postpone(&mut self, max_series: usize) {
        let scrape = self.scrape;
        // While nothing can be kept, series that come and go must not pile up.
        if self.series.len() > 2 * max_series {
            self.series.retain(|_, known| known.seen == scrape);
        }
        for known in self.series.values_mut().filter(|known| known.alive != 0) {
            known.alive = scrape;
        }
    }

    /// To be called when relabelling has changed: what the series are kept under is found anew. Those that then come out under
    /// other labels end under the old ones with the next scrape.
    pub(super) fn forget_labels(&mut self) {
        let alive = std::mem::take(&mut self.series).into_values().filter(|known| known.alive != 0);
        self.orphans.extend(alive.filter_map(|known| known.labels));
    }

    /// Looks up or learns every series of the page; their keys.
    fn resolve(
        &mut self,
        job: &ScrapeConfig,
        target: &Labels,
        most: Most,
        page: &MetricBatch,
    ) -> Result<Vec<u128>, ScrapeError> {
        let scrape = self.scrape;
        let mut keys = Vec::with_capacity(page.series().len());
        let mut distinct = 0;
        for index in 0..page.series().len() {
            let exposed = page.labels(SeriesIndex(index as u32));
            let key = xxh3_128(exposed.as_bytes());
            match self.series.entry(key) {
                MapEntry::Occupied(mut known) => {
                    let known = known.get_mut();
                    distinct += usize::from(known.seen != scrape);
                    known.seen = scrape;
                }
                MapEntry::Vacant(vacant) => {
                    distinct += 1;
                    let labels = labels::kept(job, target, exposed);
                    if let Some(labels) = &labels {
                        labels::check(job, &most.labels, labels.as_ref())?;
                    }
                    vacant.insert(Known { labels, born: scrape, seen: scrape, alive: 0, sampled: 0 });
                }
            }
            if distinct > most.series {
                return Err(ScrapeError::Series(most.series));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    /// Moves samples, histograms and exemplars; how many series are new.
    fn emit(
        &mut self,
        job: &ScrapeConfig,
        keys: &[u128],
        page: &mut MetricBatch,
        at: Timestamp,
        out: &mut MetricBatch,
    ) -> u64 {
        let mut added = 0;
        let metadata_offset = out.metadata.len() as u32;
        out.metadata.append(&mut page.metadata);
        let described: Vec<Option<u32>> = page.series().iter().map(|series| series.metadata).collect();
        let mut moved: Vec<Option<SeriesIndex>> = vec![None; keys.len()];

        // The series' index in `out`; nothing where the sample is dropped or repeated.
        let mut place = |series: SeriesIndex, ts: Timestamp, out: &mut MetricBatch| -> Option<SeriesIndex> {
            let at_index = series.0 as usize;
            let known = self.series.get_mut(keys.get(at_index)?)?;
            let labels = known.labels.as_ref()?;
            let at_scrape_time = ts == at;
            if at_scrape_time {
                if known.sampled == self.scrape {
                    return None;
                }
                known.sampled = self.scrape;
            }
            if at_scrape_time || job.track_timestamps_staleness {
                known.alive = self.scrape;
            }
            let slot = moved.get_mut(at_index)?;
            if slot.is_none() {
                let index = out.add_canonical(labels.as_ref());
                if let Some(metadata) = described.get(at_index).copied().flatten() {
                    out.describe(index, metadata_offset + metadata);
                }
                added += u64::from(known.born == self.scrape);
                *slot = Some(index);
            }
            *slot
        };

        for BatchSample { series, ts, value } in page.samples.drain(..) {
            if let Some(series) = place(series, ts, out) {
                out.add_sample(series, ts, value);
            }
        }
        for mut histogram in page.histograms.drain(..) {
            if let Some(series) = place(histogram.series, histogram.ts, out) {
                histogram.series = series;
                out.histograms.push(histogram);
            }
        }
        for SeriesExemplar { series, exemplar } in page.exemplars.drain(..) {
            if let Some(series) = moved.get(series.0 as usize).copied().flatten() {
                out.exemplars.push(SeriesExemplar { series, exemplar });
            }
        }
        added
    }

    /// Marks the end of every series that was alive before this scrape and is not now. Where relabelling makes one of several
    /// exposed series, it has not ended while one of them is there.
    fn end(&self, at: Timestamp, out: &mut MetricBatch) {
        let ended = self.series.values().filter(|known| known.alive != 0 && known.alive < self.scrape);
        let labels: Vec<&Labels> =
            ended.filter_map(|known| known.labels.as_ref()).chain(&self.orphans).collect();
        if labels.is_empty() {
            return;
        }
        let there: HashSet<Vec<u8>> = (0..out.series().len())
            .map(|index| out.labels(SeriesIndex(index as u32)).as_bytes().to_vec())
            .collect();
        for labels in labels.into_iter().filter(|labels| !there.contains(labels.as_ref().as_bytes())) {
            let series = out.add_canonical(labels.as_ref());
            out.add_sample(series, at, STALE_NAN);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use kandela_model::is_stale;
    use proptest::prelude::*;

    struct Scraped {
        job: ScrapeConfig,
        cache: SeriesCache,
        clock: i64,
        max_series: usize,
    }

    impl Scraped {
        fn new(yaml: &str) -> Self {
            let text =
                format!("scrape_configs:\n- job_name: x\n  {}", yaml.trim_start().replace('\n', "\n  "));
            let job = kandela_config::parse(&text, "test.yml", &|_| None).unwrap().0.scrape_configs.remove(0);
            Self { job, cache: SeriesCache::default(), clock: 0, max_series: 100 }
        }

        /// One scrape of samples `(name, own time or none, value)`; what came out as `name value`.
        fn scrape(&mut self, samples: &[(&str, Option<i64>, f64)]) -> (Counts, Result<Vec<String>, String>) {
            self.clock += 1_000;
            let at = Timestamp::from_millis(self.clock);
            let mut page = MetricBatch::default();
            for (name, own, value) in samples {
                let series = page.add_series([("__name__", name)]).unwrap();
                page.add_sample(series, own.map_or(at, Timestamp::from_millis), *value);
            }
            let mut out = MetricBatch::default();
            let target = Labels::default();
            let most = Most { series: self.max_series, labels: LabelLimits::default() };
            let (counts, outcome) = self.cache.take_in(&self.job, &target, most, &mut page, at, &mut out);
            match outcome {
                Ok(()) => {
                    self.cache.commit(true);
                    (counts, Ok(shown(&out)))
                }
                Err(error) => (counts, Err(error.to_string())),
            }
        }

        fn samples(&mut self, samples: &[(&str, Option<i64>, f64)]) -> Vec<String> {
            self.scrape(samples).1.unwrap()
        }

        fn fail(&mut self) -> Vec<String> {
            self.clock += 1_000;
            let mut out = MetricBatch::default();
            self.cache.end_all(Timestamp::from_millis(self.clock), &mut out);
            self.cache.commit(false);
            shown(&out)
        }
    }

    fn shown(out: &MetricBatch) -> Vec<String> {
        let mut shown: Vec<_> = out
            .samples
            .iter()
            .map(|sample| {
                let value = if is_stale(sample.value) { "ends".to_owned() } else { sample.value.to_string() };
                format!("{} {value}", out.labels(sample.series))
            })
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn a_series_that_a_page_lacks_ends_once() {
        let mut scraped = Scraped::new("");
        assert_eq!(scraped.samples(&[("a", None, 1.0), ("b", None, 2.0)]), ["a 1", "b 2"]);
        assert_eq!(scraped.samples(&[("a", None, 1.0)]), ["a 1", "b ends"]);
        assert_eq!(scraped.samples(&[("a", None, 1.0)]), ["a 1"]);
    }

    #[test]
    fn a_failed_scrape_ends_all_series_once_and_they_come_back() {
        let mut scraped = Scraped::new("");
        scraped.samples(&[("a", None, 1.0), ("b", None, 2.0)]);
        assert_eq!(scraped.fail(), ["a ends", "b ends"]);
        assert_eq!(scraped.fail(), Vec::<String>::new());
        assert_eq!(scraped.samples(&[("a", None, 3.0)]), ["a 3"]);
        assert_eq!(scraped.fail(), ["a ends"]);
    }

    #[test]
    fn series_with_own_times_do_not_end_unless_asked() {
        let mut scraped = Scraped::new("");
        scraped.samples(&[("a", Some(500), 1.0)]);
        assert_eq!(scraped.samples(&[]), Vec::<String>::new());
        let mut scraped = Scraped::new("track_timestamps_staleness: true");
        scraped.samples(&[("a", Some(500), 1.0)]);
        assert_eq!(scraped.samples(&[]), ["a ends"]);
    }

    #[test]
    fn a_series_may_have_several_samples_of_own_times_and_one_of_the_scrapes() {
        let mut scraped = Scraped::new("");
        let (counts, out) =
            scraped.scrape(&[("a", Some(1), 1.0), ("a", Some(2), 2.0), ("b", None, 3.0), ("b", None, 4.0)]);
        assert_eq!(out.unwrap(), ["a 1", "a 2", "b 3"]);
        assert_eq!(counts, Counts { scraped: 4, kept: 4, added: 3 });
    }

    #[test]
    fn counts_tell_exposed_kept_and_new() {
        let mut scraped =
            Scraped::new("metric_relabel_configs:\n- {source_labels: [__name__], regex: b, action: drop}");
        let (counts, out) = scraped.scrape(&[("a", None, 1.0), ("b", None, 2.0), ("c", None, 3.0)]);
        assert_eq!((counts, out.unwrap().len()), (Counts { scraped: 3, kept: 2, added: 2 }, 2));
        let (counts, _) = scraped.scrape(&[("a", None, 1.0), ("b", None, 2.0), ("d", None, 3.0)]);
        assert_eq!(counts, Counts { scraped: 3, kept: 2, added: 1 });
    }

    #[test]
    fn too_many_samples_fail_the_scrape_and_end_the_series() {
        let mut scraped = Scraped::new("sample_limit: 2");
        scraped.samples(&[("a", None, 1.0), ("b", None, 1.0)]);
        let (counts, out) = scraped.scrape(&[("a", None, 1.0), ("b", None, 1.0), ("c", None, 1.0)]);
        assert_eq!(out, Err("sample_limit exceeded: 3 samples after metric relabelling, limit 2".into()));
        assert_eq!(counts, Counts { scraped: 3, kept: 3, added: 0 });
        assert_eq!(scraped.fail(), ["a ends", "b ends"]);
        assert_eq!(scraped.samples(&[("a", None, 1.0)]), ["a 1"]);
    }

    #[test]
    fn a_refused_page_of_ever_new_series_leaves_no_trace() {
        let mut scraped = Scraped::new("sample_limit: 1");
        for round in 0..50 {
            let names = [format!("a{round}"), format!("b{round}"), format!("c{round}")];
            let samples: Vec<_> = names.iter().map(|name| (name.as_str(), None, 1.0)).collect();
            assert!(scraped.scrape(&samples).1.is_err());
            scraped.fail();
        }
        assert_eq!(scraped.cache.series.len(), 0);
    }

    #[test]
    fn more_series_than_are_kept_of_one_target_fail_the_scrape() {
        let mut scraped = Scraped::new("");
        scraped.max_series = 2;
        scraped.samples(&[("a", None, 1.0), ("b", None, 1.0)]);
        let (_, out) = scraped.scrape(&[("a", None, 1.0), ("b", None, 1.0), ("c", None, 1.0)]);
        assert!(out.unwrap_err().contains("more than 2 series"));
        scraped.fail();
        assert_eq!(scraped.samples(&[("d", None, 1.0), ("e", None, 1.0)]), ["d 1", "e 1"]);
        assert_eq!(
            scraped.samples(&[("f", None, 1.0), ("g", None, 1.0)]),
            ["d ends", "e ends", "f 1", "g 1"]
        );
    }

    #[test]
    fn one_of_two_series_that_relabelling_joins_may_go() {
        let mut scraped = Scraped::new(
            "metric_relabel_configs:\n- {source_labels: [__name__], regex: '(a).*', target_label: __name__}",
        );
        scraped.samples(&[("a1", None, 1.0), ("a2", None, 1.0)]);
        assert_eq!(scraped.samples(&[("a1", None, 2.0)]), ["a 2"]);
        assert_eq!(scraped.samples(&[]), ["a ends"]);
    }

    #[test]
    fn after_a_change_of_rules_only_series_with_other_labels_end() {
        let mut scraped = Scraped::new("");
        scraped.samples(&[("a", None, 1.0), ("b", None, 1.0)]);
        scraped.cache.forget_labels();
        scraped.job = Scraped::new(
            "metric_relabel_configs:\n- {source_labels: [__name__], regex: b, replacement: c, target_label: __name__}",
        )
        .job;
        assert_eq!(scraped.samples(&[("a", None, 2.0), ("b", None, 2.0)]), ["a 2", "b ends", "c 2"]);
        assert_eq!(scraped.samples(&[("a", None, 3.0), ("b", None, 3.0)]), ["a 3", "c 3"]);
    }

    #[test]
    fn what_was_not_kept_ends_with_the_next_scrape() {
        let mut scraped = Scraped::new("");
        scraped.samples(&[("a", None, 1.0), ("b", None, 1.0)]);
        let mut out = MetricBatch::default();
        let at = Timestamp::from_millis(1_500);
        let mut page = MetricBatch::default();
        let most = Most { series: 100, labels: LabelLimits::default() };
        let (_, outcome) =
            scraped.cache.take_in(&scraped.job, &Labels::default(), most, &mut page, at, &mut out);
        outcome.unwrap();
        scraped.cache.postpone(100);
        assert_eq!(scraped.samples(&[("a", None, 2.0)]), ["a 2", "b ends"]);
    }

    /// What a page has, or nothing where the scrape fails.
    fn pages() -> impl Strategy<Value = Vec<Option<BTreeSet<u8>>>> {
        let page = proptest::option::weighted(0.8, proptest::collection::btree_set(0..6u8, 0..6));
        proptest::collection::vec(page, 1..20)
    }

    proptest! {
        #[test]
        fn a_series_is_alive_exactly_while_pages_have_it(pages in pages()) {
            let mut scraped = Scraped::new("");
            let mut alive: BTreeSet<String> = BTreeSet::new();
            for page in pages {
                let names: Vec<String> = page.iter().flatten().map(|name| format!("s{name}")).collect();
                let samples: Vec<_> = names.iter().map(|name| (name.as_str(), None, 1.0)).collect();
                let out = if page.is_some() { scraped.samples(&samples) } else { scraped.fail() };
                for line in out {
                    match line.split_once(' ') {
                        Some((name, "ends")) => prop_assert!(alive.remove(name), "{name} ended twice"),
                        Some((name, _)) => { alive.insert(name.to_owned()); }
                        None => prop_assert!(false, "{line}"),
                    }
                }
                prop_assert_eq!(&alive, &names.into_iter().collect());
            }
        }
    }
}
