//! Laying points into a memtable: for live appends, and again when the log is replayed.

use kandela_model::{Histogram, Timestamp};

use super::block::Tail;
use super::memtable::{Memtable, NewDay};
use super::registry::{Live, Registry, Slot};

/// A sample on its way from the first pass to the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) slot: Slot,
    pub(crate) number: u32,
    pub(crate) ts: i64,
    pub(crate) value: f64,
}

/// Lays rows into the memtable; gives how many were taken and how many were there already. `segment` is the log segment
/// that now defines their series.
pub(crate) fn apply(registry: &Registry, memtable: &Memtable, rows: &[Row], segment: u64) -> (usize, usize) {
    let flushed_through = registry.flushed_through();
    let (mut taken, mut duplicates) = (0, 0);
    let (mut oldest, mut newest) = (i64::MAX, i64::MIN);
    for group in rows.chunk_by(|a, b| a.slot.shard == b.slot.shard) {
        let Some(number_of_shard) = group.first().map(|row| row.slot.shard as usize) else { continue };
        let (Some(mut shard), Some(mut memory)) =
            (registry.shard(number_of_shard), memtable.shard(number_of_shard))
        else {
            continue;
        };
        let before = memory.arena.heap_bytes() + memory.late.capacity() * 24;
        for row in group {
            let Some(live) = shard.get_mut(row.slot.entry) else { continue };
            live.logged_in = segment;
            if row.ts == live.last_ts {
                duplicates += 1;
                continue;
            }
            taken += 1;
            oldest = oldest.min(row.ts);
            newest = newest.max(row.ts);
            note_day(live, row.ts, &mut memory.new_days);
            let in_order = row.ts > live.last_ts.max(flushed_through);
            live.last_ts = live.last_ts.max(row.ts);
            if in_order {
                let tail = Tail { block: live.tail, ago: memtable.generation - live.generation };
                live.tail = memory.arena.push(tail, live.id, row.ts, row.value);
                live.generation = memtable.generation;
            } else {
                memory.late.push((live.id, row.ts, row.value));
            }
        }
        let after = memory.arena.heap_bytes() + memory.late.capacity() * 24;
        memtable.grew(after - before);
    }
    memtable.took(taken, oldest, newest);
    (taken, duplicates)
}

/// Lays a histogram into the memtable; `false` when its series has one at this time.
pub(crate) fn apply_histogram(
    registry: &Registry,
    memtable: &Memtable,
    slot: Slot,
    ts: Timestamp,
    histogram: Histogram,
    segment: u64,
) -> bool {
    let flushed_through = registry.flushed_through();
    let number_of_shard = slot.shard as usize;
    let (Some(mut shard), Some(mut memory)) =
        (registry.shard(number_of_shard), memtable.shard(number_of_shard))
    else {
        return false;
    };
    let Some(live) = shard.get_mut(slot.entry) else { return false };
    live.logged_in = segment;
    let micros = ts.micros();
    if micros == live.last_ts {
        return false;
    }
    note_day(live, micros, &mut memory.new_days);
    let in_order = micros > live.last_ts.max(flushed_through);
    live.last_ts = live.last_ts.max(micros);
    let bytes = size_of::<(i64, Timestamp, Histogram)>() + histogram.heap_bytes();
    let rows = if in_order { &mut memory.histograms } else { &mut memory.late_histograms };
    rows.push((live.id, ts, histogram));
    memtable.grew(bytes);
    memtable.took(1, micros, micros);
    true
}

fn note_day(live: &mut Live, ts: i64, new_days: &mut Vec<NewDay>) {
    let day = Timestamp::from_micros(ts).day();
    if live.day != day {
        live.day = day;
        new_days.push(NewDay { number: live.number, ts });
    }
}
