//! `/api/v1/admin/tsdb/…`: not served, as on a Prometheus that was not started for it.

use super::call::Call;
use super::error::ApiError;

pub(super) async fn disabled(_: Call) -> ApiError {
    ApiError::unavailable("admin APIs disabled")
}
