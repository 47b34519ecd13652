//! What every endpoint gets: the server, whose data, and the parameters.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use kandela_lake::Lake;
use kandela_model::TenantId;

use super::error::ApiError;
use super::form::Form;
use crate::app::App;
use crate::net::body::{self, BodyLimits};
use crate::refusal::Refusal;
use crate::tenants::Tenants;

/// Bytes that a form may have; Go's limit.
const MAX_FORM: usize = 10 << 20;

/// A request to one of Prometheus' endpoints.
pub(super) struct Call {
    pub(super) app: Arc<App>,
    pub(super) tenant: TenantId,
    pub(super) form: Form,
    pub(super) headers: HeaderMap,
}

impl Call {
    /// The lake of the tenant that the request names.
    ///
    /// # Errors
    /// As [`App::lake`].
    pub(super) async fn lake(&self) -> Result<Lake, ApiError> {
        Ok(self.app.lake(&self.tenant).await?)
    }
}

impl FromRequest<Arc<App>> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        if head.method == Method::HEAD {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").into());
        }
        let tenant = Tenants::named_by(&head.headers)?;
        let body = if head.method == Method::POST && is_form(&head.headers) {
            let limits = BodyLimits { wire: MAX_FORM, ..app.body_limits };
            Some(body::read(&head.headers, body, &limits, &mut app.admission.room()).await?)
        } else {
            None
        };
        let form = Form::new(body.as_deref(), head.uri.query());
        Ok(Self { app: app.clone(), tenant, form, headers: head.headers })
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
