//! Series selectors in parameters.

use kandela_promql::{Matcher, parse_selector};

use super::error::ApiError;
use super::form::Form;

/// The selectors of `match[]`, each a list of conditions that all hold; a series is meant by any of them.
///
/// # Errors
/// When one cannot be parsed or would match everything; the message names no parameter.
pub(super) fn matcher_sets(form: &Form) -> Result<Vec<Vec<Matcher>>, ApiError> {
    form.all("match[]").map(|text| matchers(text).map_err(ApiError::bad_data)).collect()
}

/// The selectors of `match[]` of a page for federation, in whose errors no parameter is named.
///
/// # Errors
/// When one cannot be parsed.
pub(super) fn federated_sets(form: &Form) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let parsed = |text| parse_selector(text).map_err(|error| ApiError::bad_data(error.to_string()));
    form.all("match[]").map(parsed).collect()
}

fn matchers(text: &str) -> Result<Vec<Matcher>, String> {
    let matchers = parse_selector(text).map_err(|error| match error.message.as_str() {
        "vector selector must contain at least one non-empty matcher" => {
            "match[] must contain at least one non-empty matcher".to_owned()
        }
        _ => error.to_string(),
    })?;
    Ok(matchers)
}
