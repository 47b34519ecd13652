//! The transformations that the functions share: section 0.2 of the definitions.

use super::instance::Matrix;

/// `matrix` · `x`.
pub(super) fn times(matrix: &Matrix, x: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| row.iter().zip(x).map(|(m, x)| m * x).sum()).collect()
}

/// How far along the coordinates `i` of `n` is, 0 to 1.
pub(super) fn share(i: usize, n: usize) -> f64 {
    i as f64 / (n - 1) as f64
}

/// Λ · `x`: the last coordinate is stretched by the root of `condition` against the first.
pub(super) fn stretch(condition: f64, x: &[f64]) -> Vec<f64> {
    let n = x.len();
    let stretched = |(i, x): (usize, &f64)| condition.sqrt().powf(share(i, n)) * x;
    x.iter().enumerate().map(stretched).collect()
}

/// `left` · Λ · `right`.
pub(super) fn stretched_between(left: &Matrix, condition: f64, right: &Matrix) -> Matrix {
    let n = left.len();
    let cell = |row: usize, column: usize| {
        (0..n).map(|k| left[row][k] * condition.sqrt().powf(share(k, n)) * right[k][column]).sum()
    };
    (0..n).map(|row| (0..n).map(|column| cell(row, column)).collect()).collect()
}

/// T_osz of each coordinate.
pub(super) fn oscillated(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| oscillating(*x)).collect()
}

/// T_osz of a number: grows with it, by fits and starts.
pub(super) fn oscillating(x: f64) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    let (one, two) = if x > 0.0 { (1.0, 0.79) } else { (0.55, 0.31) };
    let size = x.abs().ln() / 0.1;
    x.signum() * (size + 0.49 * ((one * size).sin() + (two * size).sin())).exp().powf(0.1)
}

/// T_asy with exponent `beta`: coordinates above 0 grow faster, the last one most.
pub(super) fn asymmetric(beta: f64, x: &[f64]) -> Vec<f64> {
    let n = x.len();
    let grown = |(i, x): (usize, &f64)| {
        if *x > 0.0 { x.powf(1.0 + beta * share(i, n) * x.sqrt()) } else { *x }
    };
    x.iter().enumerate().map(grown).collect()
}

/// f_pen: the squared distance to the domain.
pub(super) fn beyond(x: &[f64]) -> f64 {
    x.iter().map(|x| (x.abs() - 5.0).max(0.0).powi(2)).sum()
}
