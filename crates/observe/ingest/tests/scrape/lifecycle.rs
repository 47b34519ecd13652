//! Reloading and ending.

use std::time::Duration;

use super::support::{Running, Target, job, jobs, until};

#[tokio::test]
async fn an_unchanged_job_goes_on_undisturbed() {
    let target = Target::serve("a 1\n").await;
    let running = Running::start(&job(&target, "")).await;
    until("a", || running.kept.value("a{").is_some()).await;
    for _ in 0..5 {
        running.manager.apply(&jobs(&job(&target, ""))).await;
    }
    running.next_scrape().await;
    let added: f64 = running.kept.samples("scrape_series_added").iter().map(|kept| kept.value).sum();
    assert_eq!(added, 1.0);
    assert!(running.kept.samples("a{").iter().all(|kept| kept.value == 1.0));
}

#[tokio::test]
async fn a_changed_job_takes_its_targets_series_over() {
    let target = Target::serve("a 1\nb 1\n").await;
    let running = Running::start(&job(&target, "")).await;
    until("b", || running.kept.value("b{").is_some()).await;
    let rules = "metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]";
    running.manager.apply(&jobs(&job(&target, rules))).await;
    until("the end of b", || running.kept.has_ended("b{")).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(running.kept.samples("a{").iter().all(|kept| kept.value == 1.0), "a never ended");
    assert!(running.kept.samples("up{").iter().all(|kept| kept.value == 1.0));
}

#[tokio::test]
async fn a_job_that_is_gone_ends_its_series_once() {
    let (one, two) = (Target::serve("a 1\n").await, Target::serve("b 1\n").await);
    let first = job(&one, "");
    let second = job(&two, "").replace("job_name: test", "job_name: other");
    let running = Running::start(&format!("{first}\n{second}")).await;
    until("both", || running.kept.value("a{").is_some() && running.kept.value("b{").is_some()).await;
    running.manager.apply(&jobs(&second)).await;
    assert_eq!(running.manager.targets().active.len(), 1);
    until("the end of a", || running.kept.has_ended("a{")).await;
    let scraped = one.requests().len();
    assert!(
        running.kept.has_ended("up{") || running.kept.samples("up{").iter().any(|kept| kept.value.is_nan())
    );
    running.next_scrape().await;
    assert_eq!(one.requests().len(), scraped);
    assert_eq!(running.kept.samples("a{").iter().filter(|kept| kept.value.is_nan()).count(), 1);
    assert!(!running.kept.has_ended("b{"));
}

#[tokio::test]
async fn a_target_that_comes_back_in_time_does_not_end() {
    let target = Target::serve("a 1\n").await;
    let yaml = job(&target, "");
    let running = Running::start(&yaml).await;
    until("a", || running.kept.value("a{").is_some()).await;
    running.manager.apply(&jobs(&format!("{yaml}\n  scrape_timeout: 190ms"))).await;
    running.manager.apply(&jobs(&yaml)).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(running.kept.samples("a{").iter().all(|kept| kept.value == 1.0));
}

#[tokio::test]
async fn shutting_down_ends_all_loops_and_waits_for_them() {
    let hanging = Target::serve("a 1\n").await;
    hanging.change(|reply| reply.delay = Duration::from_secs(60));
    let quick = Target::serve("b 1\n").await;
    let yaml = format!(
        "- job_name: test\n  static_configs: [{{targets: ['{}', '{}']}}]",
        hanging.address, quick.address
    );
    let running = Running::start(&yaml).await;
    until("b", || running.kept.value("b{").is_some()).await;
    tokio::time::timeout(Duration::from_secs(5), running.manager.shutdown()).await.expect("shutdown hangs");
    let batches = running.kept.batches().len();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(running.kept.batches().len(), batches, "nothing is scraped any more");
    assert!(!running.kept.has_ended("b{"), "who restarts goes on with the series");
}
