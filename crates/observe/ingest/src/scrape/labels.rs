//! From the labels that a target exposes to those that are kept.

use kandela_config::relabel::{self, LabelBuilder};
use kandela_config::{NameValidation, ScrapeConfig};
use kandela_model::{Labels, LabelsRef, METRIC_NAME};

use super::error::ScrapeError;
use crate::label_limits::{Excess, LabelLimits, TooMuch};

/// The labels that a sample is kept under: the target's joined to its own, relabelled; nothing where a rule drops it.
///
/// Where both have a label, the sample's wins under `honor_labels`; else the target's does and the sample's is renamed with
/// `exported_` in front, as often as it takes.
pub(super) fn kept(job: &ScrapeConfig, target: &Labels, exposed: LabelsRef<'_>) -> Option<Labels> {
    let mut labels = LabelBuilder::from(exposed);
    let mut conflicts: Vec<(&str, &str)> = Vec::new();
    for (name, value) in target.iter() {
        match exposed.get(name) {
            Some(_) if job.honor_labels => continue,
            Some(exposed) => conflicts.push((name, exposed)),
            None => {}
        }
        labels.set(name, value);
    }
    // The shorter name first, so that `exported_x` from the target's side is renamed after `x` took the name.
    conflicts.sort_by_key(|(name, _)| name.len());
    for (name, value) in conflicts {
        let mut renamed = format!("exported_{name}");
        while !labels.get(&renamed).is_empty() {
            renamed.insert_str(0, "exported_");
        }
        labels.set(renamed, value);
    }
    if !relabel::apply_to(&job.metric_relabel_configs, &mut labels) {
        return None;
    }
    // A set without any label stands for a dropped one.
    labels.build().ok().filter(|labels| !labels.as_ref().is_empty())
}

/// The labels of a series about the scrape itself, `up` and its like: the target's and the name, never relabelled.
///
/// As in Prometheus, a target's own label `exported_x` gives way where it also has `x`.
pub(super) fn report(target: &Labels, name: &str) -> Labels {
    let mut labels = LabelBuilder::default();
    for (own, value) in target.iter() {
        labels.remove(&format!("exported_{own}"));
        labels.set(own, value);
    }
    labels.set(METRIC_NAME, name);
    // Names come from a label set and a constant, none of them empty.
    labels.build().unwrap_or_default()
}

/// Checks what a scrape must not break; `most` are the limits of a job that sets none.
pub(super) fn check(
    job: &ScrapeConfig,
    most: &LabelLimits,
    labels: LabelsRef<'_>,
) -> Result<(), ScrapeError> {
    let Some(metric) = labels.metric_name() else {
        return Err(ScrapeError::NoName(labels.to_string()));
    };
    if job.metric_name_validation_scheme == NameValidation::Legacy {
        check_names(labels, metric)?;
    }
    let own = &job.limits;
    let limits = LabelLimits {
        labels: own.label_limit.unwrap_or(most.labels),
        name_bytes: own.label_name_length_limit.unwrap_or(most.name_bytes),
        value_bytes: own.label_value_length_limit.unwrap_or(most.value_bytes),
    };
    let Some(Excess { of, found, allowed, .. }) = limits.exceeded(labels) else { return Ok(()) };
    let (own, own_key, key) = match of {
        TooMuch::Labels => (own.label_limit, "label_limit", "limits.labels_per_series"),
        TooMuch::Name => (own.label_name_length_limit, "label_name_length_limit", "limits.label_name_length"),
        TooMuch::Value => {
            (own.label_value_length_limit, "label_value_length_limit", "limits.label_value_length")
        }
    };
    let limit = if own.is_some() { own_key } else { key };
    let series = labels.to_string().chars().take(SHOWN).collect();
    Err(ScrapeError::Labels { limit, series, found, allowed })
}

/// Characters of a series that an error shows.
const SHOWN: usize = 300;

