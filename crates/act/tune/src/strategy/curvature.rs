//! Second derivatives at a point, by differences.

use nalgebra::{DMatrix, DVector};

use super::frame::Frame;
use super::story::{Laboratory, Sample};

/// The step of the differences, as a share of an axis: about the fourth root of a number's precision times the scale on which
/// functions bend.
const STEP: f64 = 1e-5;

/// How many measurements [`hessian`] takes.
pub(super) const fn cost(n: usize) -> usize {
    n * (n + 1)
}

/// The Hessian at `centre`, by moving coordinates; none where the function shows no slope or a value is missing.
pub(super) async fn hessian(laboratory: &Laboratory, frame: &Frame, centre: &Sample) -> Option<DMatrix<f64>> {
    let n = frame.dimension();
    let at = frame.inner(&centre.point).map(|u| u.clamp(STEP, 1.0 - STEP));
    let moved = |signs: &[(usize, f64)]| {
        let mut inner = at.clone();
        signs.iter().for_each(|(axis, sign)| inner[*axis] += sign * STEP);
        frame.point(&inner)
    };
    let here =
        if at == frame.inner(&centre.point) { centre.value } else { laboratory.measure(&moved(&[])).await? };
    let singles: Vec<Vec<f64>> = (0..n).flat_map(|i| [moved(&[(i, 1.0)]), moved(&[(i, -1.0)])]).collect();
    let singles: Vec<f64> = laboratory.measure_all(&singles).await.into_iter().collect::<Option<_>>()?;
    let (up, down) = (|i: usize| singles[2 * i], |i: usize| singles[2 * i + 1]);
    let flat = (0..n).filter(|i| up(*i) == here && down(*i) == here).count();
    if flat > 0 {
        return None;
    }
    let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
    let places: Vec<Vec<f64>> = pairs
        .iter()
        .flat_map(|(i, j)| [moved(&[(*i, 1.0), (*j, 1.0)]), moved(&[(*i, -1.0), (*j, -1.0)])])
        .collect();
    let doubles: Vec<f64> = laboratory.measure_all(&places).await.into_iter().collect::<Option<_>>()?;
    let mut hessian = DMatrix::zeros(n, n);
    for i in 0..n {
        hessian[(i, i)] = (up(i) - 2.0 * here + down(i)) / (STEP * STEP);
    }
    for (place, (i, j)) in pairs.iter().enumerate() {
        let sides = up(*i) + down(*i) + up(*j) + down(*j) - 2.0 * here;
        let mixed = (doubles[2 * place] + doubles[2 * place + 1] - sides) / (2.0 * STEP * STEP);
        hessian[(*i, *j)] = mixed;
        hessian[(*j, *i)] = mixed;
    }
    hessian.iter().all(|x| x.is_finite()).then_some(hessian)
}

/// The axes of a Hessian, and how far along each the function changes by as much as along the flattest.
pub(super) struct Axes {
    /// Orthonormal columns.
    pub(super) basis: DMatrix<f64>,
    /// The flattest has 1, stiffer ones less.
    pub(super) lengths: DVector<f64>,
    values: DVector<f64>,
}

/// Curvatures below this share of the stiffest are lost in the differences' errors.
const RESOLVED: f64 = 1e-8;

/// The axes of `hessian`, which has finite entries.
pub(super) fn axes(hessian: &DMatrix<f64>) -> Axes {
    let own = hessian.clone().symmetric_eigen();
    let least = RESOLVED * own.eigenvalues.amax();
    let sizes = own.eigenvalues.map(|value| value.abs().max(least).max(f64::MIN_POSITIVE));
    let flattest = sizes.min();
    Axes {
        basis: own.eigenvectors,
        lengths: sizes.map(|size| (flattest / size).sqrt()),
        values: own.eigenvalues,
    }
}

impl Axes {
    /// The Hessian by coordinates that count lengths along the axes.
    pub(super) fn curvatures(&self) -> DMatrix<f64> {
        DMatrix::from_diagonal(&self.values.zip_map(&self.lengths, |value, length| value * length * length))
    }
}
