//! Many append and sync at once.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use super::*;
use crate::wal::disk::{Disk, FileSystem, SegmentFile};

/// Counts syncs, and the bytes that each file had when its last sync began.
#[derive(Clone, Default)]
struct CountingDisk {
    syncs: Arc<AtomicU64>,
}

struct CountingFile {
    file: Arc<dyn SegmentFile>,
    disk: CountingDisk,
}

impl Disk for CountingDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(CountingFile { file: FileSystem.create(path)?, disk: self.clone() }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        FileSystem.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.sync_folder(path)
    }
}

impl SegmentFile for CountingFile {
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.file.write(slices)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.syncs.fetch_add(1, SeqCst);
        thread::sleep(Duration::from_millis(2));
        Ok(())
    }
}

#[test]
fn concurrent_appends_get_distinct_sequences_and_all_come_back() {
    let dir = folder();
    let (wal, _) = open_with(dir.path(), WalOptions::default());
    let mut appended = BTreeMap::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8u64)
            .map(|thread| {
                let wal = wal.clone();
                scope.spawn(move || {
                    (0..200u64)
                        .map(|i| {
                            let payload = (thread * 1_000 + i).to_le_bytes().to_vec();
                            if i % 50 == 17 {
                                wal.rotate().unwrap();
                            }
                            (wal.append(thread as u8, &[&payload]).unwrap(), payload)
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for thread in threads {
            appended.extend(thread.join().unwrap());
        }
    });
    let (kept, _) = replayed(dir.path());
    assert_eq!(seqs(&kept), Vec::from_iter(1..=1_600));
    assert!(kept.iter().all(|record| appended[&record.seq] == record.payload));
}

#[test]
fn concurrent_writers_share_syncs() {
    let dir = folder();
    let disk = CountingDisk::default();
    let syncs = disk.syncs.clone();
    let wal = Wal::open_on(Box::new(disk), dir.path(), FSYNC, 0, |_| Ok::<_, WalError>(())).unwrap().0;
    syncs.store(0, SeqCst);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let before = syncs.load(SeqCst);
                    let seq = wal.append(1, &[b"payload"]).unwrap();
                    wal.sync_through(seq).unwrap();
                    assert!(
                        syncs.load(SeqCst) > before,
                        "acknowledged without a sync that began after the append"
                    );
                }
            });
        }
    });
    let syncs = syncs.load(SeqCst);
    assert!((25..200).contains(&syncs), "{syncs} syncs for 200 records of 8 writers");
}

#[test]
fn a_rotation_beside_syncs_keeps_every_promise() {
    let dir = folder();
    let (wal, _) = open_with(dir.path(), FSYNC);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..40 {
                    let seq = wal.append(1, &[b"payload"]).unwrap();
                    wal.sync_through(seq).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..20 {
                wal.rotate().unwrap();
            }
        });
    });
    assert_eq!(wal.segments().len(), 21);
    assert_eq!(seqs(&replayed(dir.path()).0), Vec::from_iter(1..=160));
}
