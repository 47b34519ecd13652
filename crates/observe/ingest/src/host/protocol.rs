//! Network protocols: counters of the stack, sockets, packet queues, connection tracking.

use std::path::Path;

use kandela_model::MetricKind::{Counter, Gauge, Unknown};

use super::page::{Page, metric_name};
use super::read::{form, number, optional, single, text};
use super::{Found, HostError, HostPaths};

/// `netstat`: the fields that node_exporter serves by default, from `/proc/net/{netstat,snmp,snmp6}`.
pub(super) fn netstat(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    for file in ["netstat", "snmp"] {
        let path = paths.proc.join("net").join(file);
        let text = text(&path)?;
        let mut lines = text.lines();
        // Lines come in pairs: the names, then the values, both after the protocol's name.
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let (Some((protocol, names)), Some((same, values))) =
                (names.split_once(':'), values.split_once(':'))
            else {
                return Err(form(&path, format!("no protocol in the line {names:?}")));
            };
            if protocol != same {
                return Err(form(&path, format!("names of {protocol} are followed by values of {same}")));
            }
            for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
                protocol_field(page, &path, protocol, name, value)?;
            }
        }
    }
    let path = paths.proc.join("net/snmp6");
    for line in optional(&path)?.unwrap_or_default().lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(field), Some(value)) = (words.next(), words.next()) else { continue };
        if let Some((protocol, name)) = field.find('6').and_then(|six| field.split_at_checked(six + 1)) {
            protocol_field(page, &path, protocol, name, value)?;
        }
    }
    Ok(Found::Something)
}

fn protocol_field(
    page: &mut Page<'_>,
    path: &Path,
    protocol: &str,
    name: &str,
    value: &str,
) -> Result<(), HostError> {
    if is_default_field(protocol, name) {
        let value = number(path, value)?;
        let metric = format!("node_netstat_{}_{}", metric_name(protocol), metric_name(name));
        page.family(&metric, Unknown, &format!("Field {name} of protocol {protocol}.")).add(&[], value);
    }
    Ok(())
}

/// node_exporter's default for `--collector.netstat.fields`.
fn is_default_field(protocol: &str, name: &str) -> bool {
    match protocol {
        _ if matches!(name, "InErrors" | "InErrs") => true,
        "Ip" => name == "Forwarding",
        "Ip6" | "IpExt" => matches!(name, "InOctets" | "OutOctets"),
        "Icmp" | "Icmp6" => matches!(name, "InMsgs" | "OutMsgs"),
        "TcpExt" => {
            name.starts_with("Listen")
                || name.starts_with("Syncookies")
                || matches!(name, "TCPSynRetrans" | "TCPTimeouts" | "TCPOFOQueue" | "TCPRcvQDrop")
        }
        "Tcp" => matches!(
            name,
            "ActiveOpens" | "InSegs" | "OutSegs" | "OutRsts" | "PassiveOpens" | "RetransSegs" | "CurrEstab"
        ),
        "Udp" | "Udp6" => {
            matches!(name, "InDatagrams" | "OutDatagrams" | "NoPorts" | "RcvbufErrors" | "SndbufErrors")
        }
        _ => false,
    }
}

/// `sockstat`: sockets and their memory by protocol.
pub(super) fn sockstat(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let mut found = Found::Nothing;
    for file in ["sockstat", "sockstat6"] {
        let path = paths.proc.join("net").join(file);
        for line in optional(&path)?.unwrap_or_default().lines() {
            let (protocol, rest) =
                line.split_once(':').ok_or_else(|| form(&path, format!("no colon in the line {line:?}")))?;
            let mut words = rest.split_ascii_whitespace();
            while let (Some(state), Some(value)) = (words.next(), words.next()) {
                sockets(page, protocol, state, number(&path, value)?);
            }
            found = Found::Something;
        }
    }
    Ok(found)
}

fn sockets(page: &mut Page<'_>, protocol: &str, state: &str, value: f64) {
    if protocol == "sockets" {
        page.gauge("node_sockstat_sockets_used", "Sockets in use.", value);
        return;
    }
    let name = format!("node_sockstat_{}_{}", metric_name(protocol), metric_name(state));
    page.gauge(&name, &format!("Value {state} of {protocol} sockets."), value);
    if state == "mem" {
        let bytes = value * rustix::param::page_size() as f64;
        page.gauge(&format!("{name}_bytes"), &format!("Memory of {protocol} sockets."), bytes);
    }
}

