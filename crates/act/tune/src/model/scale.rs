//! Values as the model sees them.

/// A monotone map from measured values to standardised ones, which keeps a bad outlier from deciding about everything else.
///
/// What is far above the middle is of no interest to who minimises, so beyond a knee the map grows like a logarithm. Values of one
/// sign may be taken by their logarithm first: times and rates vary, and their noise grows, in proportion. (Snelson, Rasmussen,
/// Ghahramani 2003, "Warped Gaussian Processes", choose such a map by likelihood, as [`Model`](super::Model) does.)
#[derive(Clone, Debug)]
pub(super) struct Scale {
    shape: Shape,
    knee: f64,
    width: f64,
    mean: f64,
    deviation: f64,
}

/// What is done to values first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing.
    Plain,
    /// ln y, of values above 0.
    Log,
    /// −ln(−y), of values below 0.
    NegativeLog,
}

impl Shape {
    /// The shapes that fit these values.
    pub(super) fn fitting(values: &[f64]) -> Vec<Shape> {
        let all = |test: fn(&f64) -> bool| values.iter().all(test);
        let sign = [(Shape::Log, all(|v| *v > 0.0)), (Shape::NegativeLog, all(|v| *v < 0.0))];
        let logs = sign.into_iter().filter(|(_, fits)| *fits).map(|(shape, _)| shape);
        std::iter::once(Shape::Plain).chain(logs).collect()
    }

    fn of(self, value: f64) -> f64 {
        match self {
            Shape::Plain => value,
            Shape::Log => libm::log(value.max(f64::MIN_POSITIVE)),
            Shape::NegativeLog => -libm::log((-value).max(f64::MIN_POSITIVE)),
        }
    }

    fn back(self, shaped: f64) -> f64 {
        match self {
            Shape::Plain => shaped,
            Shape::Log => libm::exp(shaped),
            Shape::NegativeLog => -libm::exp(-shaped),
        }
    }

    fn slope(self, value: f64) -> f64 {
        match self {
            Shape::Plain => 1.0,
            Shape::Log | Shape::NegativeLog => 1.0 / value.abs().max(f64::MIN_POSITIVE),
        }
    }
}

impl Scale {
    /// The scale of these values, of which there is at least one.
    pub(super) fn of(values: &[f64], shape: Shape) -> Scale {
        let mut shaped: Vec<f64> = values.iter().map(|value| shape.of(*value)).collect();
        shaped.sort_by(f64::total_cmp);
        let quantile = |share: f64| shaped[((shaped.len() - 1) as f64 * share).round() as usize];
        let middle = quantile(0.5);
        let spread = ((middle - quantile(0.1)) / 1.28).max((quantile(0.75) - middle) / 0.674);
        let range = shaped[shaped.len() - 1] - shaped[0];
        let width = [spread, range, middle.abs()].into_iter().find(|width| *width > 0.0).unwrap_or(1.0);
        let mut scale = Scale { shape, knee: middle + 2.0 * width, width, mean: 0.0, deviation: 1.0 };
        let bent: Vec<f64> = values.iter().map(|value| scale.bend(shape.of(*value))).collect();
        let count = bent.len() as f64;
        scale.mean = bent.iter().sum::<f64>() / count;
        let variance = bent.iter().map(|v| (v - scale.mean) * (v - scale.mean)).sum::<f64>() / count;
        scale.deviation = variance.sqrt();
        let least = scale.mean.abs() * 1e-12;
        if !scale.deviation.is_finite() || scale.deviation <= least {
            scale.deviation = least.max(1e-300);
        }
        scale
    }

    fn bend(&self, shaped: f64) -> f64 {
        let beyond = (shaped - self.knee) / self.width;
        if beyond > 0.0 { self.knee + self.width * libm::log1p(beyond) } else { shaped }
    }

    /// A value, standardised.
    pub(super) fn to(&self, value: f64) -> f64 {
        (self.bend(self.shape.of(value)) - self.mean) / self.deviation
    }

    /// The value that is standardised to `z`.
    pub(super) fn back(&self, z: f64) -> f64 {
        let bent = self.mean + z * self.deviation;
        let beyond = (bent - self.knee) / self.width;
        let shaped = if beyond > 0.0 { self.knee + self.width * libm::expm1(beyond) } else { bent };
        self.shape.back(shaped)
    }

    /// How much the standardised value grows where the value does.
    pub(super) fn slope(&self, value: f64) -> f64 {
        let beyond = ((self.shape.of(value) - self.knee) / self.width).max(0.0);
        self.shape.slope(value) / ((1.0 + beyond) * self.deviation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_return_and_keep_their_order() {
        let values = [3.0, 1.0, 2.0, 2.5, 1.5, 4000.0, 0.5];
        for shape in Shape::fitting(&values) {
            let scale = Scale::of(&values, shape);
            for pair in [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 50.0, 4000.0].windows(2) {
                assert!(scale.to(pair[0]) < scale.to(pair[1]));
                assert!((scale.back(scale.to(pair[1])) / pair[1] - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn equal_values_have_a_scale() {
        assert_eq!(Scale::of(&[5.0, 5.0], Shape::Plain).to(5.0), 0.0);
    }
}
