//! Sensors: hardware monitors and thermal zones.

use std::fs;
use std::path::Path;

use kandela_model::MetricKind::{Counter, Gauge};

use super::page::Page;
use super::read::{attribute, attribute_number, entries};
use super::{Found, HostError, HostPaths};

/// `hwmon`: temperatures, fans, voltages, currents, power and energy (kernel documentation, hwmon/sysfs-interface).
pub(super) fn hwmon(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let mut found = Found::Nothing;
    for (name, folder) in entries(&paths.sys.join("class/hwmon"))? {
        let chip = chip_label(&folder).unwrap_or_else(|| clean(&name));
        if let Some(chip_name) = attribute(&folder.join("name")).map(|name| clean(&name)) {
            page.family("node_hwmon_chip_names", Gauge, "The names that chips give themselves.")
                .add(&[("chip", &chip), ("chip_name", &chip_name)], 1.0);
        }
        for (file, path) in entries(&folder)? {
            if let Some((sensor, kind, element)) = sensor_file(&file) {
                reading(page, &chip, sensor, kind, element, &path);
            }
        }
        found = Found::Something;
    }
    Ok(found)
}

/// The chip's place on its bus, `platform_coretemp_0`: other than `hwmonN` it stays the same over restarts.
fn chip_label(folder: &Path) -> Option<String> {
    let device = fs::canonicalize(folder.join("device")).ok()?;
    let name = clean(device.file_name()?.to_str()?);
    let bus = clean(device.parent()?.file_name()?.to_str()?);
    match (bus.is_empty(), name.is_empty()) {
        (false, false) => Some(format!("{bus}_{name}")),
        (true, false) => Some(name),
        _ => None,
    }
}

fn clean(name: &str) -> String {
    let lower = name.to_lowercase();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == ':';
    lower.replace(|c| !allowed(c), "_").trim_matches('_').to_owned()
}

/// `temp1_crit` is sensor `temp1` of kind `temp` with element `crit`.
fn sensor_file(file: &str) -> Option<(&str, &str, &str)> {
    let (sensor, element) = file.split_once('_')?;
    let kind = sensor.trim_end_matches(|c: char| c.is_ascii_digit());
    (kind.len() < sensor.len()).then_some((sensor, kind, element))
}

fn reading(page: &mut Page<'_>, chip: &str, sensor: &str, kind: &str, element: &str, path: &Path) {
    let labels = [("chip", chip), ("sensor", sensor)];
    if element == "label" {
        let label = attribute(path).unwrap_or_default();
        page.family("node_hwmon_sensor_label", Gauge, "The names that chips give their sensors.")
            .add(&[labels[0], ("label", &label), labels[1]], 1.0);
        return;
    }
    let (unit, factor) = match (kind, element) {
        ("temp", "input" | "max" | "min" | "crit" | "crit_alarm" | "lcrit" | "emergency") => {
            ("celsius", 1e-3)
        }
        ("fan", "input" | "min" | "max" | "target") => ("rpm", 1.0),
        ("in", "input" | "min" | "max" | "crit" | "lcrit" | "average") => ("volts", 1e-3),
        ("curr", "input" | "min" | "max" | "crit" | "lcrit" | "average") => ("amps", 1e-3),
        ("power", "input" | "average" | "max" | "crit" | "cap") => ("watt", 1e-6),
        ("energy", "input") => ("joule_total", 1e-6),
        _ => return,
    };
    let Some(value) = attribute_number(path) else { return };
    let name = match element {
        "input" => format!("node_hwmon_{kind}_{unit}"),
        _ => format!("node_hwmon_{kind}_{element}_{unit}"),
    };
    let metric_kind = if kind == "energy" { Counter } else { Gauge };
    page.family(&name, metric_kind, &format!("Reading {element} of {kind} sensors."))
        .add(&labels, value * factor);
}

/// `thermal_zone`: temperatures of zones, and how hard cooling devices work.
pub(super) fn thermal_zone(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    for (name, folder) in entries(&paths.sys.join("class/thermal"))? {
        let kind = attribute(&folder.join("type")).unwrap_or_default();
        if let Some(zone) = name.strip_prefix("thermal_zone") {
            if let Some(millicelsius) = attribute_number(&folder.join("temp")) {
                page.family("node_thermal_zone_temp", Gauge, "Temperature of the zone in degrees Celsius.")
                    .add(&[("type", &kind), ("zone", zone)], millicelsius / 1_000.0);
            }
        } else if let Some(device) = name.strip_prefix("cooling_device") {
            let labels = [("name", device), ("type", kind.as_str())];
            for (file, name, help) in [
                ("cur_state", "node_cooling_device_cur_state", "How hard the device cools now."),
                ("max_state", "node_cooling_device_max_state", "How hard the device can cool."),
            ] {
                if let Some(value) = attribute_number(&folder.join(file)) {
                    page.family(name, Gauge, help).add(&labels, value);
                }
            }
        }
    }
    Ok(Found::Something)
}
