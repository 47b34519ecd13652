//! From what discovery says to what is scraped.

use std::collections::BTreeMap;
use std::time::Duration;

use kandela_config::relabel::{self, LabelBuilder};
use kandela_config::{ScrapeConfig, duration_text, parse_duration};
use kandela_model::Labels;
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::discovery::TargetGroup;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM: &str = "__param_";
const META: &str = "__meta_";
const JOB: &str = "job";
const INSTANCE: &str = "instance";

/// Something to scrape.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    /// All labels after relabelling, without `__meta_*`: what tells targets of a job apart.
    pub(super) labels: Labels,
    /// Those that its series carry: without names that start with `__`.
    pub(super) public: Labels,
    pub(super) url: Url,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl Target {
    /// Its place in the interval.
    pub(super) fn hash(&self) -> u64 {
        xxh3_64(self.labels.as_ref().as_bytes()) ^ xxh3_64(self.url.as_str().as_bytes())
    }
}

/// What became of a discovered target.
#[derive(Debug, PartialEq)]
pub(super) enum Fate {
    Kept(Target),
    /// A relabelling rule dropped it.
    Dropped,
    /// It can't be scraped; why.
    Unusable(String),
}

/// The labels that relabelling starts from: the target's, its group's, and the job's defaults for those that are not set.
pub(super) fn discovered(job: &ScrapeConfig, group: &TargetGroup, target: &Labels) -> Labels {
    let mut labels = LabelBuilder::from(target.as_ref());
    for (name, value) in group.labels.iter() {
        set_default(&mut labels, name, value);
    }
    set_default(&mut labels, JOB, &job.job_name);
    set_default(&mut labels, INTERVAL, &duration_text(job.scrape_interval));
    set_default(&mut labels, TIMEOUT, &duration_text(job.scrape_timeout));
    set_default(&mut labels, METRICS_PATH, &job.metrics_path);
    set_default(&mut labels, SCHEME, job.scheme.as_str());
    for (name, values) in &job.params {
        if let Some(value) = values.first() {
            set_default(&mut labels, &format!("{PARAM}{name}"), value);
        }
    }
    // Names are those of label sets and constants, none of which is empty.
    labels.build().unwrap_or_default()
}

fn set_default(labels: &mut LabelBuilder<'_>, name: &str, value: &str) {
    if labels.get(name).is_empty() {
        labels.set(name.to_owned(), value.to_owned());
    }
}

/// What the job's relabelling makes of discovered labels.
pub(super) fn decide(job: &ScrapeConfig, discovered: &Labels) -> Fate {
    let mut labels = LabelBuilder::from(discovered.as_ref());
    if !relabel::apply_to(&job.relabel_configs, &mut labels) {
        return Fate::Dropped;
    }
    match target(job, labels) {
        Ok(target) => Fate::Kept(target),
        Err(reason) => Fate::Unusable(reason),
    }
}

fn target(job: &ScrapeConfig, mut labels: LabelBuilder<'_>) -> Result<Target, String> {
    let address = labels.get(ADDRESS).to_owned();
    if address.is_empty() {
        return Err("no address: the label __address__ is empty after relabelling".to_owned());
    }
    if address.contains('/') {
        return Err(format!(
            "{address:?} is not a valid address; write host:port, and the path as metrics_path"
        ));
    }
    let interval = period(&labels, INTERVAL)?;
    let timeout = period(&labels, TIMEOUT)?;
    if timeout > interval {
        return Err(format!(
            "scrape timeout {} is longer than scrape interval {}; shorten {TIMEOUT}",
            duration_text(timeout),
            duration_text(interval)
        ));
    }
    labels.retain(|name, _| !name.starts_with(META));
    if labels.get(INSTANCE).is_empty() {
        labels.set(INSTANCE, address.clone());
    }
    let url = url(job, &labels, &address)?;
    let build = |labels: &LabelBuilder<'_>| labels.build().map_err(|error| error.to_string());
    let all = build(&labels)?;
    labels.retain(|name, _| !name.starts_with("__"));
    Ok(Target { labels: all, public: build(&labels)?, url, interval, timeout })
}

