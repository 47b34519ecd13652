//! Matrix products in one fixed order of operations: the same bits on every machine, whatever its vector units can do. Matrices lie
//! row by row.

/// Columns of a right-hand side come in multiples of this; [`padded`] rounds up to it.
pub(super) const LANES: usize = 8;

/// Rows of the left-hand side that are worked on at once, with [`LANES`] columns each: as many as registers hold.
const ROWS: usize = 4;

/// The least multiple of [`LANES`] that is not below `width`.
pub(super) const fn padded(width: usize) -> usize {
    width.next_multiple_of(LANES)
}

/// A left-hand side: `rows × inner` numbers, read in either order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left<'a> {
    numbers: &'a [f32],
    rows: usize,
    inner: usize,
    /// How far it is to the next row, and to the next number within one.
    strides: (usize, usize),
}

impl<'a> Left<'a> {
    /// `numbers` as they lie.
    pub(super) fn plain(numbers: &'a [f32], rows: usize, inner: usize) -> Left<'a> {
        debug_assert_eq!(numbers.len(), rows * inner);
        Left { numbers, rows, inner, strides: (inner, 1) }
    }

    /// The transpose of `numbers`, which lie as `inner × rows`.
    pub(super) fn transposed(numbers: &'a [f32], inner: usize, rows: usize) -> Left<'a> {
        debug_assert_eq!(numbers.len(), rows * inner);
        Left { numbers, rows, inner, strides: (1, rows) }
    }
}

/// `out = left · right`, where `right` is `inner × columns` and `columns` is a multiple of [`LANES`]; `strip` is scratch.
pub(super) fn multiply(left: Left<'_>, right: &[f32], columns: usize, out: &mut [f32], strip: &mut Vec<f32>) {
    debug_assert_eq!(columns % LANES, 0);
    debug_assert_eq!(right.len(), left.inner * columns);
    debug_assert_eq!(out.len(), left.rows * columns);
    for (block, out_rows) in out.chunks_mut(ROWS * columns).enumerate() {
        gather(left, block * ROWS, strip);
        for from in (0..columns).step_by(LANES) {
            let tile = tile(strip, right, columns, from);
            for (row, sums) in out_rows.chunks_exact_mut(columns).zip(&tile) {
                row[from..from + LANES].copy_from_slice(sums);
            }
        }
    }
}

/// The strip of [`ROWS`] rows from `first` on, number by number; rows past the last are zero.
fn gather(left: Left<'_>, first: usize, strip: &mut Vec<f32>) {
    strip.clear();
    let (next_row, next_number) = left.strides;
    let rows = ROWS.min(left.rows - first);
    for number in 0..left.inner {
        let at = first * next_row + number * next_number;
        let mut column = [0.0; ROWS];
        for (row, slot) in column.iter_mut().take(rows).enumerate() {
            *slot = left.numbers[at + row * next_row];
        }
        strip.extend_from_slice(&column);
    }
}

fn tile(strip: &[f32], right: &[f32], columns: usize, from: usize) -> [[f32; LANES]; ROWS] {
    let mut sums = [[0.0_f32; LANES]; ROWS];
    for (column, row) in strip.chunks_exact(ROWS).zip(right.chunks_exact(columns)) {
        let lanes = &row[from..from + LANES];
        for (sum, factor) in sums.iter_mut().zip(column) {
            for (slot, lane) in sum.iter_mut().zip(lanes) {
                *slot += factor * lane;
            }
        }
    }
    sums
}

/// `out` = the transpose of `numbers`, which lie as `rows × columns`.
pub(super) fn transpose(numbers: &[f32], columns: usize, out: &mut Vec<f32>) {
    let rows = numbers.len() / columns;
    out.clear();
    out.resize(numbers.len(), 0.0);
    for (row, line) in numbers.chunks_exact(columns).enumerate() {
        for (column, number) in line.iter().enumerate() {
            out[column * rows + row] = *number;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plainly(left: &[f32], right: &[f32], (rows, inner, columns): (usize, usize, usize)) -> Vec<f32> {
        let cell =
            |i: usize, j: usize| (0..inner).map(|k| left[i * inner + k] * right[k * columns + j]).sum();
        (0..rows * columns).map(|at| cell(at / columns, at % columns)).collect()
    }

    fn case() -> impl Strategy<Value = (usize, usize, usize, Vec<f32>, Vec<f32>)> {
        (1..11_usize, 1..9_usize, 1..4_usize).prop_flat_map(|(rows, inner, blocks)| {
            let numbers = |count| prop::collection::vec(-2.0..2.0_f32, count);
            let columns = blocks * LANES;
            (Just(rows), Just(inner), Just(columns), numbers(rows * inner), numbers(inner * columns))
        })
    }

    proptest! {
        #[test]
        fn a_product_is_rows_times_columns((rows, inner, columns, left, right) in case()) {
            let wanted = plainly(&left, &right, (rows, inner, columns));
            let mut out = vec![f32::NAN; rows * columns];
            multiply(Left::plain(&left, rows, inner), &right, columns, &mut out, &mut Vec::new());
            prop_assert!(out.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-4), "{out:?} {wanted:?}");

            let mut turned = Vec::new();
            transpose(&left, inner, &mut turned);
            let mut again = vec![f32::NAN; rows * columns];
            multiply(Left::transposed(&turned, inner, rows), &right, columns, &mut again, &mut Vec::new());
            prop_assert_eq!(out, again);
        }
    }
}
