//! What each minute should keep.

use std::str::FromStr;

use crate::settings::Slo;

/// An objective over a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Objective {
    /// The most that 99 of 100 requests may take, in seconds.
    pub(crate) p99: f64,
    /// The largest share of requests that may fail or be turned away.
    pub(crate) errors: f64,
}

impl From<Slo> for Objective {
    fn from(slo: Slo) -> Objective {
        Objective { p99: slo.p99_ms / 1e3, errors: slo.errors }
    }
}

impl FromStr for Objective {
    type Err = String;

    /// `p99=300ms,errors=1%`.
    fn from_str(text: &str) -> Result<Objective, String> {
        let wrong = || format!("--slo is {text:?}; give p99=300ms,errors=1%");
        let (mut p99, mut errors) = (None, None);
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or_else(wrong)?;
            match name {
                "p99" => p99 = read_time(value),
                "errors" => errors = read_percent(value),
                _ => return Err(wrong()),
            }
        }
        Ok(Objective { p99: p99.ok_or_else(wrong)?, errors: errors.ok_or_else(wrong)? })
    }
}

fn read_time(text: &str) -> Option<f64> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    number
        .parse::<f64>()
        .ok()
        .map(|number| number * unit)
        .filter(|seconds| *seconds > 0.0 && seconds.is_finite())
}

fn read_percent(text: &str) -> Option<f64> {
    let percent: f64 = text.strip_suffix('%')?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_is_read_in_its_units() {
        assert_eq!("p99=300ms,errors=1%".parse(), Ok(Objective { p99: 0.3, errors: 0.01 }));
        assert_eq!("errors=0.5%, p99=2s".parse(), Ok(Objective { p99: 2.0, errors: 0.005 }));
    }

    #[test]
    fn what_is_no_objective_is_answered_with_one_that_is() {
        for text in ["", "p99=300", "p95=3s,errors=1%", "p99=1s", "p99=1s,errors=101%"] {
            let error = text.parse::<Objective>().expect_err(text);
            assert!(error.contains("give p99=300ms,errors=1%"), "{error}");
        }
    }
}
