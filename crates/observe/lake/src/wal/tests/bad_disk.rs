//! The disk is full, or fails.

use std::io::{self, IoSlice};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::*;
use crate::wal::disk::{Disk, FileSystem, SegmentFile};

/// Real files on a disk that has only so much room, takes at most 40 bytes a call, and refuses what it is told to.
#[derive(Clone, Default)]
struct BadDisk {
    room: Arc<AtomicU64>,
    no_truncate: Arc<AtomicBool>,
    no_sync: Arc<AtomicBool>,
    no_remove: Arc<AtomicBool>,
}

struct BadFile {
    file: Arc<dyn SegmentFile>,
    disk: BadDisk,
}

impl BadDisk {
    fn with_room(room: u64) -> Self {
        let disk = Self::default();
        disk.room.store(room, Relaxed);
        disk
    }

    fn open(&self, dir: &Path, options: WalOptions) -> Wal {
        Wal::open_on(Box::new(self.clone()), dir, options, 0, |_| Ok::<_, WalError>(())).unwrap().0
    }
}

fn refuse_if(flag: &AtomicBool) -> io::Result<()> {
    if flag.load(Relaxed) { Err(io::Error::other("refused")) } else { Ok(()) }
}

impl Disk for BadDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(BadFile { file: FileSystem.create(path)?, disk: self.clone() }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        refuse_if(&self.no_remove)?;
        FileSystem.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.sync_folder(path)
    }
}

impl SegmentFile for BadFile {
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let room = self.disk.room.load(Relaxed);
        let taken = all.len().min(40).min(room as usize);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = self.file.write(&[IoSlice::new(&all[..taken])])?;
        self.disk.room.store(room - written as u64, Relaxed);
        Ok(written)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        refuse_if(&self.disk.no_truncate)?;
        self.file.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        refuse_if(&self.disk.no_sync)?;
        self.file.sync()
    }
}

#[test]
fn a_full_disk_refuses_writes_whole_and_takes_them_again_when_there_is_room() {
    for room in 32..200 {
        let dir = folder();
        let disk = BadDisk::with_room(room);
        let wal = disk.open(dir.path(), WalOptions::default());
        let mut appended = 0;
        while wal.append((appended + 1) as u8 % 7, &[&payload(appended + 1)]).is_ok() {
            appended += 1;
        }
        let error = wal.append(1, &[b"still no room"]).unwrap_err();
        assert!(matches!(error, WalError::Full { .. }), "{error}");
        assert_eq!(fs::metadata(last_segment(dir.path())).unwrap().len(), wal.live_bytes());
        disk.room.store(1_000, Relaxed);
        append_many(&wal, 3);
        assert_eq!(wal.segments().len(), 1);
        let (kept, report) = replayed(dir.path());
        assert_eq!(kept, expected(1..=appended + 3), "room for {room} bytes");
        assert!(report.torn.is_empty() && report.damaged.is_empty(), "room for {room} bytes");
    }
}

#[test]
fn a_segment_that_cannot_be_cut_back_is_left_behind() {
    for room in 33..120 {
        let dir = folder();
        let disk = BadDisk::with_room(room);
        let wal = disk.open(dir.path(), WalOptions::default());
        disk.no_truncate.store(true, Relaxed);
        let mut appended = 0;
        while wal.append((appended + 1) as u8 % 7, &[&payload(appended + 1)]).is_ok() {
            appended += 1;
        }
        assert!(wal.append(1, &[b"still no room"]).is_err());
        disk.room.store(1_000, Relaxed);
        append_many(&wal, 3);
        assert_eq!(wal.segments().len(), 2);
        let mut reader = wal.reader(1);
        for seq in 1..=appended + 3 {
            let item = reader.next().unwrap();
            assert!(
                matches!(item, Some(crate::wal::TailItem::Record(record)) if record.seq == seq),
                "{item:?}"
            );
        }
        let (kept, report) = replayed(dir.path());
        assert_eq!(kept, expected(1..=appended + 3), "room for {room} bytes");
        assert!(report.damaged.is_empty() && report.missing.is_empty(), "room for {room} bytes: {report:?}");
    }
}

