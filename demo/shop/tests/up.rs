//! Two shops that would be in each other's way, and one whose services end.

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{PROGRAM, Shop, get, is_alive};

/// A shop that is to end by itself; one that does not is killed, so that the test fails.
fn up(port_base: &str, data: &Path) -> Output {
    let mut up = Command::new(PROGRAM);
    up.args(["up", "--port-base", port_base, "--data"]).arg(data);
    let output = up.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = output.spawn().expect("starts");
    let since = Instant::now();
    while child.try_wait().expect("is a child").is_none() && since.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // Most have ended by now, and need no killing.
    let _ = child.kill();
    child.wait_with_output().expect("is a child")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_shop_on_the_ports_of_another_one_ends_and_says_why() {
    let first = Shop::start(&[]);
    let gateway = first.url("gateway", 0);
    let port = gateway.rsplit(':').next().expect("host:port");
    let data = tempfile::tempdir().expect("a temporary folder");

    let second = up(port, data.path());
    assert!(!second.status.success(), "{second:?}");
    let why = said(&second);
    assert!(why.contains("gateway ended with") && why.contains("is the port taken?"), "{why}");
    assert!(second.stdout.is_empty(), "nothing is said to be up: {second:?}");
    assert!(!data.path().join("shop.json").exists(), "no layout without a shop");
    assert_eq!(get(&format!("{gateway}/healthz")).status, 200, "the first one goes on");
}

#[test]
fn a_shop_in_the_folder_of_another_one_is_refused_and_leaves_it_as_it_is() {
    let first = Shop::start(&[]);
    let layout = std::fs::read_to_string(first.data().join("shop.json")).expect("a layout");

    let second = up("0", first.data());
    assert!(!second.status.success(), "{second:?}");
    let expected = format!("is in use by pid {}; stop that shop", first.up_pid());
    assert!(said(&second).contains(&expected), "{second:?}");
    assert_eq!(std::fs::read_to_string(first.data().join("shop.json")).expect("still there"), layout);
    assert!(first.pids().into_iter().all(is_alive), "the first one goes on");
}

#[test]
fn a_shop_whose_services_have_all_ended_ends_too() {
    let mut shop = Shop::start(&[]);
    let pids: Vec<String> = shop.pids().iter().map(u32::to_string).collect();
    assert!(Command::new("kill").arg("-9").args(&pids).status().expect("kill is there").success());
    assert!(!shop.wait_for_end().success(), "a shop without services has failed");
    assert!(!shop.data().join("shop.json").exists(), "no layout without a shop");
}
