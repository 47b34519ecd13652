//! How much a measurement errs, as far as the history tells.

use std::collections::HashMap;

use super::standing::key;
use crate::history::History;

/// The standard error of one measurement: pooled over points that were measured repeatedly, else the root mean square of what whoever
/// measured told; `None` where neither says anything.
pub(crate) fn of(seen: &History) -> Option<f64> {
    let mut points: HashMap<Vec<u64>, (f64, f64, f64)> = HashMap::new();
    let (mut told, mut count) = (0.0, 0.0);
    for (trial, measured) in seen.measured() {
        let (n, mean, squares) = points.entry(key(&trial.point)).or_default();
        *n += 1.0;
        let off = measured.value - *mean;
        *mean += off / *n;
        *squares += off * (measured.value - *mean);
        if let Some(noise) = measured.noise.filter(|noise| noise.is_finite()) {
            told += noise * noise;
            count += 1.0;
        }
    }
    // Summed in an order that does not depend on the map's.
    let mut repeated: Vec<(f64, f64)> =
        points.into_values().filter(|(n, ..)| *n > 1.0).map(|(n, _, squares)| (n - 1.0, squares)).collect();
    repeated.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (free, squares) = repeated.iter().fold((0.0, 0.0), |(f, s), (n, q)| (f + n, s + q));
    if free > 0.0 {
        Some((squares / free).sqrt())
    } else if count > 0.0 {
        Some((told / count).sqrt())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Measured, Outcome};

    fn history(told: &[(f64, f64, Option<f64>)]) -> History {
        let mut seen = History::default();
        for (u, value, noise) in told {
            let id = seen.begin(vec![*u]);
            seen.end(id, Outcome::Measured(Measured { noise: *noise, ..Measured::of(*value) }));
        }
        seen
    }

    #[test]
    fn repeated_points_say_more_than_what_was_told() {
        assert_eq!(of(&history(&[(0.1, 1.0, None), (0.2, 3.0, None)])), None);
        assert_eq!(of(&history(&[(0.1, 1.0, Some(0.5)), (0.2, 3.0, Some(0.5))])), Some(0.5));
        assert_eq!(of(&history(&[(0.1, 1.0, Some(0.5)), (0.1, 3.0, Some(0.5))])), Some(2_f64.sqrt()));
        assert_eq!(of(&history(&[(0.1, 1.0, None), (0.1, 1.0, None)])), Some(0.0));
    }
}
