//! The 24 noiseless functions of BBOB.
//!
//! After Hansen, Finck, Ros & Auger, *Real-Parameter Black-Box Optimization Benchmarking 2009: Noiseless Functions Definitions*
//! (INRIA research report 6829), whose symbols are kept: `z` for the transformed point, Λ for a diagonal that stretches, R and Q for
//! rotations, T for the transformations that break symmetry.

use super::gallagher::Peaks;
use super::instance::{self, Matrix};
use super::transform::{
    asymmetric, beyond, oscillated, oscillating, share, stretch, stretched_between, times,
};

/// Which functions there are.
pub(crate) const FUNCTIONS: std::ops::RangeInclusive<u32> = 1..=24;

/// An instance of a function.
pub(crate) struct Problem {
    function: u32,
    dimension: usize,
    lowest: f64,
    optimum: Vec<f64>,
    /// R, or what takes the place of the first product.
    first: Matrix,
    /// Q, or what takes the place of the second product.
    second: Matrix,
    peaks: Option<Peaks>,
}

impl Problem {
    /// Instance `instance` of function `function` in `dimension` dimensions, of which there are at least two.
    pub(crate) fn new(function: u32, dimension: usize, instance: u32) -> Problem {
        let seed = instance::seed(function, instance);
        let r = || instance::rotation(dimension, seed + 1_000_000);
        let q = || instance::rotation(dimension, seed);
        let none = Matrix::new;
        let (first, second) = match function {
            6 | 13 => (stretched_between(&r(), 10.0, &q()), none()),
            23 => (stretched_between(&r(), 100.0, &q()), none()),
            7 | 17 | 18 => (r(), q()),
            15 => (r(), stretched_between(&r(), 10.0, &q())),
            16 => (r(), stretched_between(&r(), 0.01, &q())),
            24 => (stretched_between(&r(), 100.0, &q()), none()),
            9 | 19 => (q(), none()),
            10 | 11 | 12 | 14 => (r(), none()),
            _ => (none(), none()),
        };
        let peaks = match function {
            21 => Some(Peaks::many(dimension, seed)),
            22 => Some(Peaks::few(dimension, seed)),
            _ => None,
        };
        let lowest = instance::lowest(function, instance);
        Problem {
            function,
            dimension,
            lowest,
            optimum: optimum(function, dimension, seed),
            first,
            second,
            peaks,
        }
    }

    /// The value at `x`, one coordinate for each dimension.
    pub(crate) fn value(&self, x: &[f64]) -> f64 {
        self.gap(x) + self.lowest
    }

    /// How far the value at `x` is above the lowest.
    pub(crate) fn gap(&self, x: &[f64]) -> f64 {
        let n = self.dimension;
        let last = (n - 1) as f64;
        let from_optimum: Vec<f64> = x.iter().zip(&self.optimum).map(|(x, at)| x - at).collect();
        match self.function {
            1 => squares(&from_optimum),
            2 => ellipsoid(&oscillated(&from_optimum)),
            3 => rastrigin(&stretch(10.0, &asymmetric(0.2, &oscillated(&from_optimum)))),
            4 => {
                let mut z = stretch(10.0, &oscillated(&from_optimum));
                z.iter_mut().step_by(2).filter(|z| **z > 0.0).for_each(|z| *z *= 10.0);
                rastrigin(&z) + 100.0 * beyond(x)
            }
            5 => linear_slope(x, &self.optimum),
            6 => {
                let steep = |(z, at): (f64, &f64)| if z * at > 0.0 { (100.0 * z).powi(2) } else { z * z };
                let sum: f64 =
                    times(&self.first, &from_optimum).into_iter().zip(&self.optimum).map(steep).sum();
                oscillating(sum).powf(0.9)
            }
            7 => step_ellipsoid(&self.first, &stretch(10.0, &times(&self.second, &from_optimum))) + beyond(x),
            8 => {
                let z: Vec<f64> = from_optimum.iter().map(|x| rosenbrock_scale(n) * x + 1.0).collect();
                rosenbrock(&z)
            }
            9 => rosenbrock(&self.rosenbrock_point(x)),
            10 => ellipsoid(&oscillated(&times(&self.first, &from_optimum))),
            11 => {
                let z = oscillated(&times(&self.first, &from_optimum));
                1e6 * z[0] * z[0] + squares(&z[1..])
            }
            12 => {
                let z = times(&self.first, &asymmetric(0.5, &times(&self.first, &from_optimum)));
                z[0] * z[0] + 1e6 * squares(&z[1..])
            }
            13 => {
                let z = times(&self.first, &from_optimum);
                z[0] * z[0] + 100.0 * squares(&z[1..]).sqrt()
            }
            14 => {
                let z = times(&self.first, &from_optimum);
                let power = |(i, z): (usize, &f64)| z.abs().powf(2.0 + 4.0 * share(i, n));
                z.iter().enumerate().map(power).sum::<f64>().sqrt()
            }
            15 => {
                let z = asymmetric(0.2, &oscillated(&times(&self.first, &from_optimum)));
                rastrigin(&times(&self.second, &z))
            }
            16 => {
                let z = times(&self.second, &oscillated(&times(&self.first, &from_optimum)));
                weierstrass(&z) + 10.0 / n as f64 * beyond(x)
            }
            17 | 18 => {
                let condition = if self.function == 17 { 10.0 } else { 1000.0 };
                let z = asymmetric(0.5, &times(&self.first, &from_optimum));
                schaffers(&stretch(condition, &times(&self.second, &z))) + 10.0 * beyond(x)
            }
            19 => {
                let wave = |s: f64| s / 4000.0 - s.cos();
                let z = self.rosenbrock_point(x);
                10.0 / last * z.windows(2).map(|z| wave(rosenbrock(z))).sum::<f64>() + 10.0
            }
            20 => schwefel(x, &self.optimum),
            21 | 22 => self.peaks.as_ref().map_or(0.0, |peaks| peaks.gap(x)) + beyond(x),
            23 => katsuura(&times(&self.first, &from_optimum)) + beyond(x),
            _ => self.lunacek(x),
        }
    }

