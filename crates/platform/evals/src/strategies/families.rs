//! Generated objectives with a known minimum. Each family draws its instances from one seed; nothing of them is fixed.

use clap::ValueEnum;
use kandela_tune::Space;
use kandela_tune::random::{Random, seeded};
use kandela_tune::space::Axis;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Family {
    /// Rotated ellipsoids with condition up to 10⁴, and bent valleys
    Smooth,
    /// A bowl with ripples, and landscapes of peaks
    Multimodal,
    /// Numbers, whole numbers, categories and switches that shift each other's optimum
    Mixed,
    /// Smooth or mixed, measured with noise
    Noisy,
    /// Ridges, steps, and bowls with one side steeper than the other, rotated or not
    Rough,
    /// Bent ellipsoids with condition from 10⁴ to 10⁷, rotated or not
    Stiff,
}

/// One objective.
pub(crate) struct Instance {
    pub(crate) space: Space,
    shape: Shape,
    /// The coordinates of the minimum, where its value is 0.
    minimum: Vec<f64>,
    /// A rotation, by rows.
    rotation: Vec<Vec<f64>>,
    /// What a point in the middle of the pack has.
    pub(crate) scale: f64,
    /// The standard deviation of a measurement.
    noise: f64,
}

enum Shape {
    Ellipsoid {
        weights: Vec<f64>,
        power: f64,
    },
    Valley,
    /// A slope along the first direction, steeper across by this factor.
    Ridge(f64),
    /// An ellipsoid in steps, so many to the unit.
    Steps {
        weights: Vec<f64>,
        count: f64,
    },
    /// A bowl that is steeper beyond the minimum by this factor, in each direction.
    Skewed {
        factor: f64,
        power: f64,
    },
    /// An ellipsoid whose directions bend with the one before.
    Bent {
        weights: Vec<f64>,
        bend: f64,
    },
    Ripples {
        frequency: f64,
        height: f64,
    },
    Peaks(Vec<Peak>),
    Mixed {
        weights: Vec<f64>,
        penalties: Vec<Vec<f64>>,
        shifts: Vec<Vec<f64>>,
    },
}

struct Peak {
    at: Vec<f64>,
    height: f64,
    width: f64,
}

impl Family {
    pub(crate) const ALL: [Family; 6] =
        [Family::Smooth, Family::Multimodal, Family::Mixed, Family::Noisy, Family::Rough, Family::Stiff];

    /// The gap below which nothing more counts, as a share of the scale: with noise or whole numbers a thousandth is as good as
    /// the minimum.
    pub(crate) fn floor(self) -> f64 {
        match self {
            Family::Smooth | Family::Multimodal | Family::Rough | Family::Stiff => 1e-8,
            Family::Mixed | Family::Noisy => 1e-3,
        }
    }

    pub(crate) fn instance(self, dimension: usize, seed: u64) -> anyhow::Result<Instance> {
        let mut random = seeded(seed, 100 + self as u64);
        let random = &mut random;
        let first = random.random();
        let mut instance = match (self, first) {
            (Family::Smooth, true) => real(dimension, ellipsoid(dimension, random), random)?,
            (Family::Smooth, false) => real(dimension, Shape::Valley, random)?,
            (Family::Multimodal, true) => {
                let (frequency, height) = (random.random_range(2.0..5.0), random.random_range(0.02..0.1));
                real(dimension, Shape::Ripples { frequency, height }, random)?
            }
            (Family::Multimodal, false) => {
                let shape = Shape::Peaks(Vec::new());
                let mut instance = real(dimension, shape, random)?;
                instance.shape = Shape::Peaks(peaks(&instance.minimum, random));
                instance
            }
            (Family::Noisy, true) => real(dimension, ellipsoid(dimension, random), random)?,
            (Family::Rough, turned) => {
                turned_or_not(real(dimension, rough(dimension, random), random)?, turned)
            }
            (Family::Stiff, turned) => {
                let (condition, bend) = (random.random_range(4.0..7.0), random.random_range(0.0..0.5));
                let weight = |axis| 10.0_f64.powf(condition * axis as f64 / (dimension - 1) as f64);
                let shape = Shape::Bent { weights: (0..dimension).map(weight).collect(), bend };
                turned_or_not(real(dimension, shape, random)?, turned)
            }
            (Family::Mixed, _) | (Family::Noisy, false) => mixed(dimension, random)?,
        };
        let mut sample: Vec<f64> = (0..501)
            .map(|_| {
                let point: Vec<f64> = (0..dimension).map(|_| random.random()).collect();
                instance.value(&instance.space.snap(&point))
            })
            .collect();
        sample.sort_by(f64::total_cmp);
        instance.scale = sample[250];
        if self == Family::Noisy {
            instance.noise = instance.scale * random.random_range(0.02..0.2);
        }
        Ok(instance)
    }
}

