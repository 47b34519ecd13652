//! The shop: processes that keep their leases themselves, a canary's share of the traffic, and replicas as processes.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use axum::routing::get as on_get;
use axum::{Json, Router};
use http::StatusCode;
use kandela_autopilot::actuator::ActuateError;
use kandela_model::{Epoch, KnobError, KnobValue, Lease};
use serde_json::{Value, json};

use common::{Described, Process, free_port, get, skip, until, values, whole};

const LONG: Lease = Lease::For(Duration::from_secs(60));
const WORKERS: &str = "checkout.queue.workers";

struct Shop {
    up: Process,
    data: tempfile::TempDir,
}

impl Shop {
    /// Six services, checkout twice.
    fn start() -> Option<Shop> {
        let program = program()?;
        let data = tempfile::tempdir().expect("a temporary folder");
        let child = Command::new(program)
            .args(["up", "--port-base", "0", "--replicas", "checkout=2", "--data"])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let shop = Shop { up: Process(child.expect("starts")), data };
        until("the shop is healthy", Duration::from_secs(40), || shop.data.path().join("shop.json").exists());
        Some(shop)
    }

    fn layout(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.data.path().join("shop.json")).expect("readable");
        match serde_json::from_str(&text).expect("a list") {
            Value::Array(services) => services,
            other => vec![other],
        }
    }

    fn url(&self, service: &str, replica: u64) -> String {
        let found = self.layout().into_iter().find(|s| s["service"] == service && s["replica"] == replica);
        found.expect("is part of the shop")["url"].as_str().expect("text").to_owned()
    }

    fn knob(&self, service: &str, replica: u64, name: &str) -> Value {
        knob(&self.url(service, replica), name)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Its services end when it is told to; a kill would leave them to notice.
        common::send(self.up.0.id() as i32, rustix::process::Signal::TERM);
        let _ = self.up.0.wait();
    }
}

fn program() -> Option<PathBuf> {
    let built = std::env::current_exe().expect("a test").parent()?.parent()?.join("kandela-shop");
    let found = std::env::var_os("KANDELA_SHOP").map(PathBuf::from).unwrap_or(built);
    if !found.is_file() {
        skip("the shop (cargo build -p kandela-shop, or name the program in KANDELA_SHOP)");
        return None;
    }
    Some(found)
}

fn knob(url: &str, name: &str) -> Value {
    let address = url.trim_start_matches("http://");
    let (_, body) = get(address, "/knobs").expect("answers");
    let knobs: Vec<Value> = serde_json::from_str(&body).expect("knobs");
    knobs.into_iter().find(|knob| knob["name"] == name).expect("a knob")["value"].clone()
}

fn http(urls: &[String]) -> Described {
    let urls = serde_json::to_string(urls).expect("serialises");
    Described::new(&format!(
        "http:\n  processes: {urls}\n  knobs: [checkout.queue, checkout.cache, gateway.cache]"
    ))
}