    /// f9 and f19 place their optimum by the rotation alone.
    fn rosenbrock_point(&self, x: &[f64]) -> Vec<f64> {
        times(&self.first, x).into_iter().map(|x| rosenbrock_scale(self.dimension) * x + 0.5).collect()
    }

    fn lunacek(&self, x: &[f64]) -> f64 {
        let n = self.dimension as f64;
        let near = 2.5;
        let s = 1.0 - 0.5 / ((n + 20.0).sqrt() - 4.1);
        let far = -((near * near - 1.0) / s).sqrt();
        let mirrored: Vec<f64> = x.iter().zip(&self.optimum).map(|(x, at)| 2.0 * at.signum() * x).collect();
        let around = |centre: f64| mirrored.iter().map(|x| (x - centre).powi(2)).sum::<f64>();
        let from_near: Vec<f64> = mirrored.iter().map(|x| x - near).collect();
        around(near).min(n + s * around(far)) + waves(&times(&self.first, &from_near)) + 1e4 * beyond(x)
    }
}

fn optimum(function: u32, dimension: usize, seed: i64) -> Vec<f64> {
    let signs = |drawn: Vec<f64>, middle: f64, size: f64| {
        drawn.into_iter().map(|u| if u < middle { -size } else { size }).collect()
    };
    let usual = || instance::optimum(dimension, seed);
    match function {
        4 => {
            let mut at = usual();
            at.iter_mut().step_by(2).for_each(|x| *x = x.abs());
            at
        }
        5 => signs(usual(), 0.0, 5.0),
        8 => usual().into_iter().map(|x| 0.75 * x).collect(),
        12 => instance::optimum(dimension, seed + 1_000_000),
        20 => signs(instance::uniform(dimension, seed), 0.5, 0.5 * 4.209_687_463_7),
        24 => signs(instance::normal(dimension, seed), 0.0, 1.25),
        _ => usual(),
    }
}

fn squares(z: &[f64]) -> f64 {
    z.iter().map(|z| z * z).sum()
}

fn ellipsoid(z: &[f64]) -> f64 {
    z.iter().enumerate().map(|(i, z_i)| 1e6_f64.powf(share(i, z.len())) * z_i * z_i).sum()
}

fn waves(z: &[f64]) -> f64 {
    10.0 * z.iter().map(|z| 1.0 - (2.0 * std::f64::consts::PI * z).cos()).sum::<f64>()
}

fn rastrigin(z: &[f64]) -> f64 {
    waves(z) + squares(z)
}

fn rosenbrock_scale(dimension: usize) -> f64 {
    ((dimension as f64).sqrt() / 8.0).max(1.0)
}

fn rosenbrock(z: &[f64]) -> f64 {
    z.windows(2).map(|z| 100.0 * (z[0] * z[0] - z[1]).powi(2) + (z[0] - 1.0).powi(2)).sum()
}

fn linear_slope(x: &[f64], corner: &[f64]) -> f64 {
    let slope = |(i, (x, at)): (usize, (&f64, &f64))| {
        let steep = 10_f64.powf(share(i, corner.len()));
        // Beyond the corner it is flat.
        steep * (5.0 - at.signum() * if x * at < 25.0 { *x } else { *at })
    };
    x.iter().zip(corner).enumerate().map(slope).sum()
}