impl Instance {
    /// The true value at a point of the unit cube that was snapped; its minimum is 0.
    pub(crate) fn value(&self, point: &[f64]) -> f64 {
        let off: Vec<f64> = point.iter().zip(&self.minimum).map(|(u, m)| u - m).collect();
        let turn = |off: &[f64]| -> Vec<f64> {
            self.rotation.iter().map(|row| row.iter().zip(off).map(|(r, o)| r * o).sum()).collect()
        };
        match &self.shape {
            Shape::Ellipsoid { weights, power } => {
                let sum: f64 = turn(&off).iter().zip(weights).map(|(z, w)| w * z * z).sum();
                sum.powf(*power)
            }
            Shape::Valley => {
                let z: Vec<f64> = turn(&off).iter().map(|z| 4.0 * z + 1.0).collect();
                let bent = z.windows(2).map(|w| 100.0 * (w[1] - w[0] * w[0]).powi(2) + (w[0] - 1.0).powi(2));
                bent.sum()
            }
            Shape::Ridge(factor) => {
                let z = turn(&off);
                z[0].abs() + factor * z[1..].iter().map(|z| z * z).sum::<f64>().sqrt()
            }
            Shape::Steps { weights, count } => {
                let step = |z: f64| (z * count).round() / count;
                turn(&off).iter().zip(weights).map(|(z, w)| w * step(*z).powi(2)).sum()
            }
            Shape::Skewed { factor, power } => {
                let side = |z: &f64| if *z > 0.0 { (factor * z).powi(2) } else { z * z };
                turn(&off).iter().map(side).sum::<f64>().powf(*power)
            }
            Shape::Bent { weights, bend } => {
                let z = turn(&off);
                let bent = |i: usize| if i == 0 { z[0] } else { z[i] + bend * z[i - 1] * z[i - 1] };
                (0..z.len()).map(|i| weights[i] * bent(i).powi(2)).sum()
            }
            Shape::Ripples { frequency, height } => {
                let ripple = |z: &f64| z * z + height * (1.0 - (std::f64::consts::TAU * frequency * z).cos());
                turn(&off).iter().map(ripple).sum()
            }
            Shape::Peaks(peaks) => {
                let reach = |peak: &Peak| {
                    let squares: f64 = point.iter().zip(&peak.at).map(|(a, b)| (a - b).powi(2)).sum();
                    peak.height * (-squares / (2.0 * point.len() as f64 * peak.width * peak.width)).exp()
                };
                1.0 - peaks.iter().map(reach).fold(0.0, f64::max)
            }
            Shape::Mixed { weights, penalties, shifts } => {
                self.mixed_value(point, weights, penalties, shifts)
            }
        }
    }

    fn mixed_value(
        &self,
        point: &[f64],
        weights: &[f64],
        penalties: &[Vec<f64>],
        shifts: &[Vec<f64>],
    ) -> f64 {
        let axes = self.space.axes();
        let (mut penalty, mut shift) = (0.0, vec![0.0; axes.len()]);
        for (index, axis) in axes.iter().enumerate() {
            if let Axis::Category(of) = axis {
                let chosen = ((point[index] * *of as f64) as usize).min(*of as usize - 1);
                penalty += penalties[index][chosen];
                if penalties[index][chosen] > 0.0 {
                    shift.iter_mut().zip(&shifts[index]).for_each(|(s, by)| *s += by);
                }
            }
        }
        let off: Vec<f64> = (0..axes.len())
            .map(|index| match axes[index] {
                Axis::Category(_) => 0.0,
                Axis::Real | Axis::Whole(_) => point[index] - self.minimum[index] - shift[index],
            })
            .collect();
        let turned = self.rotation.iter().map(|row| row.iter().zip(&off).map(|(r, o)| r * o).sum::<f64>());
        turned.zip(weights).map(|(z, w)| w * z * z).sum::<f64>() + penalty
    }

    /// One measurement.
    pub(crate) fn measure(&self, point: &[f64], random: &mut Random) -> f64 {
        let error: f64 = StandardNormal.sample(random);
        self.value(point) + self.noise * error
    }
}

fn real(dimension: usize, shape: Shape, random: &mut Random) -> anyhow::Result<Instance> {
    let parameters: Map<String, Value> = (0..dimension)
        .map(|index| (format!("x{index}"), json!({"type": "float", "min": 0.0, "max": 1.0})))
        .collect();
    let minimum = (0..dimension).map(|_| random.random_range(0.1..0.9)).collect();
    let space = serde_json::from_value(Value::Object(parameters))?;
    Ok(Instance { space, shape, minimum, rotation: rotation(dimension, random), scale: 1.0, noise: 0.0 })
}