fn period(labels: &LabelBuilder<'_>, name: &str) -> Result<Duration, String> {
    match parse_duration(labels.get(name)) {
        Ok(Duration::ZERO) => Err(format!("{name} is zero; give it a duration")),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

fn url(job: &ScrapeConfig, labels: &LabelBuilder<'_>, address: &str) -> Result<Url, String> {
    let scheme = labels.get(SCHEME);
    if !matches!(scheme, "http" | "https") {
        return Err(format!("{SCHEME} is {scheme:?}; use http or https"));
    }
    let mut url = Url::parse(&format!("{scheme}://{address}"))
        .map_err(|error| format!("{address:?} is not a valid address: {error}"))?;
    url.set_path(labels.get(METRICS_PATH));
    let mut params: BTreeMap<&str, Vec<&str>> = job
        .params
        .iter()
        .map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect()))
        .collect();
    for (name, value) in labels.iter() {
        let Some(param) = name.strip_prefix(PARAM) else { continue };
        let values = params.entry(param).or_default();
        match values.first_mut() {
            Some(first) => *first = value,
            None => values.push(value),
        }
    }
    if params.values().any(|values| !values.is_empty()) {
        let mut query = url.query_pairs_mut();
        for (name, values) in params {
            query.extend_pairs(values.into_iter().map(|value| (name, value)));
        }
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(yaml: &str) -> ScrapeConfig {
        let text = format!("scrape_configs:\n- {}", yaml.trim_start().replace('\n', "\n  "));
        kandela_config::parse(&text, "test.yml", &|_| None).unwrap().0.scrape_configs.remove(0)
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().copied()).unwrap()
    }

    fn fate(job: &ScrapeConfig, group: &[(&str, &str)], target: &[(&str, &str)]) -> Fate {
        let group = TargetGroup { source: "test".into(), labels: labels(group), targets: Vec::new() };
        decide(job, &discovered(job, &group, &labels(target)))
    }

    fn kept(job: &ScrapeConfig, group: &[(&str, &str)], target: &[(&str, &str)]) -> Target {
        match fate(job, group, target) {
            Fate::Kept(target) => target,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_target_gets_the_jobs_defaults_and_its_address_as_instance() {
        let job =
            job("job_name: shop\nmetrics_path: /m\nscheme: https\nscrape_interval: 30s\nscrape_timeout: 5s");
        let target = kept(&job, &[("team", "a")], &[("__address__", "db:9100")]);
        assert_eq!(target.public, labels(&[("instance", "db:9100"), ("job", "shop"), ("team", "a")]));
        assert_eq!(target.url.as_str(), "https://db:9100/m");
        assert_eq!((target.interval, target.timeout), (Duration::from_secs(30), Duration::from_secs(5)));
    }

    #[test]
    fn a_targets_own_labels_win_over_its_groups_and_these_over_the_jobs() {
        let job = job("job_name: shop");
        let group = [("job", "group"), ("team", "group"), ("__metrics_path__", "/group")];
        let target = kept(&job, &group, &[("__address__", "a:1"), ("team", "own")]);
        assert_eq!(target.public, labels(&[("instance", "a:1"), ("job", "group"), ("team", "own")]));
        assert_eq!(target.url.path(), "/group");
    }

    #[test]
    fn labels_steer_scheme_path_interval_timeout_and_parameters() {
        let job = job("job_name: probe\nparams: {module: [http, second], 'a b': ['&']}");
        let own = [
            ("__address__", "prober:9115"),
            ("__scheme__", "https"),
            ("__metrics_path__", "/probe"),
            ("__scrape_interval__", "7s"),
            ("__scrape_timeout__", "3s"),
            ("__param_module", "icmp"),
            ("__param_target", "x.org"),
        ];
        let target = kept(&job, &[], &own);
        assert_eq!(
            target.url.as_str(),
            "https://prober:9115/probe?a+b=%26&module=icmp&module=second&target=x.org"
        );
        assert_eq!((target.interval, target.timeout), (Duration::from_secs(7), Duration::from_secs(3)));
    }

    #[test]
    fn meta_labels_are_for_relabelling_only() {
        let job = job(
            "job_name: k\nrelabel_configs:\n- {source_labels: [__meta_pod], target_label: pod}\n- {source_labels: [__meta_pod], target_label: __tmp}",
        );
        let target = kept(&job, &[], &[("__address__", "a:1"), ("__meta_pod", "p")]);
        assert_eq!(target.public, labels(&[("instance", "a:1"), ("job", "k"), ("pod", "p")]));
        assert_eq!(target.labels.get("__tmp"), Some("p"));
        assert_eq!(target.labels.get("__meta_pod"), None);
    }

    #[test]
    fn relabelling_drops_targets() {
        let job = job("job_name: k\nrelabel_configs:\n- {source_labels: [env], regex: prod, action: keep}");
        assert_eq!(fate(&job, &[], &[("__address__", "a:1"), ("env", "test")]), Fate::Dropped);
        assert!(matches!(fate(&job, &[], &[("__address__", "a:1"), ("env", "prod")]), Fate::Kept(_)));
    }

    #[test]
    fn a_target_that_cannot_be_scraped_says_why() {
        let job = job("job_name: k");
        for (own, reason) in [
            (vec![], "no address"),
            (vec![("__address__", "http://a:1")], "not a valid address"),
            (vec![("__address__", "a:99999")], "not a valid address"),
            (vec![("__address__", "a:1"), ("__scheme__", "ftp")], "use http or https"),
            (vec![("__address__", "a:1"), ("__scrape_interval__", "0s")], "is zero"),
            (vec![("__address__", "a:1"), ("__scrape_interval__", "soon")], "is not a duration"),
            (vec![("__address__", "a:1"), ("__scrape_interval__", "1s")], "longer than scrape interval"),
        ] {
            match fate(&job, &[], &own) {
                Fate::Unusable(found) => assert!(found.contains(reason), "{own:?}: {found}"),
                other => panic!("{own:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn targets_without_a_port_take_the_schemes() {
        let target = kept(&job("job_name: k\nscheme: https"), &[], &[("__address__", "example.org")]);
        assert_eq!(target.url.port_or_known_default(), Some(443));
        assert_eq!(target.public.get("instance"), Some("example.org"));
    }
}
