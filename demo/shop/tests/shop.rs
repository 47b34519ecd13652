//! The shop as its users meet it: processes on this machine, asked over HTTP. One shop for all that fits together.

mod common;

use std::time::{Duration, Instant};

use common::{Shop, ask, get, is_alive, knob, post, put, wait_until};

#[test]
fn a_customer_buys_something() {
    let shop = Shop::start(&[]);
    let gateway = shop.url("gateway", 0);

    let page = get(&format!("{gateway}/browse?category=3&page=1"));
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.json()["items"].as_array().map(Vec::len), Some(20));

    let added = post(&format!("{gateway}/cart/lines"), "somebody", r#"{"item":7,"quantity":3}"#);
    assert_eq!(added.status, 200, "{added:?}");
    let basket = added.json();
    assert!(
        basket["cents"].as_u64() < basket["full_cents"].as_u64(),
        "a promotion makes it cheaper: {basket}"
    );

    let ordered = post(&format!("{gateway}/checkout"), "somebody", "");
    assert_eq!(ordered.status, 202, "{ordered:?}");
    let order = ordered.json()["order"].as_str().expect("an order").to_owned();
    wait_until("the order is paid", || get(&format!("{gateway}/orders/{order}")).json()["state"] == "paid");

    let again = post(&format!("{gateway}/checkout"), "somebody", "");
    assert_eq!(again.status, 409, "the basket is empty now: {again:?}");
    let unknown = get(&format!("{gateway}/items/20000"));
    assert_eq!(unknown.status, 404, "{unknown:?}");

    for (path, status, said) in [
        ("/browse?category=many", 400, "category"),
        ("/items/many", 400, "many"),
        ("/nowhere", 404, "there is no /nowhere here"),
        ("/checkout", 405, "/checkout does not take GET"),
    ] {
        let wrong = get(&format!("{gateway}{path}"));
        assert_eq!(wrong.status, status, "{wrong:?}");
        assert!(wrong.json()["error"].as_str().is_some_and(|error| error.contains(said)), "{wrong:?}");
    }
    let log = std::fs::read_to_string(shop.data().join("logs/gateway-0.log")).expect("a log");
    assert!(log.contains("serving") && !log.contains('\u{1b}'), "a file has no colours: {log:?}");
}

#[test]
fn knobs_turn_under_leases_and_all_of_a_request_or_none() {
    let shop = Shop::start(&[]);
    let gateway = shop.url("gateway", 0);
    let knobs = format!("{gateway}/knobs");

    let turned = put(&knobs, r#"{"name":"gateway.cart.pool.size","value":9,"epoch":4,"lease_s":0.4}"#);
    assert_eq!(turned.status, 200, "{turned:?}");
    assert_eq!(knob(&gateway, "gateway.cart.pool.size"), 9);
    wait_until("the lease lapses", || knob(&gateway, "gateway.cart.pool.size") == 5);

    let both = r#"[{"name":"gateway.cache.enabled","value":true,"epoch":4,"confirm":true},
                   {"name":"gateway.cart.pool.size","value":64,"epoch":4,"confirm":true}]"#;
    let refused = put(&knobs, both);
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.json()["knob"], "gateway.cart.pool.size");
    assert_eq!(knob(&gateway, "gateway.cache.enabled"), false, "none of it is done");

    let defaults: toml::Table = toml::from_str(include_str!("../defaults.toml")).expect("TOML");
    for name in defaults["knobs"].as_table().expect("a table").keys() {
        let service = name.split('.').next().expect("a dotted name");
        knob(&shop.url(service, 0), name);
    }

    let stale = put(&knobs, r#"{"name":"gateway.cart.pool.size","value":6,"epoch":3,"confirm":true}"#);
    assert_eq!(stale.status, 409, "{stale:?}");
    let unknown = put(&knobs, r#"{"name":"gateway.pool","value":6,"epoch":4,"confirm":true}"#);
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let handed_back = put(&knobs, r#"{"name":"gateway.cart.pool.size","epoch":4,"hand_back":true}"#);
    assert_eq!(handed_back.json()[0]["held"], false, "{handed_back:?}");
    assert_eq!(get(&format!("{gateway}/decisions")).status, 200);
}

#[test]
fn faults_strike_and_end() {
    let shop = Shop::start(&[]);
    let (gateway, catalogue) = (shop.url("gateway", 0), shop.url("catalogue", 0));
    let (item, faults) = (format!("{gateway}/items/5"), format!("{catalogue}/faults"));
    assert_eq!(get(&item).status, 200);

    let slow =
        put(&faults, r#"{"kind":"latency","fixed_ms":400,"endpoint":"GET /items/{id}","duration_s":1.5}"#);
    assert_eq!(slow.status, 200, "{slow:?}");
    let since = Instant::now();
    assert_eq!(get(&item).status, 200);
    assert!(since.elapsed() >= Duration::from_millis(400), "{:?}", since.elapsed());
    wait_until("the fault ends by itself", || get(&faults).json().as_array().is_some_and(Vec::is_empty));

    put(&faults, r#"{"kind":"errors","status":500}"#);
    assert_eq!(get(&item).status, 502, "what fails behind the gateway is a bad gateway");

    put(&faults, r#"{"kind":"drop"}"#);
    assert!(
        ask("GET", &format!("{catalogue}/items/5"), &[], "").is_none(),
        "the connection ends without an answer"
    );
    assert_eq!(get(&format!("{catalogue}/healthz")).status, 200, "no fault stands before what steers");

    let wrong = put(&faults, r#"[{"kind":"drop"},{"kind":"errors","status":99}]"#);
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.contains("fault 1: status is 99; it may be 400 to 599"), "{wrong:?}");

    assert_eq!(ask("DELETE", &faults, &[], "").map(|reply| reply.status), Some(204));
    assert_eq!(get(&item).status, 200);
}

#[test]
fn the_others_go_on_when_a_replica_is_killed() {
    let mut shop = Shop::start(&["--replicas", "catalogue=2"]);
    let gateway = shop.url("gateway", 0);
    let killed = shop.pid("catalogue", 1);
    let item = |number: usize| get(&format!("{gateway}/items/{number}"));
    assert_eq!(item(0).status, 200);

    let end = std::process::Command::new("kill").args(["-9", &killed.to_string()]).status();
    assert!(end.expect("kill is there").success());
    wait_until("the replica ends", || !is_alive(killed));
    for number in 1..30 {
        let answer = item(number);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    let left = shop.url("catalogue", 0).replace("http://", "");
    let split =
        put(&format!("{gateway}/split"), &format!(r#"{{"service":"catalogue","weights":{{"{left}":1}}}}"#));
    assert_eq!(split.json()["catalogue"], serde_json::json!({ left.clone(): 1.0 }), "{split:?}");
    let elsewhere =
        put(&format!("{gateway}/split"), r#"{"service":"catalogue","weights":{"127.0.0.1:9":1}}"#);
    assert_eq!(elsewhere.status, 400, "{elsewhere:?}");
    assert!(
        elsewhere.body.contains(&format!("no replica listens at 127.0.0.1:9; there are {left}, ")),
        "{elsewhere:?}"
    );
    let none = put(&format!("{gateway}/split"), r#"{"service":"bank","weights":{"127.0.0.1:1":1}}"#);
    assert_eq!(none.status, 404, "{none:?}");

    shop.kill_parent();
    wait_until("no service outlives its parent", || shop.pids().into_iter().all(|pid| !is_alive(pid)));
}