/// `softnet`: packet processing by processor, hexadecimal columns of `/proc/net/softnet_stat`.
pub(super) fn softnet(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    const COLUMNS: [(usize, &str, &str); 6] = [
        (0, "node_softnet_processed_total", "Packets processed."),
        (1, "node_softnet_dropped_total", "Packets dropped since the queue was full."),
        (2, "node_softnet_times_squeezed_total", "Times that the budget ended before the work did."),
        (8, "node_softnet_cpu_collision_total", "Times that the device was locked by another sender."),
        (9, "node_softnet_received_rps_total", "Times that another processor handed packets over."),
        (10, "node_softnet_flow_limit_count_total", "Times that one flow was held to its limit."),
    ];
    let path = paths.proc.join("net/softnet_stat");
    let Some(text) = optional(&path)? else { return Ok(Found::Nothing) };
    for (row, line) in text.lines().enumerate() {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let hexadecimal = |index: usize| -> Result<Option<u32>, HostError> {
            let parse = |field: &&str| {
                u32::from_str_radix(field, 16)
                    .map_err(|_| form(&path, format!("{field:?} is not hexadecimal")))
            };
            columns.get(index).map(parse).transpose()
        };
        // Kernels before 5.14 don't say which processor a row is of; there the rows are in order.
        let cpu = hexadecimal(12)?.map_or(row.to_string(), |cpu| cpu.to_string());
        for (index, name, help) in COLUMNS {
            let value = hexadecimal(index)?.unwrap_or_default();
            page.family(name, Counter, help).add(&[("cpu", &cpu)], f64::from(value));
        }
        let backlog = hexadecimal(11)?.unwrap_or_default();
        page.family("node_softnet_backlog_len", Gauge, "Packets that wait in the queue.")
            .add(&[("cpu", &cpu)], f64::from(backlog));
    }
    Ok(Found::Something)
}

/// `udp_queues`: bytes in the send and receive queues of all UDP sockets.
pub(super) fn udp_queues(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let mut found = Found::Nothing;
    for (file, ip) in [("udp", "v4"), ("udp6", "v6")] {
        let path = paths.proc.join("net").join(file);
        let Some(text) = optional(&path)? else { continue };
        let (mut sending, mut received) = (0u64, 0u64);
        for line in text.lines().skip(1) {
            let queues = line.split_ascii_whitespace().nth(4).and_then(|field| field.split_once(':'));
            let hexadecimal = |field| u64::from_str_radix(field, 16).ok();
            let (tx, rx) = queues
                .and_then(|(tx, rx)| Some((hexadecimal(tx)?, hexadecimal(rx)?)))
                .ok_or_else(|| form(&path, format!("no queue lengths in the line {line:?}")))?;
            sending = sending.saturating_add(tx);
            received = received.saturating_add(rx);
        }
        let mut family = page.family("node_udp_queues", Gauge, "Bytes in the queues of UDP sockets.");
        family.add(&[("ip", ip), ("queue", "tx")], sending as f64);
        family.add(&[("ip", ip), ("queue", "rx")], received as f64);
        found = Found::Something;
    }
    Ok(found)
}

/// `conntrack`: connections that netfilter tracks, where it does.
pub(super) fn conntrack(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    const STATISTICS: [(&str, &str, &str); 8] = [
        ("found", "node_nf_conntrack_stat_found", "Entries searched and found."),
        ("invalid", "node_nf_conntrack_stat_invalid", "Packets that can't be tracked."),
        ("ignore", "node_nf_conntrack_stat_ignore", "Packets that were tracked already."),
        ("insert", "node_nf_conntrack_stat_insert", "Entries inserted."),
        ("insert_failed", "node_nf_conntrack_stat_insert_failed", "Entries that were there already."),
        ("drop", "node_nf_conntrack_stat_drop", "Packets dropped since tracking failed."),
        ("early_drop", "node_nf_conntrack_stat_early_drop", "Entries dropped to make room."),
        (
            "search_restart",
            "node_nf_conntrack_stat_search_restart",
            "Searches begun anew since the table grew.",
        ),
    ];
    let folder = paths.proc.join("sys/net/netfilter");
    let path = folder.join("nf_conntrack_count");
    let Some(entries) = optional(&path)? else { return Ok(Found::Nothing) };
    page.gauge("node_nf_conntrack_entries", "Connections tracked.", number(&path, entries.trim())?);
    let limit = single(&folder.join("nf_conntrack_max"))?;
    page.gauge("node_nf_conntrack_entries_limit", "Connections that can be tracked.", limit);

    let path = paths.proc.join("net/stat/nf_conntrack");
    let text = text(&path)?;
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split_ascii_whitespace().collect()).collect();
    for (column, name, help) in STATISTICS {
        let Some(index) = names.iter().position(|name| *name == column) else { continue };
        let mut sum = 0u64;
        for field in rows.iter().filter_map(|row| row.get(index)) {
            let value = u64::from_str_radix(field, 16)
                .map_err(|_| form(&path, format!("{field:?} in column {column} is not hexadecimal")))?;
            sum = sum.saturating_add(value);
        }
        page.gauge(name, help, sum as f64);
    }
    Ok(Found::Something)
}
