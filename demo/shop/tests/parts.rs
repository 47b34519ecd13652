//! The library's parts at work in the shop: what they decide is seen, and told.

mod common;

use std::process::{Child, Command, Stdio};

use common::{PROGRAM, Shop, get, knob, wait_until};

/// Customers, gone when the test ends.
struct Customers(Child);

impl Customers {
    fn at_noon(gateway: &str) -> Customers {
        let arguments = ["load", "--day", "--skip", "12h", "--duration", "30s", "--target", gateway];
        Customers(Command::new(PROGRAM).args(arguments).stdout(Stdio::null()).spawn().expect("starts"))
    }
}

impl Drop for Customers {
    fn drop(&mut self) {
        // They may have left by themselves.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_pool_that_is_too_small_grows_by_itself_and_says_why() {
    let shop = Shop::start(&["--self-tuning"]);
    let (gateway, stock) = (shop.url("gateway", 0), shop.url("stock", 0));
    let _customers = Customers::at_noon(&gateway);

    let size = || knob(&stock, "stock.warehouse.pool.size").as_i64();
    wait_until("the pool before the warehouse grows", || size() > Some(5));
    let decisions = get(&format!("{stock}/decisions")).json();
    let decisions = decisions.as_array().expect("an array");
    let grown = decisions.iter().find(|decision| decision["knob"] == "stock.warehouse.pool.size");
    let grown = grown.expect("the decision is in the log");
    assert_eq!(grown["from"], 5);
    assert!(grown["why"].as_str().is_some_and(|why| !why.is_empty()), "{grown}");
}
