//! What a request says in its path and its query. One that can't be read is answered in JSON, as all else that goes wrong is.

use axum::extract;
use axum::extract::FromRequestParts;
use axum::extract::rejection::{PathRejection, QueryRejection};
use http::request::Parts;
use http::{Method, StatusCode, Uri};
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The query as a `T`.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let read = extract::Query::from_request_parts(parts, state).await;
        let failure = |error: QueryRejection| Failure::new(error.status(), error.body_text());
        read.map(|extract::Query(query)| Query(query)).map_err(failure)
    }
}

/// The varying parts of the path as a `T`.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let read = extract::Path::from_request_parts(parts, state).await;
        let failure = |error: PathRejection| Failure::new(error.status(), error.body_text());
        read.map(|extract::Path(path)| Path(path)).map_err(failure)
    }
}

/// Answers where nothing has this path.
pub(crate) async fn no_such_path(uri: Uri) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, format!("there is no {} here", uri.path()))
}

/// Answers where the path is there for other methods.
pub(crate) async fn no_such_method(method: Method, uri: Uri) -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}
