//! Belady's optimum: evict what is asked for again last (IBM Systems Journal, 1966).

use std::collections::BTreeSet;

/// Misses of the optimum over `keys`, numbered from 0 without a gap, in a cache of `size` entries.
pub(super) fn misses(keys: &[u32], size: usize) -> usize {
    let next = next_uses(keys);
    let mut held: BTreeSet<(usize, u32)> = BTreeSet::new();
    let mut misses = 0;
    for (at, key) in keys.iter().enumerate() {
        // What is held is held under its next use, which is now.
        if !held.remove(&(at, *key)) {
            misses += 1;
            if held.len() == size {
                held.pop_last();
            }
        }
        held.insert((next[at], *key));
    }
    misses
}

/// For each access, when its key is asked for next; if never, beyond the end, each at a time of its own.
fn next_uses(keys: &[u32]) -> Vec<usize> {
    let mut seen = vec![usize::MAX; super::trace::distinct(keys)];
    let mut next = vec![0; keys.len()];
    for (at, key) in keys.iter().enumerate().rev() {
        let last = std::mem::replace(&mut seen[*key as usize], at);
        next[at] = if last == usize::MAX { keys.len() + at } else { last };
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optimum_of_a_loop_keeps_all_but_one_place() {
        // Of three keys in two places, after the first round each access but every second hits.
        let keys: Vec<u32> = (0..3).cycle().take(300).collect();
        assert_eq!(misses(&keys, 2), 3 + 297 / 2);
    }

    #[test]
    fn with_room_for_all_only_the_first_accesses_miss() {
        let keys = [0, 1, 2, 2, 1, 0, 0, 2];
        assert_eq!(misses(&keys, 3), 3);
    }
}
