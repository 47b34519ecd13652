//! What tells one instance of a function from another: where its optimum lies, how it is turned, what its lowest value is.
//!
//! All of it is drawn from seeds of the function and the instance, by the generator of the definitions' reference implementation, so
//! that instance 3 of function 7 is the same function everywhere.

/// A square matrix by rows.
pub(super) type Matrix = Vec<Vec<f64>>;

/// The seed of an instance. Two functions share their seed with a sibling.
pub(super) fn seed(function: u32, instance: u32) -> i64 {
    let shared = match function {
        4 => 3,
        18 => 17,
        other => other,
    };
    i64::from(shared) + 10_000 * i64::from(instance)
}

/// `count` uniform numbers above 0 and below 1: a linear congruential generator (Park & Miller 1988), shuffled.
pub(super) fn uniform(count: usize, seed: i64) -> Vec<f64> {
    let step = |state: i64| {
        let next = 16_807 * (state - state / 127_773 * 127_773) - 2_836 * (state / 127_773);
        if next < 0 { next + 2_147_483_647 } else { next }
    };
    let mut state = seed.abs().max(1);
    let mut shuffled = [0_i64; 32];
    for place in (0..40).rev() {
        state = step(state);
        if place < 32 {
            shuffled[place] = state;
        }
    }
    let mut last = shuffled[0];
    let mut draw = || {
        state = step(state);
        let place = (last / 67_108_865) as usize;
        last = std::mem::replace(&mut shuffled[place], state);
        (last as f64 / 2.147_483_647e9).max(1e-99)
    };
    (0..count).map(|_| draw()).collect()
}

/// `count` normal numbers.
pub(super) fn normal(count: usize, seed: i64) -> Vec<f64> {
    let drawn = uniform(2 * count, seed);
    let (radii, angles) = drawn.split_at(count);
    let number = |(r, a): (&f64, &f64)| (-2.0 * r.ln()).sqrt() * (2.0 * std::f64::consts::PI * a).cos();
    let not_zero = |number: f64| if number == 0.0 { 1e-99 } else { number };
    radii.iter().zip(angles).map(number).map(not_zero).collect()
}

/// A rotation: normal numbers, their columns made orthonormal one after another.
pub(super) fn rotation(dimension: usize, seed: i64) -> Matrix {
    let drawn = normal(dimension * dimension, seed);
    let mut turned: Matrix = (0..dimension)
        .map(|row| (0..dimension).map(|column| drawn[column * dimension + row]).collect())
        .collect();
    for column in 0..dimension {
        for before in 0..column {
            let along: f64 = turned.iter().map(|row| row[column] * row[before]).sum();
            turned.iter_mut().for_each(|row| row[column] -= along * row[before]);
        }
        let length = turned.iter().map(|row| row[column] * row[column]).sum::<f64>().sqrt();
        turned.iter_mut().for_each(|row| row[column] /= length);
    }
    turned
}

/// Where the optimum lies, for most functions: within -4 and 4.
pub(super) fn optimum(dimension: usize, seed: i64) -> Vec<f64> {
    let place = |u: f64| 8.0 * (1e4 * u).floor() / 1e4 - 4.0;
    let not_zero = |x: f64| if x == 0.0 { -1e-5 } else { x };
    uniform(dimension, seed).into_iter().map(place).map(not_zero).collect()
}

/// The lowest value: a Cauchy number, rounded to cents and cut at 1,000.
pub(super) fn lowest(function: u32, instance: u32) -> f64 {
    let seed = seed(function, instance);
    let ratio = normal(1, seed)[0] / normal(1, seed + 1)[0];
    // Half away from zero, as the C library rounds.
    ((100.0 * 100.0 * ratio).round() / 100.0).clamp(-1000.0, 1000.0)
}
