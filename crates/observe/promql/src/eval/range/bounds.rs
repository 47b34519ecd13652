//! Where windows begin and end among the samples of a series.

use std::cell::OnceCell;

use super::rate::Stretch;

/// For each step, the samples in its window: from the first, before the second.
///
/// Series of one target were measured at the same times, so what was found for one mostly holds for the next.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    times: Vec<i64>,
    windows: Vec<(usize, usize)>,
    /// How many samples lie in all windows together.
    covered: usize,
    stretches: OnceCell<Vec<Stretch>>,
}

impl Bounds {
    /// Finds the windows, of which each is open at its start and closed at its end, and neither moves back.
    pub(super) fn find(&mut self, times: &[i64], windows: impl Iterator<Item = (i64, i64)>) {
        if self.times == times && !self.windows.is_empty() {
            return;
        }
        self.times.clear();
        self.times.extend_from_slice(times);
        self.windows.clear();
        self.stretches.take();
        self.covered = 0;
        let (mut low, mut high) = (0, 0);
        for (from, through) in windows {
            high += times.get(high..).unwrap_or_default().iter().take_while(|time| **time <= through).count();
            low += times.get(low..high).unwrap_or_default().iter().take_while(|time| **time <= from).count();
            self.windows.push((low, high));
            self.covered += high - low;
        }
    }

    pub(super) fn windows(&self) -> &[(usize, usize)] {
        &self.windows
    }

    /// What rates know of each window by its times alone; `find` says it of a window's ends and is asked once for all series
    /// that were measured at these times.
    pub(super) fn stretches(&self, find: impl FnMut((usize, (usize, usize))) -> Stretch) -> &[Stretch] {
        self.stretches.get_or_init(|| self.windows.iter().copied().enumerate().map(find).collect())
    }

    pub(super) fn covered(&self) -> usize {
        self.covered
    }
}
