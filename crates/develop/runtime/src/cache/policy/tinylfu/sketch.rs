//! How often something was asked for of late, roughly and in eight bytes an entry: a count-min sketch whose counters of four bits
//! are halved when as many accesses as ten times the entries have been counted.

use crate::random::mix;

const ROWS: u64 = 4;
const MOST: u64 = 15;
/// Halved after this many accesses an entry.
const SAMPLE: u64 = 10;

/// Sixteen counters a word.
pub(super) struct Sketch {
    words: Vec<u64>,
    entries: u64,
    counted: u64,
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch { words: vec![0; 16], entries: 16, counted: 0 }
    }
}

impl Sketch {
    /// Grows to a word an entry. Counts stay: a place of the smaller sketch is as good a place in either half of the larger.
    pub(super) fn fit(&mut self, entries: usize) {
        self.entries = self.entries.max(entries as u64);
        while self.words.len() < entries {
            self.words.extend_from_within(..);
        }
    }

    pub(super) fn count(&mut self, hash: u64) {
        for row in 0..ROWS {
            let (word, bit) = self.place(hash, row);
            if (self.words[word] >> bit) & MOST < MOST {
                self.words[word] += 1 << bit;
            }
        }
        self.counted += 1;
        if self.counted >= SAMPLE * self.entries {
            self.halve();
        }
    }

    pub(super) fn frequency(&self, hash: u64) -> u8 {
        let counter = |row| {
            let (word, bit) = self.place(hash, row);
            (self.words[word] >> bit) & MOST
        };
        (0..ROWS).map(counter).min().unwrap_or(0) as u8
    }

    /// The word, and the counter's first bit in it.
    fn place(&self, hash: u64, row: u64) -> (usize, u64) {
        let mixed = mix(hash ^ row);
        let word = mixed as usize & (self.words.len() - 1);
        // Each row has a quarter of each word's counters.
        let counter = row * 4 + (mixed >> 62);
        (word, counter * 4)
    }

    fn halve(&mut self) {
        const LOW_BITS: u64 = 0x7777_7777_7777_7777;
        for word in &mut self.words {
            *word = (*word >> 1) & LOW_BITS;
        }
        self.counted /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_often_counts_more_than_what_came_once() {
        let mut sketch = Sketch::default();
        sketch.fit(1000);
        for number in 0..500 {
            sketch.count(mix(number));
        }
        for _ in 0..9 {
            sketch.count(mix(7));
        }
        let rare = (0..500).filter(|number| sketch.frequency(mix(*number)) <= 3).count();
        assert!(sketch.frequency(mix(7)) >= 10);
        assert!(rare > 490, "{rare}");
    }

    #[test]
    fn counts_age() {
        let mut sketch = Sketch::default();
        for _ in 0..15 {
            sketch.count(mix(7));
        }
        let before = sketch.frequency(mix(7));
        for number in 0..400 {
            sketch.count(mix(1_000 + number));
        }
        assert_eq!(before, 15);
        assert!(sketch.frequency(mix(7)) < 15);
    }

    #[test]
    fn growing_keeps_what_was_counted() {
        let mut sketch = Sketch::default();
        for _ in 0..8 {
            sketch.count(mix(7));
        }
        sketch.fit(10_000);
        assert!(sketch.frequency(mix(7)) >= 8);
    }
}
