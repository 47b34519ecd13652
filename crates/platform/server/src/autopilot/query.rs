//! Expressions with `$window` and `$arm`.

use std::time::Duration;

use kandela_promql::parse;

/// The expression over the last `window`, of the series that `matchers` select, or of all.
///
/// `$arm` stands in a selector's braces, behind its matchers, with no comma before it.
pub(super) fn filled(expression: &str, window: Duration, matchers: Option<&str>) -> String {
    let millis = window.as_millis().max(1);
    let text = expression.replace("$window", &format!("{millis}ms"));
    let Some(matchers) = matchers else { return text.replace("$arm", "") };
    let mut parts = text.split("$arm");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |filled, rest| {
        let comma = if filled.trim_end().ends_with('{') { "" } else { "," };
        format!("{filled}{comma}{matchers}{rest}")
    })
}

/// Whether an expression can be asked.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(expression: &str) -> Result<(), String> {
    let example = filled(expression, Duration::from_secs(30), Some(r#"instance="canary""#));
    [example, filled(expression, Duration::from_secs(30), None)]
        .iter()
        .try_for_each(|text| parse(text).map(drop).map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(5);

    #[test]
    fn an_arm_is_more_matchers_and_no_arm_is_none() {
        let text = r#"sum(rate(x{job="a"$arm}[$window])) / sum(rate(y{$arm}[$window]))"#;
        assert_eq!(
            filled(text, WINDOW, Some(r#"i="1""#)),
            r#"sum(rate(x{job="a",i="1"}[5000ms])) / sum(rate(y{i="1"}[5000ms]))"#
        );
        assert_eq!(filled(text, WINDOW, None), r#"sum(rate(x{job="a"}[5000ms])) / sum(rate(y{}[5000ms]))"#);
    }

    #[test]
    fn what_can_not_be_asked_is_told() {
        assert_eq!(check(r#"rate(x{a="b"$arm}[$window])"#), Ok(()));
        assert!(check("rate(x[$windo])").is_err());
    }
}
