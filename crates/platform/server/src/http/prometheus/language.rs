//! `/api/v1/format_query` and `/api/v1/parse_query`.

use kandela_promql::ast::Expr;
use kandela_promql::{format, parse, tree_json};

use super::call::Call;
use super::error::ApiError;
use super::json::push_document;
use super::reply::Reply;

pub(super) async fn format_query(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::text(&format(&parsed(&call)?)))
}

pub(super) async fn parse_query(call: Call) -> Result<Reply, ApiError> {
    let tree = tree_json(&parsed(&call)?);
    Ok(Reply::new(|out| push_document(out, &tree)))
}

fn parsed(call: &Call) -> Result<Expr, ApiError> {
    parse(call.form.get("query")).map_err(|error| ApiError::invalid("query", error))
}