fn turned_or_not(mut instance: Instance, turned: bool) -> Instance {
    if !turned {
        for (index, row) in instance.rotation.iter_mut().enumerate() {
            row.iter_mut().enumerate().for_each(|(place, x)| *x = f64::from(u8::from(place == index)));
        }
    }
    instance
}

fn rough(dimension: usize, random: &mut Random) -> Shape {
    match random.random_range(0..3) {
        0 => Shape::Ridge(10.0_f64.powf(random.random_range(0.5..2.0))),
        1 => {
            let weights = (0..dimension).map(|_| 10.0_f64.powf(2.0 * random.random::<f64>())).collect();
            Shape::Steps { weights, count: random.random_range(5.0..40.0) }
        }
        _ => Shape::Skewed { factor: random.random_range(3.0..100.0), power: random.random_range(0.5..1.0) },
    }
}

fn ellipsoid(dimension: usize, random: &mut Random) -> Shape {
    let condition = random.random_range(0.0..4.0);
    let weights = (0..dimension).map(|_| 10.0_f64.powf(condition * random.random::<f64>())).collect();
    Shape::Ellipsoid { weights, power: random.random_range(0.5..1.0) }
}

/// Twenty, the highest at the minimum and narrower than most.
fn peaks(minimum: &[f64], random: &mut Random) -> Vec<Peak> {
    let mut peaks = vec![Peak { at: minimum.to_vec(), height: 1.0, width: random.random_range(0.1..0.2) }];
    for _ in 0..19 {
        let at = minimum.iter().map(|_| random.random()).collect();
        peaks.push(Peak { at, height: random.random_range(0.3..0.9), width: random.random_range(0.08..0.3) });
    }
    peaks
}

/// Half of the axes are numbers, a quarter whole, the others categories and switches.
fn mixed(dimension: usize, random: &mut Random) -> anyhow::Result<Instance> {
    let mut parameters = Map::new();
    for index in 0..dimension {
        let values: Vec<String> = (0..random.random_range(2..6)).map(|value| format!("v{value}")).collect();
        let parameter = match index % 4 {
            0 => json!({"type": "float", "min": 0.001, "max": 1.0, "log": random.random::<bool>()}),
            1 => {
                json!({"type": "int", "min": 1, "max": random.random_range(3..200), "log": random.random::<bool>()})
            }
            2 => json!({"type": "enum", "values": values}),
            _ if random.random() => json!({"type": "bool"}),
            _ => json!({"type": "float", "min": -1.0, "max": 1.0}),
        };
        parameters.insert(format!("x{index}"), parameter);
    }
    let space: Space = serde_json::from_value(Value::Object(parameters))?;
    let minimum: Vec<f64> = (0..dimension).map(|_| random.random_range(0.1..0.9)).collect();
    let minimum = space.snap(&minimum);
    let condition = random.random_range(0.0..2.0);
    let weights = (0..dimension).map(|_| 10.0_f64.powf(condition * random.random::<f64>())).collect();
    let (mut penalties, mut shifts) = (Vec::new(), Vec::new());
    for (axis, u) in space.axes().iter().zip(&minimum) {
        let count = if let Axis::Category(of) = axis { *of as usize } else { 0 };
        let best = ((u * count as f64) as usize).min(count.saturating_sub(1));
        let penalty = |category| if category == best { 0.0 } else { random.random_range(0.05..1.0) };
        penalties.push((0..count).map(penalty).collect());
        shifts.push((0..dimension).map(|_| random.random_range(-0.15..0.15)).collect());
    }
    let shape = Shape::Mixed { weights, penalties, shifts };
    Ok(Instance { space, shape, minimum, rotation: rotation(dimension, random), scale: 1.0, noise: 0.0 })
}

/// Uniform among rotations: the rows of a normal matrix, made orthogonal one after another.
fn rotation(dimension: usize, random: &mut Random) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(dimension);
    while rows.len() < dimension {
        let mut row: Vec<f64> = (0..dimension).map(|_| StandardNormal.sample(random)).collect();
        for other in &rows {
            let along: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
        let length = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        row.iter_mut().for_each(|a| *a /= length);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_of_every_instance_is_0_and_where_it_should_be() {
        for family in Family::ALL {
            for seed in 0..20 {
                let instance = family.instance(5, seed).expect("an instance");
                let at = instance.space.snap(&instance.minimum);
                assert!(instance.value(&at).abs() < 1e-12, "{family:?} {seed}: {}", instance.value(&at));
                let mut random = seeded(seed, 0);
                for _ in 0..200 {
                    let point: Vec<f64> = (0..5).map(|_| random.random()).collect();
                    assert!(instance.value(&instance.space.snap(&point)) >= 0.0);
                }
            }
        }
    }
}
