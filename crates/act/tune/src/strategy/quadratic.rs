//! Quadratic models of a function around a point, from whatever was measured there.
//!
//! The Hessian is the one nearest in Frobenius norm to a prior one that explains the values, after Powell, *Least Frobenius norm updating
//! of quadratic models that satisfy interpolation conditions* (Mathematical Programming 100, 2004). Values need not be met exactly:
//! each point has a slack that grows with the cube of its distance, as the error of a quadratic does, and with the noise. So there may
//! be fewer points than coefficients, or more, and far ones do little harm.

use nalgebra::{DMatrix, DVector};

/// c + g·s + ½ s·H·s.
#[derive(Clone, Debug)]
pub(super) struct Quadratic {
    pub(super) constant: f64,
    pub(super) gradient: DVector<f64>,
    pub(super) hessian: DMatrix<f64>,
}

/// A model with what tells how sure it is.
pub(super) struct Fit {
    pub(super) quadratic: Quadratic,
    steps: Vec<DVector<f64>>,
    system: nalgebra::LU<f64, nalgebra::Dyn, nalgebra::Dyn>,
}

impl Quadratic {
    /// The value at step `s`.
    pub(super) fn value(&self, s: &DVector<f64>) -> f64 {
        self.constant + self.gradient.dot(s) + 0.5 * s.dot(&(&self.hessian * s))
    }

    /// The lowest point at most `radius` away and between `low` and `high`, which hold the origin: coordinates that would leave are held
    /// at their bound one after another.
    pub(super) fn lowest_within(&self, radius: f64, low: &DVector<f64>, high: &DVector<f64>) -> DVector<f64> {
        let n = self.gradient.len();
        let mut step = DVector::zeros(n);
        let mut free: Vec<usize> = (0..n).collect();
        loop {
            let fixed: f64 = (0..n).filter(|i| !free.contains(i)).map(|i| step[i] * step[i]).sum();
            let left = (radius * radius - fixed).max(0.0).sqrt();
            if free.is_empty() || left <= 0.0 {
                return step;
            }
            // What is fixed adds to the slope of what is free.
            let held = DVector::from_fn(n, |i, _| if free.contains(&i) { 0.0 } else { step[i] });
            let slope = &self.gradient + &self.hessian * held;
            let g = DVector::from_fn(free.len(), |i, _| slope[free[i]]);
            let h = DMatrix::from_fn(free.len(), free.len(), |i, j| self.hessian[(free[i], free[j])]);
            let inner = lowest_in_ball(&g, &h, left);
            free.iter().zip(inner.iter()).for_each(|(i, s)| step[*i] = *s);
            let beyond = |i: &usize| step[*i] < low[*i] || step[*i] > high[*i];
            let Some(&first) = free.iter().filter(|i| beyond(i)).max_by(|a, b| {
                let over = |i: usize| (low[i] - step[i]).max(step[i] - high[i]);
                over(**a).total_cmp(&over(**b))
            }) else {
                return step;
            };
            step[first] = step[first].clamp(low[first], high[first]);
            free.retain(|i| *i != first);
        }
    }
}

/// The model nearest to `prior` that explains `values` at `steps`, which are counted in radii of the region; `noise` is the variance of
/// the values, in units of what the Hessian may be off by. None where the points tell nothing.
pub(super) fn fit(steps: Vec<DVector<f64>>, values: &[f64], noise: f64, prior: &DMatrix<f64>) -> Option<Fit> {
    let (m, n) = (steps.len(), prior.nrows());
    let size = m + n + 1;
    let mut system = DMatrix::zeros(size, size);
    for i in 0..m {
        for j in 0..=i {
            let kernel = 0.25 * steps[i].dot(&steps[j]).powi(2);
            system[(i, j)] = kernel;
            system[(j, i)] = kernel;
        }
        system[(i, i)] += 1e-16 + noise + model_error(&steps[i]);
        system[(i, m)] = 1.0;
        system[(m, i)] = 1.0;
        for k in 0..n {
            system[(i, m + 1 + k)] = steps[i][k];
            system[(m + 1 + k, i)] = steps[i][k];
        }
    }
    // Directions that no point shows keep a slope of nought.
    for k in m + 1..size {
        system[(k, k)] -= 1e-12;
    }
    let mut right = DVector::zeros(size);
    for i in 0..m {
        right[i] = values[i] - 0.5 * steps[i].dot(&(prior * &steps[i]));
    }
    let system = system.lu();
    let solved = system.solve(&right)?;
    let mut hessian = prior.clone();
    for i in 0..m {
        hessian.ger(0.5 * solved[i], &steps[i], &steps[i], 1.0);
    }
    let constant = solved[m];
    let gradient = solved.rows(m + 1, n).into_owned();
    let finite = constant.is_finite() && gradient.iter().chain(hessian.iter()).all(|x| x.is_finite());
    finite.then_some(Fit { quadratic: Quadratic { constant, gradient, hessian }, steps, system })
}

