//! Deployments, against a small API server that keeps `managedFields` as the documentation of server-side apply has them.

mod common;
mod fake;

use std::fs;
use std::time::Duration;

use kandela_autopilot::actuator::ActuateError;
use kandela_model::{Epoch, KnobValue, Lease};
use serde_json::json;

use common::{Described, until, values, whole};
use fake::Api;

const LONG: Lease = Lease::For(Duration::from_secs(60));

fn described(api: &Api) -> Described {
    Described::new(&format!(
        "kubernetes:
  server: {}
  namespace: shop
  deployment: web
  proposals: $FOLDER/proposals
  timeout_s: 2
  fields: {{replicas: replicas, memory: container/app/limits/memory, cpu: container/app/requests/cpu, POOL: container/app/env/POOL}}
  knobs:
    replicas: {{type: int, min: 1, max: 20}}
    memory: {{type: int, min: 1, max: 4294967296, default: 1}}
    cpu: {{type: int, min: 1, max: 8000, default: 1000}}
    POOL: {{type: int, min: 1, max: 64, default: 5}}",
        api.url()
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_applied_in_kandelas_name_and_rolled_out() {
    let api = Api::start().await;
    let it = described(&api);
    let actuator = it.open().await;
    let two = values(&[("memory", whole(268_435_456)), ("POOL", whole(9))]);
    actuator.apply(&two, Epoch(1), LONG).await.expect("nobody owns them");
    let app = api.container("app");
    assert_eq!(app["resources"]["limits"]["memory"], json!("268435456"));
    assert_eq!(app["env"], json!([{"name": "LEVEL", "value": "info"}, {"name": "POOL", "value": "9"}]));
    assert_eq!(app["image"], json!("web:1"), "what Kandela does not name stays");

    // A second change keeps what the first one owns: leaving it out would delete it.
    actuator.apply(&values(&[("cpu", whole(250))]), Epoch(1), LONG).await.expect("nobody owns it");
    let app = api.container("app");
    assert_eq!(
        (&app["resources"]["requests"]["cpu"], &app["resources"]["limits"]["memory"]),
        (&json!("250m"), &json!("268435456"))
    );
    let standings = actuator.state().await.expect("answers");
    let cpu = standings.iter().find(|standing| standing.spec.name == "cpu").expect("a knob");
    assert_eq!((&cpu.value, &cpu.confirmed), (&whole(250), &whole(1000)));

    actuator.revert(&["memory", "POOL", "cpu"].map(str::to_owned), Epoch(1)).await.expect("goes back");
    let app = api.container("app");
    assert_eq!(app["env"], json!([{"name": "LEVEL", "value": "info"}]));
    assert!(app["resources"]["limits"].get("memory").is_none(), "{app}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_another_manager_owns_is_left_alone_and_a_patch_file_proposed() {
    let api = Api::start().await;
    let it = described(&api);
    let actuator = it.open().await;
    // The autoscaler has the number of replicas.
    api.update("horizontal-pod-autoscaler", |object| object["spec"]["replicas"] = json!(4));
    let before = api.object();
    let both = values(&[("replicas", whole(6)), ("POOL", whole(9))]);
    let error = actuator.apply(&both, Epoch(1), LONG).await.expect_err("not ours");
    let ActuateError::Foreign { knob, owner, proposal, .. } = &error else { panic!("{error}") };
    assert_eq!((knob.as_str(), owner.as_str()), ("replicas", "horizontal-pod-autoscaler"));
    let patch = fs::read_to_string(proposal).expect("written");
    assert!(
        patch
            .starts_with("# Proposed by Kandela, not applied: horizontal-pod-autoscaler owns .spec.replicas"),
        "{patch}"
    );
    assert!(patch.contains("replicas: 6") && patch.contains("name: POOL"), "{patch}");
    assert_eq!(api.object(), before, "all of it or none");
    assert!(!api.forced(), "nothing is ever forced");
    drop(actuator);
    until("the watchdog has ended", Duration::from_secs(3), || it.living_watchdog().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_somebody_takes_in_the_middle_of_a_trial_is_left_to_them() {
    let api = Api::start().await;
    let it = described(&api);
    let mut manager = it.hold(r#"{"replicas": 6}"#, 30.0, 1);
    assert_eq!(api.object()["spec"]["replicas"], json!(6));
    api.update("kubectl-edit", |object| object["spec"]["replicas"] = json!(7));
    manager.kill();
    until("its watchdog lets go", Duration::from_secs(5), || !it.is_pending());
    assert_eq!(api.object()["spec"]["replicas"], json!(7));
    let reports = kandela_autopilot::watchdog::reports(&it.watch().folder, "it").expect("readable");
    assert!(
        reports[0].error.as_deref().is_some_and(|error| error.contains("kubectl-edit owns")),
        "{reports:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_does_not_finish_is_taken_back() {
    let api = Api::start().await;
    let it = described(&api);
    let actuator = it.open().await;
    // The nodes have room for ten.
    let error =
        actuator.apply(&values(&[("replicas", whole(12))]), Epoch(1), LONG).await.expect_err("no room");
    assert!(error.to_string().contains("10 of 12 replicas are available after 2 s"), "{error}");
    assert!(matches!(error, ActuateError::Failed { .. }), "{error}");
    assert_eq!(api.object()["spec"]["replicas"], json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_manager_leaves_the_deployment_as_it_was() {
    let api = Api::start().await;
    let it = described(&api);
    let mut manager = it.hold(r#"{"replicas": 5, "POOL": 8}"#, 30.0, 1);
    assert_eq!(api.object()["spec"]["replicas"], json!(5));
    manager.kill();
    let back = until("back", Duration::from_secs(5), || {
        api.object()["spec"]["replicas"] == json!(2) && !it.is_pending()
    });
    eprintln!("the deployment is back {} ms after the manager was killed", back.as_millis());
    assert_eq!(api.container("app")["env"], json!([{"name": "LEVEL", "value": "info"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_not_there_is_not_made() {
    let api = Api::start().await;
    let mut it = described(&api);
    it.text = it.text.replace("container/app/env/POOL", "container/ghost/env/POOL");
    let error = it
        .open()
        .await
        .apply(&values(&[("POOL", KnobValue::Int(3))]), Epoch(1), LONG)
        .await
        .expect_err("no ghost");
    assert!(error.to_string().contains("no container ghost; it has app, sidecar"), "{error}");
}
