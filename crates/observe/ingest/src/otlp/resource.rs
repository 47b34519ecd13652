//! What made the telemetry: resources and scopes of spans and logs, shared by all their items.

use std::sync::Arc;

use kandela_model::{Attributes, Scope, Value};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::value::attributes;
use super::{Fault, Limits};

/// The service of a resource that does not name one, as the semantic conventions have it.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// A resource and the service that it names.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) service: Arc<str>,
    pub(super) resource: Arc<Attributes>,
}

pub(super) fn origin(resource: Option<Resource>, limits: &Limits) -> Result<Origin, Fault> {
    let attributes = attributes(resource.unwrap_or_default().attributes, limits)?;
    let service = attributes.iter().find_map(|(key, value)| match value {
        Value::Str(service) if key == "service.name" && !service.is_empty() => Some(service.as_str()),
        _ => None,
    });
    Ok(Origin { service: service.unwrap_or(UNKNOWN_SERVICE).into(), resource: Arc::new(attributes) })
}

pub(super) fn scope(scope: Option<InstrumentationScope>, limits: &Limits) -> Result<Arc<Scope>, Fault> {
    let scope = scope.unwrap_or_default();
    let attributes = attributes(scope.attributes, limits)?;
    Ok(Arc::new(Scope { name: scope.name, version: scope.version, attributes }))
}
