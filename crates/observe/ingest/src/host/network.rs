//! Network devices: traffic, properties, neighbours.

use std::collections::BTreeMap;
use std::path::Path;

use kandela_model::MetricKind::{self, Counter, Gauge};

use super::page::Page;
use super::read::{attribute, attribute_number, entries, form, number, optional, text};
use super::{Found, HostError, HostPaths};

/// Columns of `/proc/net/dev`.
const TRAFFIC: [(&str, &str); 16] = [
    ("node_network_receive_bytes_total", "Bytes received."),
    ("node_network_receive_packets_total", "Packets received."),
    ("node_network_receive_errs_total", "Packets received with an error."),
    ("node_network_receive_drop_total", "Packets received and dropped."),
    ("node_network_receive_fifo_total", "Packets lost to a full receive queue."),
    ("node_network_receive_frame_total", "Frames received with a framing error."),
    ("node_network_receive_compressed_total", "Compressed packets received."),
    ("node_network_receive_multicast_total", "Multicast frames received."),
    ("node_network_transmit_bytes_total", "Bytes sent."),
    ("node_network_transmit_packets_total", "Packets sent."),
    ("node_network_transmit_errs_total", "Packets that failed to be sent."),
    ("node_network_transmit_drop_total", "Packets dropped before they were sent."),
    ("node_network_transmit_fifo_total", "Packets lost to a full send queue."),
    ("node_network_transmit_colls_total", "Collisions."),
    ("node_network_transmit_carrier_total", "Losses of carrier."),
    ("node_network_transmit_compressed_total", "Compressed packets sent."),
];

/// `netdev`: traffic by device from `/proc/net/dev`, and what `/sys` adds to it.
pub(super) fn netdev(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    // `net` leads to the network of the reading process; the host's is the one of process 1.
    let of_init = paths.proc.join("1/net/dev");
    let (path, text) = match optional(&of_init) {
        Ok(Some(text)) => (of_init, text),
        _ => {
            let path = paths.proc.join("net/dev");
            let text = text(&path)?;
            (path, text)
        }
    };
    for line in text.lines().skip(2) {
        let (device, columns) =
            line.rsplit_once(':').ok_or_else(|| form(&path, format!("no device in the line {line:?}")))?;
        let labels = [("device", device.trim())];
        for ((name, help), field) in TRAFFIC.into_iter().zip(columns.split_ascii_whitespace()) {
            page.family(name, Counter, help).add(&labels, number(&path, field)?);
        }
        let unhandled = paths.sys.join("class/net").join(device.trim()).join("statistics/rx_nohandler");
        if let Some(value) = attribute_number(&unhandled) {
            page.family(
                "node_network_receive_nohandler_total",
                Counter,
                "Packets received that nobody wanted.",
            )
            .add(&labels, value);
        }
    }
    Ok(Found::Something)
}

/// Files of `/sys/class/net/DEVICE` that hold one number.
const PROPERTIES: [(&str, &str, MetricKind, &str); 16] = [
    ("addr_assign_type", "node_network_address_assign_type", Gauge, "How the address was given."),
    ("carrier", "node_network_carrier", Gauge, "Whether the link is there."),
    ("carrier_changes", "node_network_carrier_changes_total", Counter, "Times that the link came or went."),
    ("carrier_up_count", "node_network_carrier_up_changes_total", Counter, "Times that the link came."),
    ("carrier_down_count", "node_network_carrier_down_changes_total", Counter, "Times that the link went."),
    ("dev_id", "node_network_device_id", Gauge, "Number that tells devices of one address apart."),
    ("dormant", "node_network_dormant", Gauge, "Whether the device waits for something else."),
    ("flags", "node_network_flags", Gauge, "The device's flags as a number."),
    ("ifindex", "node_network_iface_id", Gauge, "Index of the interface."),
    ("iflink", "node_network_iface_link", Gauge, "Index of the interface below it."),
    ("link_mode", "node_network_iface_link_mode", Gauge, "Mode of the link."),
    ("mtu", "node_network_mtu_bytes", Gauge, "Longest packet."),
    ("name_assign_type", "node_network_name_assign_type", Gauge, "How the name was given."),
    ("netdev_group", "node_network_net_dev_group", Gauge, "Group of the device."),
    ("type", "node_network_protocol_type", Gauge, "Protocol of the interface as a number."),
    ("tx_queue_len", "node_network_transmit_queue_length", Gauge, "Length of the send queue in packets."),
];

/// `netclass`: properties of devices from `/sys/class/net`.
pub(super) fn netclass(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    for (device, folder) in entries(&paths.sys.join("class/net"))? {
        // `bonding_masters` is a file among the devices.
        if !folder.is_dir() {
            continue;
        }
        let labels = [("device", device.as_str())];
        for (file, name, kind, help) in PROPERTIES {
            if let Some(value) = attribute_number(&folder.join(file)) {
                page.family(name, kind, help).add(&labels, value);
            }
        }
        if let Some(megabits) = attribute_number(&folder.join("speed")) {
            page.family("node_network_speed_bytes", Gauge, "Speed of the link in bytes a second.")
                .add(&labels, megabits * 1e6 / 8.0);
        }
        let operstate = attribute(&folder.join("operstate")).unwrap_or_default();
        page.family("node_network_up", Gauge, "Whether the device's operational state is up.")
            .add(&labels, f64::from(u8::from(operstate == "up")));
        info(page, &device, &folder, &operstate);
    }
    Ok(Found::Something)
}

fn info(page: &mut Page<'_>, device: &str, folder: &Path, operstate: &str) {
    const IFF_UP: u64 = 1;
    let property = |file: &str| attribute(&folder.join(file)).unwrap_or_default();
    let flags = attribute_number(&folder.join("flags")).unwrap_or_default() as u64;
    let adminstate = if flags & IFF_UP == 0 { "down" } else { "up" };
    page.family("node_network_info", Gauge, "Properties of a network device that are words.").add(
        &[
            ("address", &property("address")),
            ("adminstate", adminstate),
            ("broadcast", &property("broadcast")),
            ("device", device),
            ("duplex", &property("duplex")),
            ("ifalias", &property("ifalias")),
            ("operstate", operstate),
        ],
        1.0,
    );
}

/// `arp`: neighbours known by device, from `/proc/net/arp`.
pub(super) fn arp(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let path = paths.proc.join("net/arp");
    let mut neighbours: BTreeMap<String, u32> = BTreeMap::new();
    for line in text(&path)?.lines().skip(1) {
        if let Some(device) = line.split_ascii_whitespace().next_back() {
            *neighbours.entry(device.to_owned()).or_default() += 1;
        }
    }
    for (device, count) in neighbours {
        page.family("node_arp_entries", Gauge, "Entries of the ARP table.")
            .add(&[("device", &device)], f64::from(count));
    }
    Ok(Found::Something)
}