fn step_ellipsoid(q: &Matrix, z: &[f64]) -> f64 {
    let step = |z: &f64| if z.abs() > 0.5 { (z + 0.5).floor() } else { (10.0 * z + 0.5).floor() / 10.0 };
    let stepped: Vec<f64> = z.iter().map(step).collect();
    let turned = times(q, &stepped);
    let n = turned.len();
    let sum: f64 = turned.iter().enumerate().map(|(i, z)| 100_f64.powf(share(i, n)) * z * z).sum();
    0.1 * sum.max(z[0].abs() / 1e4)
}

fn weierstrass(z: &[f64]) -> f64 {
    let terms = || (0..12).map(|k| (0.5_f64.powi(k), 3_f64.powi(k)));
    let tau = 2.0 * std::f64::consts::PI;
    let at_rest: f64 = terms().map(|(a, b)| a * (tau * b * 0.5).cos()).sum();
    let rough = |z: &f64| terms().map(|(a, b)| a * (tau * b * (z + 0.5)).cos()).sum::<f64>();
    10.0 * (z.iter().map(rough).sum::<f64>() / z.len() as f64 - at_rest).powi(3)
}

fn schaffers(z: &[f64]) -> f64 {
    let ring = |z: &[f64]| {
        let s = z[0].hypot(z[1]);
        s.sqrt() * (1.0 + (50.0 * s.powf(0.2)).sin().powi(2))
    };
    (z.windows(2).map(ring).sum::<f64>() / (z.len() - 1) as f64).powi(2)
}

fn schwefel(x: &[f64], optimum: &[f64]) -> f64 {
    let n = x.len() as f64;
    let mirrored: Vec<f64> = x.iter().zip(optimum).map(|(x, at)| 2.0 * at.signum() * x).collect();
    let centre = |i: usize| 2.0 * optimum[i].abs();
    let leaning = |i: usize| match i {
        0 => mirrored[0],
        _ => mirrored[i] + 0.25 * (mirrored[i - 1] - centre(i - 1)),
    };
    let from_centre: Vec<f64> = (0..x.len()).map(|i| leaning(i) - centre(i)).collect();
    let stretched = stretch(10.0, &from_centre);
    let z: Vec<f64> = stretched.iter().enumerate().map(|(i, z)| 100.0 * (z + centre(i))).collect();
    let sum: f64 = z.iter().map(|z| z * z.abs().sqrt().sin()).sum();
    let outside: f64 = z.iter().map(|z| (z.abs() - 500.0).max(0.0).powi(2)).sum();
    0.01 * (outside + 418.982_887_272_433_9 - sum / n)
}

fn katsuura(z: &[f64]) -> f64 {
    let n = z.len() as f64;
    let rough = |z: f64| {
        let term = |j: i32| (2_f64.powi(j) * z - (2_f64.powi(j) * z).round()).abs() / 2_f64.powi(j);
        (1..=32).map(term).sum::<f64>()
    };
    let factor = |(i, z): (usize, &f64)| (1.0 + (i + 1) as f64 * rough(*z)).powf(10.0 / n.powf(1.2));
    10.0 / (n * n) * (z.iter().enumerate().map(factor).product::<f64>() - 1.0)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// What the reference implementation says; peers/bbob/fixtures.py writes it.
    const REFERENCE: &str = include_str!("../../testdata/bbob.jsonl");

    #[derive(Deserialize)]
    struct Fixture {
        function: u32,
        dimension: usize,
        instance: u32,
        lowest: f64,
        points: Vec<Vec<f64>>,
        values: Vec<f64>,
    }

    #[test]
    fn values_are_those_of_the_reference_implementation() {
        let mut wrong = Vec::new();
        for line in REFERENCE.lines() {
            let fixture: Fixture = serde_json::from_str(line).expect("a fixture");
            let Fixture { function, dimension, instance, .. } = fixture;
            let problem = Problem::new(function, dimension, instance);
            assert_eq!(problem.lowest, fixture.lowest, "f{function}, instance {instance}");
            for (point, value) in fixture.points.iter().zip(&fixture.values) {
                let ours = problem.value(point);
                if (ours - value).abs() > 1e-9 * (1.0 + value.abs()) {
                    wrong.push(format!("f{function} {dimension}-D i{instance}: {ours} is {value}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn no_point_is_below_the_optimum_and_the_optimum_is_there() {
        for function in [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24] {
            let problem = Problem::new(function, 5, 3);
            let at = match &problem.peaks {
                Some(peaks) => peaks.highest(),
                None => problem.optimum.clone(),
            };
            // Schwefel's is rounded where it is defined.
            let tolerance = if function == 20 { 1e-5 } else { 1e-9 };
            assert!(problem.gap(&at).abs() < tolerance, "f{function}: {}", problem.gap(&at));
        }
    }
}
