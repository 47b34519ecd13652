//! `/api/v1/rules`, `/api/v1/alerts` and `/api/v1/alertmanagers`. No rules are evaluated yet, so there are none to list; what
//! is asked for is checked all the same.

use super::call::Call;
use super::error::ApiError;
use super::go::{parse_bool, parse_int32, quote};
use super::matchers::matcher_sets;
use super::reply::Reply;

pub(super) async fn rules(call: Call) -> Result<Reply, ApiError> {
    let form = &call.form;
    form.check()?;
    matcher_sets(form)?;
    let kind = form.get("type").to_lowercase();
    if !matches!(kind.as_str(), "" | "alert" | "record") {
        return Err(ApiError::invalid("type", format!("not supported value {}", quote(&kind))));
    }
    let exclude = form.get("exclude_alerts").to_lowercase();
    if !exclude.is_empty() {
        let failed =
            |error| ApiError::invalid("exclude_alerts", format!("error converting exclude_alerts: {error}"));
        parse_bool(&exclude).map_err(failed)?;
    }
    check_page(form.get("group_limit"), form.get("group_next_token"))?;
    Ok(Reply::new(|out| out.extend_from_slice(b"{\"groups\":[]}")))
}

fn check_page(limit: &str, token: &str) -> Result<(), ApiError> {
    const TOKEN: &str = "group_next_token";
    if limit.is_empty() {
        let missing = "group_limit needs to be present in order to paginate over the groups";
        return if token.is_empty() { Ok(()) } else { Err(ApiError::invalid(TOKEN, missing)) };
    }
    let invalid = |why: String| ApiError::invalid("group_limit", why);
    let number = parse_int32(limit)
        .map_err(|error| invalid(format!("group_limit needs to be a valid number: {error}")))?;
    if number <= 0 {
        return Err(invalid("group_limit needs to be greater than 0".to_owned()));
    }
    // There are no groups, so none has this token.
    if !token.is_empty() {
        let message = format!("invalid group_next_token '{token}'. were rule groups changed?");
        return Err(ApiError::invalid(TOKEN, message));
    }
    Ok(())
}

pub(super) async fn alerts(_: Call) -> Reply {
    Reply::new(|out| out.extend_from_slice(b"{\"alerts\":[]}"))
}

pub(super) async fn alertmanagers(_: Call) -> Reply {
    Reply::new(|out| out.extend_from_slice(b"{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}"))
}
