//! `/api/v1/metadata`: what metric families are.

use kandela_model::Metadata;

use super::call::Call;
use super::error::ApiError;
use super::go::parse_int;
use super::json::{push_key, push_text, separate};
use super::reply::Reply;

pub(super) async fn metadata(call: Call) -> Result<Reply, ApiError> {
    let limit = number(&call, "limit")?;
    // A family has one description here, so that more than one a metric cannot be asked for.
    number(&call, "limit_per_metric")?;
    let metric = call.form.get("metric");
    let mut families = call.lake().await?.metadata();
    families.retain(|family| metric.is_empty() || family.family == metric);
    families.sort_unstable_by(|a, b| a.family.cmp(&b.family));
    families.truncate(limit);
    Ok(Reply::new(|out| {
        out.push(b'{');
        for (place, family) in families.iter().enumerate() {
            separate(out, place);
            push_text(out, &family.family);
            out.extend_from_slice(b":[{");
            push_description(out, family);
            out.extend_from_slice(b"}]");
        }
        out.push(b'}');
    }))
}

/// Kind, unit and help, within an object.
fn push_description(out: &mut Vec<u8>, family: &Metadata) {
    push_key(out, "type");
    push_text(out, family.kind.as_str());
    out.push(b',');
    push_key(out, "unit");
    push_text(out, &family.unit);
    out.push(b',');
    push_key(out, "help");
    push_text(out, &family.help);
}

/// A number of items; one below zero is no limit.
pub(super) fn number(call: &Call, name: &str) -> Result<usize, ApiError> {
    match call.form.get(name) {
        "" => Ok(usize::MAX),
        text => {
            let number =
                parse_int(text).map_err(|_| ApiError::bad_data(format!("{name} must be a number")))?;
            Ok(usize::try_from(number).unwrap_or(usize::MAX))
        }
    }
}
