//! Counts of a run of neighbouring buckets.

/// Counts of the buckets from `start` on. The first and the last are above zero, so equal counts have one
/// representation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    start: i32,
    counts: Vec<u64>,
}

impl Counts {
    /// Adds to a bucket within the run; false, and nothing is done, if it lies outside.
    #[inline]
    pub(super) fn add_within(&mut self, index: i32, n: u64) -> bool {
        // An index below the start wraps around to beyond the end.
        match self.counts.get_mut(index.wrapping_sub(self.start) as u32 as usize) {
            Some(count) => {
                *count = count.saturating_add(n);
                true
            }
            None => false,
        }
    }

    /// Adds `n` > 0 to any bucket, making the run longer where needed.
    pub(super) fn add(&mut self, index: i32, n: u64) {
        if self.counts.is_empty() {
            self.start = index;
        }
        if index < self.start {
            let missing = (self.start - index) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.start = index;
        }
        let position = (index - self.start) as usize;
        if position >= self.counts.len() {
            self.counts.resize(position + 1, 0);
        }
        self.counts[position] = self.counts[position].saturating_add(n);
    }

    /// The first and the last bucket of the run.
    pub(super) fn ends(&self) -> Option<(i32, i32)> {
        let last = self.counts.len().checked_sub(1)?;
        Some((self.start, self.start + last as i32))
    }

    /// Merges each run of 2^`halvings` buckets into one.
    pub(super) fn coarsen(&mut self, halvings: u32) {
        if halvings == 0 {
            return;
        }
        let finer = std::mem::take(self);
        self.merge_from(&finer, halvings);
    }

    /// Adds counts that are `halvings` scales finer.
    pub(super) fn merge_from(&mut self, finer: &Counts, halvings: u32) {
        if let Some((first, last)) = finer.ends() {
            // The far end first: one reallocation instead of one a bucket.
            for end in [last, first] {
                self.add(end >> halvings, 0);
            }
        }
        for (index, count) in finer.iter() {
            self.add_within(index >> halvings, count);
        }
    }

    /// The buckets with a count above zero, by index.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (i32, u64)> + Clone + '_ {
        let start = self.start;
        let populated = self.counts.iter().enumerate().filter(|&(_, &count)| count > 0);
        populated.map(move |(position, &count)| (start + position as i32, count))
    }

    /// Takes out the buckets for which `taken` holds, and returns what they had counted.
    pub(super) fn take_where(&mut self, taken: impl Fn(i32) -> bool) -> u64 {
        let before = std::mem::take(self);
        let mut total = 0u64;
        for (index, count) in before.iter() {
            if taken(index) {
                total = total.saturating_add(count);
            } else {
                self.add(index, count);
            }
        }
        total
    }
}
