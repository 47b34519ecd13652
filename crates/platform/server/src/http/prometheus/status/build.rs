//! `/api/v1/status/buildinfo`.

use super::super::call::Call;
use super::super::json::{push_key, push_text, separate};
use super::super::reply::Reply;

/// The Prometheus whose interface is served. Clients such as Grafana decide by it what they may ask.
const SPOKEN: &str = "3.14.0";

pub(crate) async fn build_info(_: Call) -> Reply {
    let members = [
        ("version", SPOKEN),
        ("revision", ""),
        ("branch", ""),
        ("buildUser", ""),
        ("buildDate", ""),
        ("goVersion", ""),
        ("application", "Kandela"),
        ("applicationVersion", env!("CARGO_PKG_VERSION")),
    ];
    Reply::new(|out| {
        out.push(b'{');
        for (place, (key, text)) in members.into_iter().enumerate() {
            separate(out, place);
            push_key(out, key);
            push_text(out, text);
        }
        out.push(b'}');
    })
}
