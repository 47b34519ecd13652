//! What becomes of a page.

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kandela_ingest::scrape::Health;

use super::support::{Running, Target, job, until};

#[tokio::test]
async fn a_page_comes_in_with_its_targets_labels_and_the_scrapes_own_series() {
    let target = Target::serve("a 1\nb{code=\"200\"} 2\n").await;
    let running = Running::start(&job(&target, "")).await;
    until("a", || running.kept.value("a{").is_some()).await;
    let instance = target.address;
    let first = &running.kept.batches()[0];
    let shown: Vec<_> = first.iter().map(|kept| kept.series.as_str()).collect();
    let own = format!("{{instance=\"{instance}\", job=\"test\"}}");
    assert_eq!(
        shown,
        [
            format!("a{own}"),
            format!("b{{code=\"200\", instance=\"{instance}\", job=\"test\"}}"),
            format!("up{own}"),
            format!("scrape_duration_seconds{own}"),
            format!("scrape_samples_scraped{own}"),
            format!("scrape_samples_post_metric_relabeling{own}"),
            format!("scrape_series_added{own}"),
        ]
    );
    assert_eq!(running.kept.value("up{"), Some(1.0));
    assert!(first.iter().all(|kept| kept.at == first[0].at));
    assert_eq!(first.iter().find(|kept| kept.series.starts_with("scrape_series_added")).unwrap().value, 2.0);
    running.next_scrape().await;
    assert_eq!(running.kept.value("scrape_series_added"), Some(0.0));
    assert_eq!(running.kept.value("scrape_samples_scraped"), Some(2.0));

    let active = running.manager.targets().active;
    assert_eq!(active.len(), 1);
    assert_eq!((active[0].health, active[0].last_error.as_str()), (Health::Up, ""));
    assert_eq!(active[0].scrape_url, format!("http://{instance}/metrics"));
    assert_eq!(active[0].discovered_labels.get("__address__"), Some(instance.to_string().as_str()));
    assert!(active[0].last_scrape.is_some());
}

#[tokio::test]
async fn conflicting_labels_are_renamed_unless_they_are_honored() {
    let page = "m{job=\"own\", instance=\"self\"} 1\n";
    let target = Target::serve(page).await;
    let instance = target.address;
    let running = Running::start(&job(&target, "")).await;
    until("m", || running.kept.value("m{").is_some()).await;
    let renamed = format!(
        "m{{exported_instance=\"self\", exported_job=\"own\", instance=\"{instance}\", job=\"test\"}}"
    );
    assert_eq!(running.kept.value(&renamed), Some(1.0));

    let running = Running::start(&job(&target, "honor_labels: true")).await;
    until("m", || running.kept.value("m{").is_some()).await;
    assert_eq!(running.kept.value("m{instance=\"self\", job=\"own\"}"), Some(1.0));
}

#[tokio::test]
async fn metric_relabelling_drops_and_renames() {
    let target = Target::serve("keep 1\ngo_threads 2\nold 3\n").await;
    let rules = "metric_relabel_configs:\n- {source_labels: [__name__], regex: 'go_.*', action: drop}\n- {source_labels: [__name__], regex: old, target_label: __name__, replacement: new}";
    let running = Running::start(&job(&target, rules)).await;
    until("a scrape", || running.kept.value("up").is_some()).await;
    let latest = running.kept.latest();
    assert!(latest.keys().any(|series| series.starts_with("new{")));
    assert!(!latest.keys().any(|series| series.starts_with("go_") || series.starts_with("old")));
    assert_eq!(running.kept.value("scrape_samples_scraped"), Some(3.0));
    assert_eq!(running.kept.value("scrape_samples_post_metric_relabeling"), Some(2.0));
}

#[tokio::test]
async fn a_series_that_vanishes_ends() {
    let target = Target::serve("a 1\nb 2\n").await;
    let running = Running::start(&job(&target, "")).await;
    until("b", || running.kept.value("b{").is_some()).await;
    target.say("a 1\n");
    until("b to end", || running.kept.has_ended("b{")).await;
    running.next_scrape().await;
    assert!(!running.kept.has_ended("a{"));
    let ends = running.kept.samples("b{").iter().filter(|kept| kept.value.is_nan()).count();
    assert_eq!(ends, 1);
}

#[tokio::test]
async fn timestamps_of_the_page_count_unless_told_otherwise() {
    let target = Target::serve("a 1 12345\n").await;
    let running = Running::start(&job(&target, "")).await;
    until("a", || running.kept.value("a{").is_some()).await;
    assert!(running.kept.samples("a{").iter().all(|kept| kept.at.millis() == 12_345));
    target.say("");
    running.next_scrape().await;
    assert!(!running.kept.has_ended("a{"), "its own times keep it alive");

    target.say("a 1 12345\n");
    let running = Running::start(&job(&target, "honor_timestamps: false")).await;
    until("a", || running.kept.value("a{").is_some()).await;
    assert!(running.kept.samples("a{").iter().all(|kept| kept.at.millis() > 1_600_000_000_000));
    target.say("");
    until("a to end", || running.kept.has_ended("a{")).await;

    target.say("a 1 12345\n");
    let running = Running::start(&job(&target, "track_timestamps_staleness: true")).await;
    until("a", || running.kept.value("a{").is_some()).await;
    target.say("");
    until("a to end", || running.kept.has_ended("a{")).await;
}