#[test]
fn a_record_for_a_spoiled_segment_is_refused_and_the_next_one_is_ready() {
    let dir = folder();
    let disk = BadDisk::with_room(100);
    let wal = disk.open(dir.path(), WalOptions::default());
    append_many(&wal, 1);
    disk.no_truncate.store(true, Relaxed);
    assert!(matches!(wal.append_in(1, 2, &[&[7; 99]]), Err(WalError::Full { .. })));
    assert!(
        matches!(wal.append_in(1, 2, &[&payload(2)]), Err(WalError::Full { .. })),
        "no room for a new segment"
    );
    disk.room.store(1_000, Relaxed);
    assert!(matches!(wal.append_in(1, 2, &[&payload(2)]), Err(WalError::Rotated { segment: 1, now: 2 })));
    assert_eq!(wal.append_in(2, 2, &[&payload(2)]).unwrap(), 2);
    assert_eq!(replayed(dir.path()).0, expected(1..=2));
}

#[test]
fn a_rotation_without_room_leaves_the_log_as_it_was() {
    for no_remove in [false, true] {
        let dir = folder();
        let disk = BadDisk::with_room(200);
        let wal = disk.open(dir.path(), WalOptions::default());
        append_many(&wal, 2);
        disk.no_remove.store(no_remove, Relaxed);
        disk.room.store(10, Relaxed);
        assert!(matches!(wal.rotate(), Err(WalError::Full { .. })));
        disk.room.store(1_000, Relaxed);
        append_many(&wal, 2);
        assert_eq!(replayed(dir.path()).0, expected(1..=4));
        assert_eq!(wal.rotate().unwrap().closed, 1);
        append_many(&wal, 2);
        let (kept, report) = replayed(dir.path());
        assert_eq!(kept, expected(1..=6));
        assert!(report.torn.is_empty() && report.damaged.is_empty());
    }
}

#[test]
fn a_record_that_did_not_reach_the_disk_is_never_called_durable() {
    let dir = folder();
    let disk = BadDisk::with_room(10_000);
    let wal = disk.open(dir.path(), FSYNC);
    append_many(&wal, 2);
    wal.sync_through(2).unwrap();
    append_many(&wal, 2);
    disk.no_sync.store(true, Relaxed);
    assert!(matches!(wal.sync_through(3), Err(WalError::NotDurable { seq: 3, .. })));
    disk.no_sync.store(false, Relaxed);
    assert!(wal.sync_through(3).is_err(), "a second sync proves nothing");
    assert!(wal.sync_through(4).is_err());
    assert_eq!(wal.sync_through(2).map_err(|error| error.to_string()), Ok(()));
    append_many(&wal, 1);
    wal.sync_through(5).unwrap();
    assert_eq!(wal.segments().len(), 2, "the log goes on in a new segment");
    assert!(wal.sync_through(4).is_err());
}

#[test]
fn records_that_a_rotation_could_not_sync_are_not_called_durable() {
    let dir = folder();
    let disk = BadDisk::with_room(10_000);
    let wal = disk.open(dir.path(), FSYNC);
    append_many(&wal, 1);
    wal.sync_through(1).unwrap();
    append_many(&wal, 1);
    disk.no_sync.store(true, Relaxed);
    assert!(wal.rotate().is_err(), "the new segment's header was not synced");
    disk.no_sync.store(false, Relaxed);
    assert_eq!(wal.rotate().unwrap().closed, 1);
    wal.sync_through(2).unwrap();
}

const CHILD: &str = "KANDELA_WAL_LIMITED_FOLDER";

/// The kernel refuses, in the middle of a record, what exceeds the file size limit that a shell set.
#[test]
fn a_real_limit_on_file_size_tears_nothing() {
    if let Some(dir) = std::env::var_os(CHILD) {
        fill_and_go_on(Path::new(&dir));
        return;
    }
    let dir = folder();
    let shell = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 8; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "wal::tests::bad_disk::a_real_limit_on_file_size_tears_nothing", "--nocapture"])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&shell.stdout);
    assert!(
        shell.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&shell.stderr)
    );
    let (kept, report) = replayed(dir.path());
    let count = kept.len() as u64;
    assert!(count > 100, "{count} records in three segments of 4 or 8 KiB");
    assert_eq!(kept, expected(1..=count));
    assert!(report.torn.is_empty() && report.damaged.is_empty() && report.missing.is_empty());
}

fn fill_and_go_on(dir: &Path) {
    let wal = open(dir);
    for _ in 0..3 {
        let refused = loop {
            let seq = wal.last_seq() + 1;
            if let Err(error) = wal.append((seq % 7) as u8, &[&payload(seq)]) {
                break error;
            }
        };
        assert!(matches!(refused, WalError::Full { .. }), "{refused}");
        assert_eq!(fs::metadata(last_segment(dir)).unwrap().len(), wal.live_bytes());
        wal.rotate().unwrap();
    }
}
