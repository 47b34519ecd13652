//! A full disk: writes are refused so that clients retry, reads go on, and all is well again once there is room.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use kandela_ingest::remote_write::{Encoder, Message};
use kandela_model::{MetricBatch, Timestamp};
use reqwest::StatusCode;

use super::kandela::Server;
use super::peer::until;

/// A small disk in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Option<Self> {
        let place = folder.to_owned();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(&place).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(place));
        }
        eprintln!("SKIPPED: no right to mount a small disk; run as root");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Writes until nothing more fits.
fn fill(file: &Path) {
    let mut file = std::fs::File::create(file).unwrap();
    for size in [1 << 20, 4_096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

async fn write(server: &Server, n: i64) -> StatusCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let mut batch = MetricBatch::default();
    for series in 0..50 {
        let series = series.to_string();
        let index = batch.add_series([("__name__", "written"), ("series", series.as_str())]).unwrap();
        batch.add_sample(index, Timestamp::from_millis(now), n as f64);
    }
    let request = reqwest::Client::new()
        .post(format!("{}/api/v1/write", server.http))
        .header("Content-Type", Message::V1.content_type())
        .header("Content-Encoding", "snappy")
        .body(Encoder::default().encode(Message::V1, &batch));
    request.send().await.unwrap().status()
}

const COUNT: &str = "SELECT count(*) FROM metrics WHERE metric = 'written'";

#[tokio::test]
async fn writes_wait_for_room_and_reads_go_on() {
    let disk = tempfile::tempdir().unwrap();
    let Some(_mounted) = SmallDisk::mount(disk.path()) else { return };
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(disk.path(), folder.path().join("data")).unwrap();
    let server = Server::start(folder.path(), "").await;
    let mut acknowledged = 0;
    for n in 0..20 {
        assert!(write(&server, n).await.is_success());
        acknowledged += 50;
    }

    let ballast = disk.path().join("ballast");
    fill(&ballast);
    let refused = until("filled the disk", async || match write(&server, 99).await {
        status if status.is_success() => {
            acknowledged += 50;
            None
        }
        status => Some(status),
    })
    .await;
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE, "a status that clients retry");
    assert_eq!(server.number(COUNT).await, f64::from(acknowledged), "reads go on");
    assert!(server.number("SELECT 1").await > 0.0);

    std::fs::remove_file(&ballast).unwrap();
    until("waited for writes", async || write(&server, 100).await.is_success().then_some(())).await;
    acknowledged += 50;
    assert_eq!(server.number(COUNT).await, f64::from(acknowledged));
    server.running.stop();
    let server = Server::start(folder.path(), "").await;
    assert_eq!(server.number(COUNT).await, f64::from(acknowledged), "and nothing was lost or doubled");
}