impl Fit {
    /// How unsure the model is at `s`: a variance, in units of what an entry of the Hessian may be off.
    pub(super) fn doubt(&self, s: &DVector<f64>) -> f64 {
        let (m, n) = (self.steps.len(), s.len());
        let mut seen = DVector::zeros(m + n + 1);
        for i in 0..m {
            seen[i] = 0.25 * s.dot(&self.steps[i]).powi(2);
        }
        seen[m] = 1.0;
        seen.rows_mut(m + 1, n).copy_from(s);
        let own = 0.25 * s.norm_squared().powi(2);
        self.system.solve(&seen).map_or(own, |weights| own - seen.dot(&weights)).max(0.0)
    }
}

fn model_error(step: &DVector<f64>) -> f64 {
    1e-6 * step.norm_squared().powi(3)
}

/// The lowest point of g·s + ½ s·H·s with |s| ≤ `radius`: Moré & Sorensen's conditions, met in the Hessian's own axes.
fn lowest_in_ball(g: &DVector<f64>, h: &DMatrix<f64>, radius: f64) -> DVector<f64> {
    let own = h.clone().symmetric_eigen();
    let along = own.eigenvectors.tr_mul(g);
    let lowest = own.eigenvalues.min();
    let step = |shift: f64| {
        DVector::from_fn(along.len(), |i, _| -along[i] / (own.eigenvalues[i] + shift).max(f64::MIN_POSITIVE))
    };
    let scale = own.eigenvalues.amax().max(along.norm() / radius).max(f64::MIN_POSITIVE);
    let least = (-lowest).max(0.0) + 1e-14 * scale;
    if lowest > 1e-14 * scale {
        let newton = step(0.0);
        if newton.norm() <= radius {
            return &own.eigenvectors * newton;
        }
    }
    let (mut short, mut long) = (least, least + along.norm() / radius + scale * 1e-12);
    if step(least).norm() <= radius {
        // The hard case: what is left of the radius goes along the lowest axis.
        let mut inner = step(least);
        let place = own.eigenvalues.imin();
        let others = inner.norm_squared() - inner[place] * inner[place];
        let rest = (radius * radius - others).max(0.0).sqrt();
        inner[place] = if along[place] > 0.0 { -rest } else { rest };
        return &own.eigenvectors * inner;
    }
    for _ in 0..80 {
        let middle =
            if short > 0.0 && long / short > 4.0 { (short * long).sqrt() } else { 0.5 * (short + long) };
        if step(middle).norm() > radius {
            short = middle;
        } else {
            long = middle;
        }
    }
    &own.eigenvectors * step(long)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(entries: &[f64]) -> DVector<f64> {
        DVector::from_column_slice(entries)
    }

    #[test]
    fn a_quadratic_is_recovered_from_as_many_points_as_it_has_coefficients() {
        let truth = Quadratic {
            constant: 3.0,
            gradient: vector(&[1.0, -2.0]),
            hessian: DMatrix::from_row_slice(2, 2, &[4.0, 1.0, 1.0, -6.0]),
        };
        let places = [[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.7, 0.7]];
        let steps: Vec<DVector<f64>> = places.iter().map(|place| vector(place)).collect();
        let values: Vec<f64> = steps.iter().map(|step| truth.value(step)).collect();
        let found = fit(steps, &values, 0.0, &DMatrix::zeros(2, 2)).expect("a model").quadratic;
        assert!((found.hessian - truth.hessian).norm() < 1e-3);
        assert!((found.gradient - truth.gradient).norm() < 1e-3);
    }

    #[test]
    fn a_model_doubts_what_no_point_shows() {
        let steps = vec![vector(&[0.0, 0.0]), vector(&[1.0, 0.0]), vector(&[-1.0, 0.0])];
        let fit = fit(steps, &[0.0, 1.0, 1.0], 0.0, &DMatrix::zeros(2, 2)).expect("a model");
        assert!(fit.doubt(&vector(&[0.9, 0.0])) < 1e-3);
        assert!(fit.doubt(&vector(&[0.0, 0.9])) > 1.0);
    }

    #[test]
    fn the_lowest_point_lies_in_the_ball_and_between_the_bounds() {
        let model = Quadratic {
            constant: 0.0,
            gradient: vector(&[-1.0, -1.0]),
            hessian: DMatrix::from_row_slice(2, 2, &[1.0, 0.0, 0.0, -1.0]),
        };
        let free = model.lowest_within(1.0, &vector(&[-9.0, -9.0]), &vector(&[9.0, 9.0]));
        assert!((free.norm() - 1.0).abs() < 1e-6 && free[1] > free[0]);
        let bounded = model.lowest_within(1.0, &vector(&[-9.0, -9.0]), &vector(&[9.0, 0.25]));
        assert!((bounded[1] - 0.25).abs() < 1e-12 && bounded[0] > 0.9);
    }
}
