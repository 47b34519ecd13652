//! Whether a measurement, made again, would give the same value.

use std::collections::HashMap;

use crate::history::History;
use crate::strategy::standing::key;

/// What a history says of the noise of its measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// Equal settings give equal values.
    None,
    /// Nothing shows it yet.
    Unknown,
    /// They differ; the standard deviation of one measurement, pooled over repeats and over what was told, in the values' unit.
    Some(f64),
}

impl Noise {
    /// The standard deviation of one measurement; 0 where nothing shows noise.
    pub const fn deviation(self) -> f64 {
        match self {
            Noise::None | Noise::Unknown => 0.0,
            Noise::Some(deviation) => deviation,
        }
    }
}

/// Settings nearer than this in every coordinate are neighbours.
const NEAR: f64 = 1e-3;

/// What `history` says of its noise: from points that were measured more than once, else from standard errors that were told, else
/// from lowest points that lie close together. Takes time in proportion to the history.
pub fn judge(history: &History) -> Noise {
    let repeats = repeats(history);
    if repeats.freedom > 0 {
        return if repeats.squares == 0.0 {
            Noise::None
        } else {
            Noise::Some((repeats.squares / repeats.freedom as f64).sqrt())
        };
    }
    let (mut told, mut squares, mut count) = (0_usize, 0.0, 0_usize);
    for (_, measured) in history.measured() {
        count += 1;
        if let Some(noise) = measured.noise.filter(|noise| noise.is_finite()) {
            told += 1;
            squares += noise * noise;
        }
    }
    if told > 0 && squares > 0.0 {
        return Noise::Some((squares / told as f64).sqrt());
    }
    if count > 0 && told == count || neighbours_agree(history) { Noise::None } else { Noise::Unknown }
}

struct Repeats {
    squares: f64,
    freedom: usize,
}

/// Squared deviations from the mean of each point that was measured more than once, and their degrees of freedom.
fn repeats(history: &History) -> Repeats {
    let mut groups: HashMap<Vec<u64>, (usize, f64, f64)> = HashMap::new();
    for (trial, measured) in history.measured() {
        let (count, mean, squares) = groups.entry(key(&trial.point)).or_insert((0, 0.0, 0.0));
        *count += 1;
        let off = measured.value - *mean;
        // Exact zeros stay zero: a deterministic target is told by them.
        *mean += off / *count as f64;
        *squares += off * (measured.value - *mean);
    }
    let mut all: Vec<_> = groups.into_values().filter(|(count, ..)| *count > 1).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    all.iter().fold(Repeats { squares: 0.0, freedom: 0 }, |sum, (count, _, squares)| Repeats {
        squares: sum.squares + squares.max(0.0),
        freedom: sum.freedom + count - 1,
    })
}

/// Whether points among the lowest that lie close together have values so close, beside the spread of all, that no noise lies between.
fn neighbours_agree(history: &History) -> bool {
    let mut lowest: Vec<(&[f64], f64)> =
        history.measured().map(|(trial, m)| (trial.point.as_slice(), m.value)).collect();
    if lowest.len() < 8 {
        return false;
    }
    lowest.sort_by(|a, b| a.1.total_cmp(&b.1));
    // A search that has closed in holds little but near points, so the spread is that of where it came from.
    let spread = lowest[lowest.len() * 9 / 10].1 - lowest[0].1;
    let few = &lowest[..lowest.len().min(12)];
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < NEAR);
    let pairs = (0..few.len()).flat_map(|row| (0..row).map(move |column| (row, column)));
    let mut count = 0;
    for (row, column) in pairs.filter(|(row, column)| near(few[*row].0, few[*column].0)) {
        if (few[row].1 - few[column].1).abs() > spread * 1e-4 {
            return false;
        }
        count += 1;
    }
    count >= 6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Measured, Outcome};

    fn history(values: &[(f64, f64, Option<f64>)]) -> History {
        let mut history = History::default();
        for (x, value, noise) in values {
            let id = history.begin(vec![*x]);
            history.end(id, Outcome::Measured(Measured { noise: *noise, ..Measured::of(*value) }));
        }
        history
    }

    #[test]
    fn repeats_tell_first() {
        assert_eq!(judge(&history(&[(0.1, 0.1, None), (0.2, 3.0, None), (0.1, 0.1, None)])), Noise::None);
        assert_eq!(judge(&history(&[(0.1, 1.0, None), (0.1, 3.0, None)])), Noise::Some(2.0_f64.sqrt()));
    }

    #[test]
    fn standard_errors_that_were_told_count_where_nothing_was_repeated() {
        assert_eq!(judge(&history(&[(0.1, 1.0, Some(0.5)), (0.2, 3.0, Some(0.5))])), Noise::Some(0.5));
        assert_eq!(judge(&history(&[(0.1, 1.0, Some(0.0)), (0.2, 3.0, Some(0.0))])), Noise::None);
        assert_eq!(judge(&history(&[(0.1, 1.0, None), (0.2, 3.0, None)])), Noise::Unknown);
    }

    #[test]
    fn a_search_that_closes_in_on_a_smooth_valley_shows_no_noise() {
        let valley = |noise: f64| {
            let at = |step: i32| {
                let x = 0.5 + 0.5 / f64::from(step * step * step);
                (x, (x - 0.5).powi(2) + noise * (f64::from(step) * 12.9898).sin(), None)
            };
            history(&(1..40).map(at).collect::<Vec<_>>())
        };
        assert_eq!(judge(&valley(0.0)), Noise::None);
        assert_eq!(judge(&valley(0.01)), Noise::Unknown);
    }
}