/// Legacy names: `[a-zA-Z_][a-zA-Z0-9_]*`, a metric's also with `:`.
fn check_names(labels: LabelsRef<'_>, metric: &str) -> Result<(), ScrapeError> {
    let legacy = NameValidation::Legacy;
    let without_colons = metric.replace(':', "_");
    let wrong = if legacy.is_label_name(&without_colons) {
        labels.iter().map(|(name, _)| name).find(|name| !legacy.is_label_name(name))
    } else {
        Some(metric)
    };
    match wrong {
        Some(name) => Err(ScrapeError::Name { series: labels.to_string(), name: name.to_owned() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(yaml: &str) -> ScrapeConfig {
        let text = format!("scrape_configs:\n- job_name: x\n  {}", yaml.trim_start().replace('\n', "\n  "));
        kandela_config::parse(&text, "test.yml", &|_| None).unwrap().0.scrape_configs.remove(0)
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().copied()).unwrap()
    }

    fn shown(job: &ScrapeConfig, target: &[(&str, &str)], exposed: &[(&str, &str)]) -> String {
        let kept = kept(job, &labels(target), labels(exposed).as_ref());
        kept.map_or("dropped".to_owned(), |labels| labels.to_string())
    }

    #[test]
    fn the_targets_labels_join_the_samples() {
        let shown =
            shown(&job(""), &[("job", "x"), ("instance", "a:1")], &[("__name__", "m"), ("code", "200")]);
        assert_eq!(shown, r#"m{code="200", instance="a:1", job="x"}"#);
    }

    #[test]
    fn a_label_that_both_have_is_renamed() {
        let shown = shown(&job(""), &[("job", "x")], &[("__name__", "m"), ("job", "own")]);
        assert_eq!(shown, r#"m{exported_job="own", job="x"}"#);
    }

    #[test]
    fn renaming_goes_on_until_the_name_is_free() {
        let target = [("job", "x"), ("exported_job", "t")];
        let exposed = [("__name__", "m"), ("job", "own"), ("exported_job", "e")];
        assert_eq!(
            shown(&job(""), &target, &exposed),
            r#"m{exported_exported_exported_job="e", exported_exported_job="own", exported_job="t", job="x"}"#
        );
        let exposed = [("__name__", "m"), ("job", "own"), ("exported_job", "e")];
        assert_eq!(
            shown(&job(""), &[("job", "x")], &exposed),
            r#"m{exported_exported_job="own", exported_job="e", job="x"}"#
        );
    }

    #[test]
    fn honored_labels_stay() {
        let target = [("job", "x"), ("instance", "a:1")];
        let shown = shown(&job("honor_labels: true"), &target, &[("__name__", "m"), ("job", "own")]);
        assert_eq!(shown, r#"m{instance="a:1", job="own"}"#);
    }

    #[test]
    fn metric_relabelling_sees_the_targets_labels_and_may_drop() {
        let job = job(
            "metric_relabel_configs:\n- {source_labels: [__name__, job], regex: 'go_.*;x', action: drop}\n- {regex: tmp, action: labeldrop}",
        );
        assert_eq!(shown(&job, &[("job", "x")], &[("__name__", "go_threads")]), "dropped");
        assert_eq!(shown(&job, &[("job", "x")], &[("__name__", "m"), ("tmp", "1")]), r#"m{job="x"}"#);
    }

    #[test]
    fn label_limits_name_the_limit_and_the_series() {
        let set = labels(&[("__name__", "m"), ("long_name", "long value")]);
        for (limit, message) in [
            ("label_limit: 1", "label_limit exceeded: m{long_name=\"long value\"} has 2, limit 1"),
            ("label_name_length_limit: 8", "label_name_length_limit exceeded"),
            ("label_value_length_limit: 9", "label_value_length_limit exceeded"),
        ] {
            let error = check(&job(limit), &LabelLimits::default(), set.as_ref()).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let generous = job("label_limit: 2\nlabel_name_length_limit: 9\nlabel_value_length_limit: 10");
        assert!(check(&generous, &LabelLimits::default(), set.as_ref()).is_ok());
    }

    #[test]
    fn a_job_without_limits_has_those_of_all() {
        let set = labels(&[("__name__", "m"), ("a", "b")]);
        let most = LabelLimits { labels: 1, ..LabelLimits::default() };
        let error = check(&job(""), &most, set.as_ref()).unwrap_err().to_string();
        assert!(error.starts_with("limits.labels_per_series exceeded"), "{error}");
        assert!(check(&job("label_limit: 2"), &most, set.as_ref()).is_ok());
    }

    #[test]
    fn a_series_needs_a_name() {
        assert!(matches!(
            check(&job(""), &LabelLimits::default(), labels(&[("a", "b")]).as_ref()),
            Err(ScrapeError::NoName(_))
        ));
    }

    #[test]
    fn legacy_validation_refuses_other_names() {
        let legacy = job("metric_name_validation_scheme: legacy");
        assert!(
            check(&legacy, &LabelLimits::default(), labels(&[("__name__", "a:b"), ("c", "d")]).as_ref())
                .is_ok()
        );
        for wrong in [[("__name__", "a.b"), ("c", "d")], [("__name__", "a"), ("c:d", "e")]] {
            assert!(matches!(
                check(&legacy, &LabelLimits::default(), labels(&wrong).as_ref()),
                Err(ScrapeError::Name { .. })
            ));
            assert!(check(&job(""), &LabelLimits::default(), labels(&wrong).as_ref()).is_ok());
        }
    }
}