#[tokio::test]
async fn a_page_over_a_limit_fails_whole_and_ends_what_was_there() {
    for (limit, fault, message) in [
        ("sample_limit: 2", "a 1\nb 2\nc 3\n", "sample_limit exceeded"),
        ("label_limit: 4", "a{x=\"1\", y=\"2\"} 1\n", "label_limit exceeded"),
        ("label_name_length_limit: 10", "a{long_long_name=\"1\"} 1\n", "label_name_length_limit exceeded"),
        (
            "label_value_length_limit: 25",
            "a{x=\"a value that is much too long\"} 1\n",
            "label_value_length_limit exceeded",
        ),
        ("body_size_limit: 1KB", &"# a comment that says nothing\n".repeat(100), "body_size_limit"),
    ] {
        let target = Target::serve("a 1\n").await;
        let running = Running::start(&job(&target, limit)).await;
        until("a", || running.kept.value("a{").is_some()).await;
        target.say(fault);
        until(limit, || running.kept.value("up{") == Some(0.0)).await;
        assert!(running.kept.has_ended("a{"), "{limit}");
        until(limit, || running.errors()[0].contains(message)).await;
        target.say("a 1\n");
        until("recovery", || running.kept.value("up{") == Some(1.0) && running.kept.value("a{") == Some(1.0))
            .await;
    }
}

#[tokio::test]
async fn no_target_brings_more_series_than_are_kept_of_one() {
    let page: String = (0..20).map(|n| format!("m{{n=\"{n}\"}} 1\n")).collect();
    let target = Target::serve(&page).await;
    let running = Running::with(&job(&target, ""), |options| options.max_series_per_target = 10).await;
    until("a failed scrape", || running.kept.value("up{") == Some(0.0)).await;
    assert!(running.kept.value("m{").is_none());
}

#[tokio::test]
async fn a_page_that_breaks_its_format_keeps_nothing_and_says_where() {
    let target = Target::serve("a 1\nb{ 2\n").await;
    let running = Running::start(&job(&target, "")).await;
    until("a failed scrape", || running.kept.value("up{") == Some(0.0)).await;
    until("an error", || running.errors()[0].contains("line 2")).await;
    assert!(running.kept.value("a{").is_none());
}

#[tokio::test]
async fn an_unknown_content_type_needs_a_fallback() {
    let target = Target::serve("a 1\n").await;
    target.change(|reply| reply.headers = vec![("content-type", "text/html".into())]);
    let running = Running::start(&job(&target, "")).await;
    until("an error", || {
        running.errors().first().is_some_and(|error| error.contains("fallback_scrape_protocol"))
    })
    .await;
    let running = Running::start(&job(&target, "fallback_scrape_protocol: PrometheusText0.0.4")).await;
    until("a", || running.kept.value("a{") == Some(1.0)).await;
}

#[tokio::test]
async fn a_compressed_body_is_limited_by_what_it_unpacks_to() {
    let page = "# a comment that says nothing\n".repeat(10_000) + "a 1\n";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(page.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 2_000);
    let target = Target::serve("").await;
    target.change(|reply| {
        reply.headers.push(("content-encoding", "gzip".into()));
        reply.body = packed;
    });
    let running = Running::start(&job(&target, "")).await;
    until("a", || running.kept.value("a{") == Some(1.0)).await;
    let running = Running::start(&job(&target, "body_size_limit: 10KB")).await;
    until("an error", || running.errors().first().is_some_and(|error| error.contains("body_size_limit")))
        .await;
}

#[tokio::test]
async fn extra_series_tell_the_limits_and_the_body() {
    let target = Target::serve("a 1\n").await;
    let yaml = job(&target, "sample_limit: 7");
    let running = Running::with(&yaml, |options| options.extra_metrics = true).await;
    until("a scrape", || running.kept.value("up{") == Some(1.0)).await;
    assert_eq!(running.kept.value("scrape_sample_limit"), Some(7.0));
    assert_eq!(running.kept.value("scrape_timeout_seconds"), Some(0.2));
    assert_eq!(running.kept.value("scrape_body_size_bytes"), Some(4.0));
}

#[tokio::test]
async fn samples_that_were_refused_are_reported_and_their_series_end_later() {
    let target = Target::serve("a 1\nb 1\n").await;
    let running = Running::start(&job(&target, "")).await;
    until("b", || running.kept.value("b{").is_some()).await;
    running.kept.refuses.store(true, Ordering::Relaxed);
    target.say("a 1\n");
    until("an error", || running.errors()[0].contains("the disk is full")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!running.kept.has_ended("b{"));
    running.kept.refuses.store(false, Ordering::Relaxed);
    until("b to end", || running.kept.has_ended("b{")).await;
}

#[tokio::test]
async fn classic_histograms_become_native_ones_on_request() {
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";
    let target = Target::serve(page).await;
    let running = Running::start(&job(&target, "convert_classic_histograms_to_nhcb: true")).await;
    until("a histogram", || running.kept.histograms().iter().any(|series| series.starts_with("h{"))).await;
    assert!(running.kept.value("h_bucket").is_none());
    target.say("");
    until("its end", || running.kept.has_ended("h{")).await;
}
