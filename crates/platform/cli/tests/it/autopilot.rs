//! `kandela autopilot`, against a server and a system with one knob.

use std::path::Path;

use super::kandela::{Server, kandela};
use super::peer::until;
use super::stub::serve;

const KNOBS: &str = r#"[{"name": "pool.size", "type": "int", "min": 1, "max": 64, "log": true, "step_cap": {"factor": 2.0},
    "cost": "live", "value": 8, "confirmed": 8, "epoch": 0, "held": false, "lapses_in_s": null}]"#;

async fn start(folder: &Path) -> Server {
    let system =
        serve(|path, _| if path == "/knobs" { (200, KNOBS.to_owned()) } else { (404, String::new()) });
    let file = folder.join("autopilot.yaml");
    let text = format!(
        r#"
systems:
  - name: shop
    mode: advise
    objective: {{name: time, expression: "time() % 7 + 1", better: lower}}
    runbook:
      - {{when: "vector(2) > 1", raise: [pool.size]}}
      - {{when: "vector(1) > 1", lower: [pool.size]}}
    target: {{name: shop, http: {{processes: ["{system}"]}}}}
    interval: 200ms
"#
    );
    std::fs::write(&file, text).unwrap();
    Server::start(folder, &format!("kandela: {{autopilot: {}}}\n", file.display())).await
}

fn autopilot(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let output = kandela(&[&["autopilot"], arguments, &["--server", &server.http]].concat());
    let both = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&both).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_is_explained_and_an_order_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let explained = until("waited for a proposal", async || {
        let (code, text) = autopilot(&server, &["explain", "1"]);
        (code == Some(0) && text.contains("mode")).then_some(text)
    })
    .await;
    for part in [
        "Proposal 1 by runbook",
        "pool.size: 8 -> 16",
        "the runbook: raise pool.size",
        "mode approve or auto",
    ] {
        assert!(explained.contains(part), "{part} is missing in\n{explained}");
    }
    let (code, told) = autopilot(&server, &["pause", "--why", "release", "--by", "ann"]);
    assert_eq!((code, told.as_str()), (Some(0), "shop: paused\n"));
    let (_, status) = autopilot(&server, &["status"]);
    assert!(status.contains("paused by ann: release"), "{status}");
    let (code, told) = autopilot(&server, &["approve", "99", "--by", "ann"]);
    assert!(code != Some(0) && told.contains("proposal 99 does not wait"), "{told}");
    let (code, told) = autopilot(&server, &["explain", "99"]);
    assert!(code != Some(0) && told.contains("there is no proposal 99"), "{told}");
    let proposals = r#"kandela_autopilot_proposals_total{system="shop",strategy="runbook"} 1"#;
    until("waited for the series of what it did", async || {
        let metrics = reqwest::get(format!("{}/metrics", server.http)).await.unwrap().text().await.unwrap();
        let managed = metrics.contains(r#"kandela_autopilot_managed{system="shop"} 1"#);
        (managed && metrics.contains(proposals)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_suggests_is_proposed_next_or_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    // Until somebody is there to take orders.
    let told = until("waited for a manager", async || {
        let (code, told) = autopilot(&server, &["suggest", "pool.size=12", "--by", "ann"]);
        (code == Some(0)).then_some(told)
    })
    .await;
    assert_eq!(told, "shop: to be proposed next\n");
    let story = until("waited for its story", async || {
        let stories = (1..4).map(|number| autopilot(&server, &["explain", &number.to_string()]).1);
        stories.into_iter().find(|story| story.contains("by suggested"))
    })
    .await;
    assert!(story.contains("ann suggested it") && story.contains("pool.size: 8 -> 12"), "{story}");
    for (setting, said) in [
        ("pool.size=64", "pool.size"),
        ("pool.size=many", "pool.size takes a whole number"),
        ("size=3", "there is no knob size to turn; there are pool.size"),
        ("pool.size", "give KNOB=VALUE"),
    ] {
        let (code, told) = autopilot(&server, &["suggest", setting]);
        assert!(code == Some(2) && told.contains(said), "{setting}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_seen_live_and_says_how_far_up_the_ladder_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let picture = until("waited for a proposal in the picture", async || {
        let output = kandela(&["top", "--server", &server.http]);
        let picture = String::from_utf8_lossy(&output.stdout).into_owned();
        picture.contains("1 proposed by runbook").then_some(picture)
    })
    .await;
    for part in ["kandela top", "no service reported", "autopilot: shop", "(mode advise)", "not tried: "] {
        assert!(picture.contains(part), "{part} is missing in\n{picture}");
    }
    assert!(picture.lines().all(|line| line.chars().count() <= 80), "{picture}");
    let output = kandela(&["top", "--server", &server.http, "--format", "json"]);
    let picture: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&picture["system"]["name"], &picture["system"]["mode"]), (&"shop".into(), &"advise".into()));
    let output = kandela(&["top", "--server", &server.http, "--system", "till"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no system \"till\"; there are shop"));

    let levels = until("waited for a manager on the ladder", async || {
        let answer = reqwest::get(format!("{}/api/kandela/v1/levels", server.http)).await.ok()?;
        let levels: serde_json::Value = answer.json().await.ok()?;
        (levels[6]["standing"] == "on").then_some(levels)
    })
    .await;
    let standing = |level: usize| levels[level - 1]["standing"].as_str().unwrap().to_owned();
    assert_eq!((standing(3), standing(5), standing(6)), ("off".into(), "on".into(), "not_built".into()));
    assert_eq!(levels[6]["found"], "the autopilot has shop (advise)");
}

#[test]
fn who_has_no_server_is_told_so() {
    let output = kandela(&["top", "--server", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no server answers at http://127.0.0.1:9"));
}
