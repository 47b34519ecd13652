//! Samples in memory of the series that a query asks for.
//!
//! From a series' newest block a chain leads back through all generations, so the cost is that of what is asked for, whatever
//! else lies in memory.

use std::collections::HashSet;
use std::sync::Arc;

use kandela_model::LabelsRef;

use super::block::{Block, NONE, Tail};
use super::memtable::Memtable;
use super::registry::{Registry, Slot};

/// Samples in memory of several series, pinned: what comes in later is not among them. Each is copied when it is asked for.
#[derive(Debug, Default)]
pub(crate) struct HeadSamples {
    /// Oldest first.
    generations: Vec<Arc<Memtable>>,
    /// The newest block of each series asked for.
    ends: Vec<End>,
    /// Those that came late, oldest generation first, in each by series and time: (series, time, value).
    pub(crate) late: Vec<Vec<(i64, i64, f64)>>,
}

/// Where a series ended when it was pinned.
#[derive(Clone, Copy, Debug)]
struct End {
    shard: u32,
    generation: u32,
    /// [`NONE`] for a series that has nothing in memory.
    block: u32,
    /// Samples in the block.
    len: u8,
}

const NOWHERE: End = End { shard: 0, generation: 0, block: NONE, len: 0 };

/// A newer generation than those given holds samples: pin the view again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Superseded;

/// Pins the samples from `from` through `through` that `generations`, oldest first, hold of `series`: identity and labels.
///
/// # Errors
/// [`Superseded`].
pub(crate) fn samples_of<'a>(
    registry: &Registry,
    generations: &[&Arc<Memtable>],
    series: impl Iterator<Item = (i64, LabelsRef<'a>)>,
    (from, through): (i64, i64),
) -> Result<HeadSamples, Superseded> {
    let mut found = HeadSamples {
        generations: generations.iter().map(|generation| Arc::clone(generation)).collect(),
        ..HeadSamples::default()
    };
    let mut wanted: HashSet<i64> = HashSet::new();
    let mut slots: Vec<(Slot, usize)> = Vec::new();
    let any_late = generations.iter().any(|generation| generation.has_late_samples());
    for (index, (id, labels)) in series.enumerate() {
        if any_late {
            wanted.insert(id);
        }
        found.ends.push(NOWHERE);
        if let Some(slot) = registry.find(labels) {
            slots.push((slot, index));
        }
    }
    slots.sort_unstable_by_key(|(slot, _)| slot.shard);
    let newest = generations.last().map_or(0, |generation| generation.generation);
    for of_shard in slots.chunk_by(|a, b| a.0.shard == b.0.shard) {
        let Some(number) = of_shard.first().map(|(slot, _)| slot.shard) else { continue };
        let Some(living) = registry.shard(number as usize) else { continue };
        let memory: Vec<_> = generations
            .iter()
            .filter_map(|generation| Some((generation.generation, generation.shard(number as usize)?)))
            .collect();
        for (slot, index) in of_shard {
            let Some(live) = living.get(slot.entry) else { continue };
            if live.generation > newest {
                return Err(Superseded);
            }
            let arena = memory.iter().find(|(generation, _)| *generation == live.generation);
            let block = arena.and_then(|(_, shard)| shard.arena.get(live.tail));
            if let (Some(end), Some(block)) = (found.ends.get_mut(*index), block) {
                let (generation, len) = (live.generation, block.len());
                *end = End { shard: number, generation, block: live.tail, len };
            }
        }
    }
    if any_late {
        for generation in generations {
            let keep = |id, ts| (from..=through).contains(&ts) && wanted.contains(&id);
            found.late.push(generation.late_samples(keep));
        }
    }
    Ok(found)
}

impl HeadSamples {
    /// Puts the samples of series `index` from `from` through `through` that came in order into `times` and `values`, in
    /// place of what was there.
    pub(crate) fn read(
        &self,
        index: usize,
        (from, through): (i64, i64),
        chain: &mut Vec<Block>,
        times: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) {
        times.clear();
        values.clear();
        let Some(end) = self.ends.get(index) else { return };
        chain.clear();
        self.follow(*end, from, chain);
        for block in chain.iter().rev() {
            for (ts, value) in block.samples().filter(|(ts, _)| (from..=through).contains(ts)) {
                times.push(ts);
                values.push(value);
            }
        }
    }

    /// Copies the blocks of one series from its newest back to the one that holds `from`, newest first.
    fn follow(&self, end: End, from: i64, chain: &mut Vec<Block>) {
        let (mut generation, mut block) = (end.generation, end.block);
        let mut older = self.generations.iter().rev();
        while block != NONE {
            let Some(memory) = older.by_ref().find(|memory| memory.generation == generation) else { return };
            let Some(shard) = memory.shard(end.shard as usize) else { return };
            while block != NONE {
                let Some(mut found) = shard.arena.get(block).copied() else { return };
                if chain.is_empty() {
                    found.truncate(end.len);
                }
                let (first, last) = found.span();
                if last < from {
                    return;
                }
                chain.push(found);
                if first <= from {
                    return;
                }
                let Tail { block: before, ago } = found.before();
                block = before;
                if ago > 0 {
                    generation -= ago;
                    break;
                }
            }
        }
    }
}
