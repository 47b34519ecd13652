//! Samples in memory of the series that a query asks for.
//!
//! From a series' newest block a chain leads back through all generations, so the cost is that of what is asked for, whatever
//! else lies in memory.

use std::collections::HashSet;
use std::sync::Arc;

use kandela_model::LabelsRef;

use super::block::{Block, NONE, Tail};
use super::memtable::{MemShard, Memtable};
use super::registry::{Registry, Slot};

/// Samples of several series, one series after the other.
#[derive(Debug, Default)]
pub(crate) struct HeadSamples {
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
    /// Where the samples of each series asked for lie in the two.
    pub(crate) places: Vec<(u32, u32)>,
    /// Those that came late, oldest generation first, in each by series and time: (series, time, value).
    pub(crate) late: Vec<Vec<(i64, i64, f64)>>,
}

impl HeadSamples {
    /// The samples of series `index` that came in order.
    pub(crate) fn of(&self, index: usize) -> (&[i64], &[f64]) {
        let (from, to) = self.places.get(index).map_or((0, 0), |(from, to)| (*from as usize, *to as usize));
        (self.times.get(from..to).unwrap_or_default(), self.values.get(from..to).unwrap_or_default())
    }
}

/// A newer generation than those given holds samples: pin the view again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Superseded;

/// The samples from `from` through `through` that `generations`, oldest first, hold of `series`: identity and labels.
///
/// # Errors
/// [`Superseded`].
pub(crate) fn samples_of<'a>(
    registry: &Registry,
    generations: &[&Arc<Memtable>],
    series: impl Iterator<Item = (i64, LabelsRef<'a>)>,
    (from, through): (i64, i64),
) -> Result<HeadSamples, Superseded> {
    let mut found = HeadSamples::default();
    let mut wanted: HashSet<i64> = HashSet::new();
    let mut slots: Vec<(Slot, usize)> = Vec::new();
    for (index, (id, labels)) in series.enumerate() {
        wanted.insert(id);
        found.places.push((0, 0));
        if let Some(slot) = registry.find(labels) {
            slots.push((slot, index));
        }
    }
    slots.sort_unstable_by_key(|(slot, _)| slot.shard);
    for of_shard in slots.chunk_by(|a, b| a.0.shard == b.0.shard) {
        let Some(number) = of_shard.first().map(|(slot, _)| slot.shard as usize) else { continue };
        let Some(living) = registry.shard(number) else { continue };
        let memory: Vec<_> = generations
            .iter()
            .filter_map(|generation| Some((generation.generation, generation.shard(number)?)))
            .collect();
        let memory: Vec<(u32, &MemShard)> =
            memory.iter().map(|(number, shard)| (*number, &**shard)).collect();
        let newest = memory.last().map_or(0, |(number, _)| *number);
        let mut chain: Vec<&Block> = Vec::new();
        for (slot, index) in of_shard {
            let Some(live) = living.get(slot.entry) else { continue };
            if live.generation > newest {
                return Err(Superseded);
            }
            chain.clear();
            follow(&memory, live.generation, live.tail, from, &mut chain);
            let begin = found.times.len() as u32;
            for block in chain.iter().rev() {
                for (ts, value) in block.samples().filter(|(ts, _)| (from..=through).contains(ts)) {
                    found.times.push(ts);
                    found.values.push(value);
                }
            }
            if let Some(place) = found.places.get_mut(*index) {
                *place = (begin, found.times.len() as u32);
            }
        }
    }
    for generation in generations {
        let keep = |id, ts| (from..=through).contains(&ts) && wanted.contains(&id);
        found.late.push(generation.late_samples(keep));
    }
    Ok(found)
}

/// Collects the blocks of one series from its newest back to the one that holds `from`, newest first.
fn follow<'a>(
    memory: &[(u32, &'a MemShard)],
    mut generation: u32,
    mut block: u32,
    from: i64,
    chain: &mut Vec<&'a Block>,
) {
    while block != NONE {
        let arena = memory.iter().find(|(number, _)| *number == generation).map(|(_, shard)| &shard.arena);
        let Some(found) = arena.and_then(|arena| arena.get(block)) else { return };
        let (first, last) = found.span();
        if last < from {
            return;
        }
        chain.push(found);
        if first <= from {
            return;
        }
        let Tail { block: before, ago } = found.before();
        generation -= ago;
        block = before;
    }
}
