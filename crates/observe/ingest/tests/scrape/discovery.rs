//! Where targets come from.

use super::support::{Running, Target, until};

fn group(target: &Target, env: &str) -> String {
    format!(r#"[{{"targets": ["{}"], "labels": {{"env": "{env}"}}}}]"#, target.address)
}

#[tokio::test]
async fn a_file_that_changes_changes_the_targets() {
    let (one, two) = (Target::serve("a 1\n").await, Target::serve("a 2\n").await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("targets.json");
    std::fs::write(&file, group(&one, "test")).unwrap();
    let yaml =
        format!("- job_name: files\n  file_sd_configs: [{{files: ['{}/*.json']}}]", folder.path().display());
    let running = Running::start(&yaml).await;
    let series = |target: &Target, env: &str| {
        format!("a{{env=\"{env}\", instance=\"{}\", job=\"files\"}}", target.address)
    };
    until("the first target", || running.kept.value(&series(&one, "test")) == Some(1.0)).await;
    let discovered = &running.manager.targets().active[0].discovered_labels;
    assert_eq!(discovered.get("__meta_filepath"), file.to_str());

    std::fs::write(&file, group(&two, "production")).unwrap();
    until("the second target", || running.kept.value(&series(&two, "production")) == Some(2.0)).await;
    until("the end of the first", || running.kept.has_ended(&series(&one, "test"))).await;
    assert!(running.kept.has_ended(&format!("up{{env=\"test\", instance=\"{}\"", one.address)));
    assert_eq!(running.manager.targets().active.len(), 1);
}

#[tokio::test]
async fn an_answer_that_changes_changes_the_targets_and_a_failing_server_does_not() {
    let (one, two) = (Target::serve("a 1\n").await, Target::serve("a 2\n").await);
    let server = Target::serve(&group(&one, "x")).await;
    server.change(|reply| reply.headers = vec![("content-type", "application/json; charset=utf-8".into())]);
    let yaml = format!(
        "- job_name: sd\n  http_sd_configs: [{{url: 'http://{}/targets', refresh_interval: 50ms}}]",
        server.address
    );
    let running = Running::start(&yaml).await;
    until("the first target", || running.kept.value("a{") == Some(1.0)).await;
    let headers = &server.requests()[0].1;
    assert_eq!(headers.get("x-prometheus-refresh-interval-seconds").unwrap(), "0.05");
    let discovered = &running.manager.targets().active[0].discovered_labels;
    assert_eq!(discovered.get("__meta_url"), Some(format!("http://{}/targets", server.address).as_str()));

    server.change(|reply| reply.status = 500);
    let asked = server.requests().len();
    until("more requests", || server.requests().len() > asked + 2).await;
    assert_eq!(running.manager.targets().active.len(), 1, "a server that is down keeps its targets");

    server.change(|reply| {
        reply.status = 200;
        reply.body = group(&two, "x").into();
    });
    until("the second target", || running.kept.latest().values().any(|value| *value == 2.0)).await;
    let active = running.manager.targets().active;
    assert_eq!(active.len(), 1);
    assert_eq!(active[0].labels.get("instance"), Some(two.address.to_string().as_str()));
}

#[tokio::test]
async fn relabelled_away_targets_are_remembered_with_their_labels() {
    let target = Target::serve("a 1\n").await;
    let yaml = format!(
        "- job_name: test\n  static_configs:\n  - {{targets: ['{}'], labels: {{env: prod}}}}\n  - {{targets: ['b:1', 'c:1', 'd:1'], labels: {{env: test}}}}\n  relabel_configs:\n  - {{source_labels: [env], regex: prod, action: keep}}\n  - {{source_labels: [env], target_label: stage}}",
        target.address
    );
    let running = Running::with(&yaml, |options| options.max_dropped_shown = 2).await;
    until("a", || running.kept.value("a{").is_some()).await;
    let targets = running.manager.targets();
    assert_eq!(targets.active.len(), 1);
    assert_eq!(targets.active[0].labels.get("stage"), Some("prod"));
    assert_eq!(targets.dropped.len(), 2);
    assert_eq!(targets.dropped[0].discovered_labels.get("__address__"), Some("b:1"));
    assert_eq!(targets.dropped_counts["test"], 3);
}

#[tokio::test]
async fn a_job_with_more_targets_than_its_limit_scrapes_none() {
    let (one, two) = (Target::serve("a 1\n").await, Target::serve("a 2\n").await);
    let yaml = format!(
        "- job_name: test\n  target_limit: 1\n  static_configs: [{{targets: ['{}', '{}']}}]",
        one.address, two.address
    );
    let running = Running::start(&yaml).await;
    until("errors", || {
        let errors = running.errors();
        errors.len() == 2
            && errors.iter().all(|error| error == "target_limit exceeded (number of targets: 2, limit: 1)")
    })
    .await;
    assert_eq!(one.requests().len() + two.requests().len(), 0);
    assert_eq!(running.kept.value("up{"), Some(0.0));
}

#[tokio::test]
async fn no_job_has_more_targets_than_are_scraped_of_one() {
    let targets: Vec<String> = (1..=20).map(|port| format!("'127.0.0.1:{port}'")).collect();
    let yaml = format!("- job_name: test\n  static_configs: [{{targets: [{}]}}]", targets.join(", "));
    let running = Running::with(&yaml, |options| options.max_targets_per_job = 5).await;
    until("targets", || running.manager.targets().active.len() == 5).await;
}
