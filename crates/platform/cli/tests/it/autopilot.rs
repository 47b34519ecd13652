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
