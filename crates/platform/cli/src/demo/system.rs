//! What the autopilot is told of the shop: the shop's own file, with steps so short that a demo has room for some.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

/// Services that stand in for the world outside: nobody may turn their knobs.
const OUTSIDE: [&str; 2] = ["bank", "warehouse"];
/// How long a guard's verdict holds.
const WINDOW: &str = "10m";
/// What a slow payment provider breaks, and no noon: of the orders that customers make, the share that is paid.
pub(super) const PAID: &str = "orders paid";
const LEAST_PAID: f64 = 0.3;

/// Writes `kandela.yaml` and `autopilot.yaml` into the folder.
///
/// # Errors
/// Where that can't be done.
pub(super) fn write(
    folder: &Path,
    services: &BTreeMap<String, String>,
    seed: u64,
    minutes: u32,
) -> anyhow::Result<()> {
    let system = described(services, seed, minutes)?;
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    // Every JSON document is YAML.
    put("autopilot.yaml", &serde_json::to_string_pretty(&system)?)?;
    put("kandela.yaml", "kandela:\n  autopilot: autopilot.yaml\n")
}

fn described(services: &BTreeMap<String, String>, seed: u64, minutes: u32) -> anyhow::Result<Value> {
    let mut document: Value =
        serde_saphyr::from_str(kandela_shop::AUTOPILOT).context("the shop's autopilot.yaml")?;
    let system = document.pointer_mut("/systems/0").context("the shop's autopilot.yaml has no system")?;
    let processes: Vec<&String> =
        services.iter().filter(|(name, _)| !OUTSIDE.contains(&name.as_str())).map(|(_, url)| url).collect();
    system["target"]["http"]["processes"] = json!(processes);
    system["constraints"] = json!([
        {
            "name": "refused",
            "expression": "(sum(rate(http_server_request_duration_seconds_count{job=\"shop/gateway\",http_response_status_code=~\"5..|429\"}[$window])) or vector(0)) / sum(rate(http_server_request_duration_seconds_count{job=\"shop/gateway\"}[$window]))",
            "max": 0.04,
            "window": WINDOW,
        },
        {
            "name": "answered",
            "expression": "sum(rate(http_server_request_duration_seconds_count{job=\"shop/gateway\",http_response_status_code=~\"2..\"}[$window]))",
            // More, and it would take as long to show as the gain: at noon either settings answer nearly all who come.
            "min": 0.7,
            "ratio_to_control": true,
            "window": WINDOW,
        },
        {
            "name": PAID,
            "expression": "sum(rate(messaging_process_duration_seconds_count{job=\"shop/checkout\",error_type=\"\"}[$window])) / sum(rate(http_server_request_duration_seconds_count{job=\"shop/checkout\",http_route=\"/orders\",http_request_method=\"POST\"}[$window]))",
            "min": LEAST_PAID,
            "window": WINDOW,
        },
    ]);
    for (key, value) in [
        ("seed", json!(seed)),
        ("interval", json!("250ms")),
        ("slice", json!("1s")),
        ("wash_out", json!("700ms")),
        ("lag", json!("400ms")),
        ("proposals", json!(8)),
        // Two ideas and some of its own, as trials may end for what is not theirs.
        ("proposals_per_hour", json!(8 + minutes)),
        // More than any evening has, and less than the defaults answer at noon; where they answer less, as all is busy, many wait.
        (
            "workload",
            json!({"busy": "clamp_max((sum(rate(http_server_request_duration_seconds_count{job=\"shop/gateway\"}[$window])) > bool 105) + (sum(http_server_active_requests{job=\"shop/gateway\"}) > bool 40), 1)"}),
        ),
    ] {
        system[key] = value;
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_takes_what_is_written_and_turns_no_knob_of_the_world_outside() {
        let folder = tempfile::tempdir().unwrap();
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let services = [("bank", 1), ("gateway", 2), ("stock", 3)];
        let services = services.iter().map(|(name, port)| ((*name).to_owned(), url(*port))).collect();
        write(folder.path(), &services, 5, 4).unwrap();
        let text = std::fs::read_to_string(folder.path().join("autopilot.yaml")).unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written["systems"][0]["target"]["http"]["processes"], json!([url(2), url(3)]));
        let loaded = crate::config_file::load(&folder.path().join("kandela.yaml"), true).unwrap().unwrap();
        assert!(loaded.warnings.is_empty());
    }
}
