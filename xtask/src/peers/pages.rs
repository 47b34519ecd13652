//! Pages of a real node_exporter, recorded as a scrape would see them: `DIR/<milliseconds since 1970>.txt`.
//!
//! Recording takes as long as what is recorded, so a folder is taken up where an earlier run left it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};

use super::process::{self, Interrupt, Server};
use super::remote_write::{Label, Sample, TimeSeries};
use super::system;

/// Time between two scrapes.
pub(crate) const EVERY: Duration = Duration::from_secs(15);

/// One page and when it was fetched.
pub(crate) struct Page {
    pub(crate) unix_ms: i64,
    pub(crate) text: String,
}

/// The pages in `folder`, oldest first.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<Page>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        let Some(unix_ms) = path.file_stem().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        pages.push(Page { unix_ms, text });
    }
    pages.sort_by_key(|page| page.unix_ms);
    Ok(pages)
}

/// Fetches pages into `folder` until it has `count`.
///
/// # Errors
/// When there is no node_exporter, or it does not answer.
pub(crate) fn record(folder: &Path, count: usize, interrupt: &Interrupt) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut have = read(folder)?.len();
    if have >= count {
        return Ok(());
    }
    let Some(program) = system::find_peer("prometheus-node-exporter") else {
        bail!("prometheus-node-exporter is not here; to get it: peers/install servers");
    };
    let port = process::free_port()?;
    let mut command = Command::new(&program);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut exporter = Server::start(command, &folder.join("log"))?;
    let url = format!("http://127.0.0.1:{port}/metrics");
    let agent = system::agent();
    interrupt.sleep(Duration::from_secs(1))?;
    while have < count {
        let began = Instant::now();
        exporter.check_alive()?;
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let mut answer = agent.get(&url).call()?;
        ensure!(answer.status() == 200, "{url} answered {}", answer.status());
        let page = folder.join(format!("{unix_ms}.txt"));
        fs::write(&page, answer.body_mut().read_to_string()?)
            .with_context(|| format!("{} cannot be written", page.display()))?;
        have += 1;
        eprint!("\r{have} of {count} pages, {} s left   ", (count - have) as u64 * EVERY.as_secs());
        if have < count {
            interrupt.sleep(EVERY.saturating_sub(began.elapsed()))?;
        }
    }
    eprintln!();
    Ok(())
}

/// The samples of a page, as remote write sends them.
///
/// # Errors
/// When a line is none of Prometheus' text format.
pub(crate) fn series(page: &Page, unix_ms: i64) -> anyhow::Result<Vec<TimeSeries>> {
    let lines = page.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (labels, value) =
                sample(line).with_context(|| format!("no sample of the text format: {line}"))?;
            Ok(TimeSeries { labels, samples: vec![Sample { value, timestamp: unix_ms }] })
        })
        .collect()
}

/// Labels sorted by name, and the value. Node_exporter writes no times.
fn sample(line: &str) -> Option<(Vec<Label>, f64)> {
    let label = |name: &str, value: String| Label { name: name.to_owned(), value };
    let at = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(at);
    let mut labels = vec![
        label("__name__", name.to_owned()),
        label("instance", "node:9100".to_owned()),
        label("job", "node".to_owned()),
    ];
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (name, after) = rest.trim_start_matches(',').split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push(label(name, value));
            rest = after;
        }
        rest = rest.strip_prefix('}')?;
    }
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    let value = rest.trim();
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    Some((labels, value))
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        match characters.next()? {
            (at, '"') => return Some((value, text.get(at + 1..)?)),
            (_, '\\') => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            (_, other) => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_sorted_labels_and_a_value() {
        let (labels, value) = sample(r#"node_x{zone="a\"b,}",device="é\\"} 1.5e+03"#).expect("a sample");
        let labels: Vec<_> = labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect();
        let expected = [
            ("__name__", "node_x"),
            ("device", "é\\"),
            ("instance", "node:9100"),
            ("job", "node"),
            ("zone", "a\"b,}"),
        ];
        assert_eq!((labels.as_slice(), value), (expected.as_slice(), 1_500.0));
        assert_eq!(sample("up 1").expect("a sample").1, 1.0);
        assert!(sample("up{a=\"").is_none());
    }
}
