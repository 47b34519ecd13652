//! Numbers as people read them, and bars made of characters.

use crate::prometheus::{exponent_text, number_text};

/// Digits of a number that are enough to get an idea of it.
pub(crate) const SHORT: usize = 6;
/// Digits that tell any two numbers apart.
const MOST: usize = 17;
/// Characters that a number without an exponent may take in any case.
const PLAIN: usize = 16;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A number with all its digits, as Prometheus writes it; with an exponent where it is long without and shorter with one.
pub(crate) fn figure(value: f64) -> String {
    let plain = number_text(value);
    if plain.len() <= PLAIN {
        return plain;
    }
    let short = exponent_text(value);
    if short.len() < plain.len() { short } else { plain }
}

/// A number with so many digits that count at most; whole numbers below a billion have all of theirs.
fn rounded(value: f64, digits: usize) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return number_text(value);
    }
    if value.fract() == 0.0 && size < 1e9 {
        return format!("{value:.0}");
    }
    if !(1e-4..1e9).contains(&size) {
        let text = format!("{value:.*e}", digits.saturating_sub(1));
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", without_zeros(digits));
    }
    let before_the_point = if size < 1.0 { 0 } else { size.log10().floor() as usize + 1 };
    let leading_zeros = if size < 1.0 { (-size.log10()).floor() as usize } else { 0 };
    let text = format!("{value:.*}", (digits + leading_zeros).saturating_sub(before_the_point));
    without_zeros(&text).to_owned()
}

/// A number with [`SHORT`] digits, for where all of them have no room.
pub(crate) fn short(value: f64) -> String {
    rounded(value, SHORT)
}

/// Numbers as short as they can be and still differ, if they do.
pub(crate) fn distinct(values: &[f64]) -> Vec<String> {
    let widest = |texts: &[String]| texts.iter().map(String::len).max();
    let texts = |digits| {
        let all: Vec<String> = values.iter().copied().map(figure).collect();
        let some: Vec<String> = values.iter().map(|value| rounded(*value, digits)).collect();
        if widest(&all) <= widest(&some) { all } else { some }
    };
    let differ = |texts: &[String]| texts.windows(2).all(|pair| pair.first() != pair.last());
    (SHORT..MOST).map(texts).find(|texts| differ(texts)).unwrap_or_else(|| texts(MOST))
}

/// Without zeros at the end of a fraction.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Numbers padded behind, so that their points stand below each other once they stand to the right.
pub(crate) fn aligned(texts: &mut [String]) {
    let behind = |text: &str| match text.split_once('.') {
        Some((_, fraction)) if fraction.bytes().all(|byte| byte.is_ascii_digit()) => fraction.len() + 1,
        _ => 0,
    };
    let most = texts.iter().map(|text| behind(text)).max().unwrap_or(0);
    for text in texts {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
        if is_plain && !text.is_empty() {
            text.push_str(&" ".repeat(most - behind(text)));
        }
    }
}

/// Values from 0 up as a row of bars, at most `width`; neighbours share a bar where there are more. NaN and what is below
/// 0 stands as a blank.
pub(crate) fn bars(values: &[f64], width: usize) -> String {
    let each = values.len().div_ceil(width.max(1)).max(1);
    let joined: Vec<f64> = values.chunks(each).map(|chunk| chunk.iter().sum()).collect();
    let highest = joined.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let bar = |value: f64| {
        if value.is_nan() || value <= 0.0 || highest <= 0.0 {
            return ' ';
        }
        let at = (value / highest * BARS.len() as f64).ceil() as usize;
        BARS.get(at.clamp(1, BARS.len()) - 1).copied().unwrap_or(' ')
    };
    joined.into_iter().map(bar).collect()
}

/// A course as a row of bars between its lowest and its highest value; a gap is a blank.
pub(crate) fn spark(values: &[Option<f64>], width: usize) -> String {
    let each = values.len().div_ceil(width.max(1)).max(1);
    let finite = |value: &f64| value.is_finite();
    let means: Vec<Option<f64>> = values
        .chunks(each)
        .map(|chunk| {
            let present: Vec<f64> = chunk.iter().flatten().copied().filter(finite).collect();
            (!present.is_empty()).then(|| present.iter().sum::<f64>() / present.len() as f64)
        })
        .collect();
    let lowest = means.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let highest = means.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let bar = |mean: Option<f64>| {
        let Some(mean) = mean else { return ' ' };
        let share = if highest > lowest { (mean - lowest) / (highest - lowest) } else { 0.0 };
        BARS.get((share * 7.0).round() as usize).copied().unwrap_or(' ')
    };
    means.into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_back_as_the_same_number() {
        let told = |value: f64, wanted: &str| {
            assert_eq!(figure(value), wanted);
            assert_eq!(wanted.parse(), Ok(value));
        };
        told(1_795_850_123.0, "1795850123");
        told(1_234_567.891, "1234567.891");
        told(1.0 / 30.0, "0.03333333333333333");
        told(1.5e-7, "1.5e-07");
        told(1e15, "1000000000000000");
        told(1e17, "1e+17");
        told(123_456_789_012_345_680.0, "123456789012345680");
        assert_eq!(figure(f64::NAN), "NaN");
        assert_eq!(figure(f64::NEG_INFINITY), "-Inf");
    }

    #[test]
    fn short_figures_have_six_digits_that_count() {
        let told = |value: f64, wanted: &str| assert_eq!(short(value), wanted);
        told(1.0 / 30.0, "0.0333333");
        told(1_234_567.891, "1234568");
        told(123.456_789, "123.457");
        told(0.5, "0.5");
        told(123_456_789.0, "123456789");
        told(12_345_678_912.0, "1.23457e10");
        told(1e-9, "1e-9");
        told(f64::NAN, "NaN");
        told(-0.25, "-0.25");
    }

    #[test]
    fn numbers_that_differ_have_texts_that_differ() {
        assert_eq!(distinct(&[0.1, 0.2, 0.1 + 0.2]), ["0.1", "0.2", "0.3"]);
        assert_eq!(distinct(&[1_795_850_000.0, 1_795_850_050.0]), ["1795850000", "1795850050"]);
        assert_eq!(distinct(&[1.000_000_1, 1.000_000_2]), ["1.0000001", "1.0000002"]);
        assert_eq!(distinct(&[2e12, 4e12]), ["2e12", "4e12"]);
        assert_eq!(distinct(&[5.0, 5.0]), ["5", "5"]);
    }

    #[test]
    fn points_stand_below_each_other() {
        let mut texts = ["1", "0.25", "-13.5", "NaN"].map(str::to_owned);
        aligned(&mut texts);
        assert_eq!(texts, ["1   ", "0.25", "-13.5 ", "NaN"]);
    }

    #[test]
    fn bars_begin_at_zero_and_neighbours_share_one_where_there_are_more() {
        assert_eq!(bars(&[0.0, 1.0, 8.0], 10), " ▁█");
        assert_eq!(bars(&[1.0, 1.0, 0.0, 4.0], 2), "▄█");
        assert_eq!(bars(&[], 5), "");
    }

    #[test]
    fn a_course_reaches_from_its_lowest_to_its_highest_value_and_shows_gaps() {
        assert_eq!(spark(&[Some(100.0), None, Some(107.0)], 10), "▁ █");
        assert_eq!(spark(&[Some(3.0), Some(3.0)], 10), "▁▁");
        assert_eq!(spark(&[Some(f64::NAN)], 10), " ");
    }
}
