//! Where samples lie in memory: fixed blocks of eight, two cache lines each, in chunks that never move.
//!
//! A block belongs to one series and says so, so an arena describes itself: a flush sorts the blocks, not the samples. An
//! append touches the tail block of its series and nothing else. A block names the one before it of its series, also across
//! generations, so a query walks back from the tail and touches nothing else either. Cost: 12 bytes a sample, 24 a block, and
//! on average half a block unused per series.

/// Samples in a block.
const BLOCK: usize = 8;
/// Blocks in a chunk: 30 kB, so that a small head stays small.
const CHUNK: usize = 256;

/// No block.
pub(crate) const NONE: u32 = u32::MAX;

/// The newest block of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Its number in its arena, or [`NONE`].
    pub(crate) block: u32,
    /// How many generations ago it was begun; 0 in this one.
    pub(crate) ago: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    series_id: i64,
    base: i64,
    offsets: [u32; BLOCK],
    values: [f64; BLOCK],
    /// The block before it, in the arena of `ago` generations before its own.
    before: u32,
    ago: u16,
    len: u8,
}

impl Block {
    fn new(series_id: i64, before: Tail, ts: i64, value: f64) -> Self {
        // Nothing waits so long for its flush that its generation's distance would not fit.
        let (before, ago) = u16::try_from(before.ago).map_or((NONE, 0), |ago| (before.block, ago));
        let mut values = [0.0; BLOCK];
        values[0] = value;
        Self { series_id, base: ts, offsets: [0; BLOCK], values, before, ago, len: 1 }
    }

    /// Adds a sample at or after the last one; `false` when the block is full or the time too far off.
    fn push(&mut self, ts: i64, value: f64) -> bool {
        let at = usize::from(self.len);
        let (Ok(offset), Some(slot), Some(place)) =
            (u32::try_from(ts - self.base), self.offsets.get_mut(at), self.values.get_mut(at))
        else {
            return false;
        };
        *slot = offset;
        *place = value;
        self.len += 1;
        true
    }

    pub(crate) fn series_id(&self) -> i64 {
        self.series_id
    }

    /// Its first and last time.
    pub(crate) fn span(&self) -> (i64, i64) {
        let last = usize::from(self.len).checked_sub(1).and_then(|at| self.offsets.get(at));
        (self.base, self.base + i64::from(last.copied().unwrap_or(0)))
    }

    /// How many samples it has.
    pub(crate) fn len(&self) -> u8 {
        self.len
    }

    /// Leaves its first `len` samples.
    pub(crate) fn truncate(&mut self, len: u8) {
        self.len = self.len.min(len);
    }

    /// The block before it of its series, where there is one.
    pub(crate) fn before(&self) -> Tail {
        Tail { block: self.before, ago: u32::from(self.ago) }
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = (i64, f64)> {
        let samples = self.offsets.iter().zip(&self.values).take(usize::from(self.len));
        samples.map(|(offset, value)| (self.base + i64::from(*offset), *value))
    }
}

/// Blocks in the order they were begun.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    chunks: Vec<Vec<Block>>,
}

impl Arena {
    /// Appends a sample to the series whose newest block is `tail`, and gives its newest block now, which is here.
    pub(crate) fn push(&mut self, tail: Tail, series_id: i64, ts: i64, value: f64) -> u32 {
        if tail.ago == 0
            && let Some(block) = self.get_mut(tail.block)
            && block.push(ts, value)
        {
            return tail.block;
        }
        let full = self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK);
        if full {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunks = self.chunks.len() - 1;
        let Some(chunk) = self.chunks.last_mut() else { return NONE };
        chunk.push(Block::new(series_id, tail, ts, value));
        (chunks * CHUNK + chunk.len() - 1) as u32
    }

    /// The block of this number.
    pub(crate) fn get(&self, number: u32) -> Option<&Block> {
        let number = number as usize;
        self.chunks.get(number / CHUNK)?.get(number % CHUNK)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut Block> {
        let number = number as usize;
        self.chunks.get_mut(number / CHUNK)?.get_mut(number % CHUNK)
    }

    /// The blocks in the order they were begun: within a series, in ascending time.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.chunks.iter().flatten()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Block>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Tail = Tail { block: NONE, ago: 0 };

    #[test]
    fn a_series_fills_one_block_after_another() {
        let mut arena = Arena::default();
        let mut tail = NEW;
        for n in 0..20 {
            tail = Tail { block: arena.push(tail, 7, n * 15_000_000, n as f64), ago: 0 };
        }
        let all: Vec<_> = arena.blocks().flat_map(|b| b.samples().collect::<Vec<_>>()).collect();
        assert_eq!(all.len(), 20);
        assert_eq!(all.last(), Some(&(19 * 15_000_000, 19.0)));
        assert_eq!(arena.blocks().count(), 3);
    }

    #[test]
    fn a_block_names_the_one_before_it_also_of_an_older_generation() {
        let (mut old, mut new) = (Arena::default(), Arena::default());
        let first = old.push(NEW, 7, 0, 1.0);
        let second = new.push(Tail { block: first, ago: 2 }, 7, 1, 2.0);
        assert_eq!(new.get(second).unwrap().before(), Tail { block: first, ago: 2 });
        assert_eq!(old.get(first).unwrap().before(), NEW);
    }

    #[test]
    fn a_gap_over_an_hour_begins_a_block() {
        let mut arena = Arena::default();
        let tail = arena.push(NEW, 7, 0, 1.0);
        let next = arena.push(Tail { block: tail, ago: 0 }, 7, i64::from(u32::MAX) + 1, 2.0);
        assert_ne!(tail, next);
    }

    #[test]
    fn a_block_fits_two_cache_lines() {
        assert!(size_of::<Block>() <= 128);
    }
}