/// A process that shows a knob and refuses to turn it: whole, if it says so, or with an error after it may have.
async fn refuses(status: StatusCode) -> String {
    let shown = json!([{"name": WORKERS, "type": "int", "min": 1, "max": 32, "log": true, "step_cap": {"factor": 2.0},
        "cost": "live", "value": 1, "confirmed": 1, "epoch": 0, "held": false, "lapses_in_s": null}]);
    let refusal = json!({"error": "knob checkout.queue.workers: not today", "knob": WORKERS});
    let routes =
        on_get(move || async move { Json(shown) }).put(move || async move { (status, Json(refusal)) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/knobs", routes)).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn knobs_are_turned_in_every_process_that_has_them_and_go_back_by_themselves() {
    let Some(shop) = Shop::start() else { return };
    let urls = [shop.url("gateway", 0), shop.url("checkout", 0), shop.url("checkout", 1)];
    let it = http(&urls);
    let actuator = it.open().await;
    let two = values(&[(WORKERS, whole(2)), ("gateway.cache.enabled", KnobValue::Bool(true))]);
    actuator.apply(&two, Epoch(1), LONG).await.expect("are turned");
    assert_eq!([0, 1].map(|replica| shop.knob("checkout", replica, WORKERS)), [json!(2), json!(2)]);
    assert_eq!(shop.knob("gateway", 0, "gateway.cache.enabled"), json!(true));

    let far =
        actuator.apply(&values(&[(WORKERS, whole(5))]), Epoch(1), LONG).await.expect_err("more than twofold");
    assert!(matches!(far, ActuateError::Refused { error: KnobError::StepTooLarge { .. }, .. }), "{far}");
    let stale =
        actuator.apply(&values(&[(WORKERS, whole(1))]), Epoch(0), LONG).await.expect_err("an older epoch");
    assert!(matches!(stale, ActuateError::Refused { error: KnobError::StaleEpoch { .. }, .. }), "{stale}");
    let none = actuator
        .apply(&values(&[("checkout.queue.wrkers", whole(1))]), Epoch(1), LONG)
        .await
        .expect_err("none");
    assert!(none.to_string().contains("no knob checkout.queue.wrkers; it has"), "{none}");

    // Two steps away, and back in one.
    actuator.apply(&values(&[(WORKERS, whole(4))]), Epoch(1), LONG).await.expect("twofold again");
    actuator.revert(&[WORKERS.to_owned()], Epoch(1)).await.expect("goes back");
    assert_eq!([0, 1].map(|replica| shop.knob("checkout", replica, WORKERS)), [json!(1), json!(1)]);
    let standings = actuator.state().await.expect("answers");
    let lapses = |name: &str| standings.iter().find(|s| s.spec.name == name).expect("a knob").lapses_in;
    assert!(lapses(WORKERS).is_none() && lapses("gateway.cache.enabled").is_some());

    // The manager is killed: the processes' own leases end.
    let mut manager = it.hold(r#"{"checkout.queue.workers": 2}"#, 1.5, 2);
    assert_eq!(shop.knob("checkout", 1, WORKERS), json!(2));
    manager.kill();
    let back = until("the lease lapses", Duration::from_secs(4), || {
        [0, 1].map(|replica| shop.knob("checkout", replica, WORKERS)) == [json!(1), json!(1)]
    });
    eprintln!(
        "the shop is back {} ms after the manager was killed, by its own lease of 1.5 s",
        back.as_millis()
    );

    // One of several refuses, or fails: those before it are put back.
    for status in [StatusCode::UNPROCESSABLE_ENTITY, StatusCode::INTERNAL_SERVER_ERROR] {
        let it = http(&[urls[1].clone(), urls[2].clone(), refuses(status).await]);
        let actuator = it.open().await;
        let error =
            actuator.apply(&values(&[(WORKERS, whole(2))]), Epoch(3), LONG).await.expect_err("one refuses");
        if status.is_client_error() {
            assert!(matches!(error, ActuateError::Refused { .. }), "{error}");
        } else {
            // Whether that one was turned, and back, nobody can tell.
            assert!(matches!(error, ActuateError::Unknown { .. }), "{error}");
        }
        assert!(error.to_string().contains("not today"), "{error}");
        until("both are put back", Duration::from_secs(2), || {
            [0, 1].map(|replica| shop.knob("checkout", replica, WORKERS)) == [json!(1), json!(1)]
        });
    }

    // One process is gone: the others go back all the same.
    actuator.apply(&values(&[(WORKERS, whole(2))]), Epoch(3), LONG).await.expect("are turned");
    let gone = http(&[format!("http://127.0.0.1:{}", free_port()), urls[1].clone(), urls[2].clone()]);
    let error = gone.open().await.revert(&[WORKERS.to_owned()], Epoch(3)).await.expect_err("one is gone");
    assert!(matches!(error, ActuateError::Unreachable { .. }), "{error}");
    assert_eq!([0, 1].map(|replica| shop.knob("checkout", replica, WORKERS)), [json!(1), json!(1)]);

    // The canary's share of the traffic, which a watchdog holds.
    let canary = shop.url("checkout", 1).replace("http://", "");
    let split = Described::new(&format!(
        "split: {{callers: ['{}'], service: checkout, canary: ['{canary}'], most: 0.6}}",
        urls[0]
    ));
    let share = || {
        let (_, body) = get(urls[0].trim_start_matches("http://"), "/split").expect("answers");
        let split: Value = serde_json::from_str(&body).expect("a split");
        let weights = split["checkout"].as_object().expect("weights");
        let all: f64 = weights.values().filter_map(Value::as_f64).sum();
        (weights[&canary].as_f64().expect("a weight") / all * 1000.0).round()
    };
    assert_eq!(share(), 500.0);
    let mut manager = split.hold(r#"{"checkout.canary.share": 0.1}"#, 10.0, 1);
    assert_eq!(share(), 100.0);
    manager.kill();
    let back = until("the split is back", Duration::from_secs(5), || share() == 500.0 && !split.is_pending());
    eprintln!("the split is back {} ms after the manager was killed", back.as_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_processes_that_a_command_starts_and_stops() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Each replica is a bank of the shop: a service that calls no other.
    let ports = [free_port(), free_port(), free_port()].map(|port| port.to_string()).join(" ");
    let script = format!(
        r#"set -e
cd {folder}; now=$(ls | grep -c '\.pid$' || true); set -- $1 {ports}
while [ $now -lt $1 ]; do
  now=$((now + 1)); port=$(eval echo \${{$((now + 1))}})
  setsid {program} serve bank --listen 127.0.0.1:$port --data {folder} >/dev/null 2>&1 & echo $! >$now.pid
done
while [ $now -gt $1 ]; do kill $(cat $now.pid); rm $now.pid; now=$((now - 1)); done
"#,
        folder = folder.path().display(),
        program = program.display()
    );
    let count = "n=0; for f in *.pid; do kill -0 $(cat $f) 2>/dev/null && n=$((n + 1)); done; echo $n";
    fs::write(folder.path().join("scale.sh"), script).expect("writable");
    fs::write(folder.path().join("count.sh"), format!("cd {}; {count}", folder.path().display()))
        .expect("writable");
    let sh = |script: &str, count: &str| {
        let ran = Command::new("sh").arg(folder.path().join(script)).arg(count).output().expect("runs");
        String::from_utf8(ran.stdout).expect("text").trim().to_owned()
    };
    sh("scale.sh", "1");
    let path = folder.path().display();
    let it = Described::new(&format!(
        "replicas:
  read: [sh, {path}/count.sh]
  set: [sh, {path}/scale.sh, '{{{{replicas}}}}']
  knobs: {{bank.replicas: {{type: int, min: 1, max: 3, cost: live}}}}"
    ));
    let actuator = it.open().await;
    actuator
        .apply(&values(&[("bank.replicas", whole(2))]), Epoch(1), Lease::Confirmed)
        .await
        .expect("one more");
    assert_eq!(sh("count.sh", ""), "2");
    let mut manager = it.hold(r#"{"bank.replicas": 3}"#, 30.0, 2);
    assert_eq!(sh("count.sh", ""), "3");
    manager.kill();
    let back = until("two again", Duration::from_secs(5), || sh("count.sh", "") == "2" && !it.is_pending());
    eprintln!("replicas are back {} ms after the manager was killed", back.as_millis());
    sh("scale.sh", "0");
}
