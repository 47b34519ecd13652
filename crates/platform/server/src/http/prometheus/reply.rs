//! Answers: `{"status":"success","data":…,"warnings":[…],"infos":[…]}`.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::call::Call;
use super::error::ApiError;
use super::json::{push_text, push_texts};
use super::packer::Encoding;
use super::stream::{Pen, stream};

/// How many warnings, and how many infos, are told one by one.
const MOST_NOTES: usize = 10;

/// What is said beside an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

impl Notes {
    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Closes an answer whose data are written.
    fn push(&self, out: &mut Vec<u8>) {
        for (key, kind, notes) in [("warnings", "warning", &self.warnings), ("infos", "info", &self.infos)] {
            if notes.is_empty() {
                continue;
            }
            let left_out = notes.len().saturating_sub(MOST_NOTES);
            let rest = (left_out > 0).then(|| format!("{left_out} more {kind} annotations omitted"));
            out.extend_from_slice(b",\"");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            push_texts(out, notes.iter().take(MOST_NOTES).chain(&rest));
        }
        out.push(b'}');
    }
}

const OPENING: &[u8] = b"{\"status\":\"success\",\"data\":";

/// An answer whose data are written at once.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    body: Vec<u8>,
    notes: Notes,
}

impl Reply {
    /// Data that `push` writes.
    pub(super) fn new(push: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut body = OPENING.to_vec();
        push(&mut body);
        Self { body, notes: Notes::default() }
    }

    /// One text.
    pub(super) fn text(text: &str) -> Self {
        Self::new(|out| push_text(out, text))
    }
}

impl IntoResponse for Reply {
    fn into_response(mut self) -> Response {
        self.notes.push(&mut self.body);
        as_json(self.body.into_response())
    }
}

/// An answer that may be large: `write` runs on a thread of its own and hands the body on in pieces, compressed as the
/// caller accepts it.
///
/// # Errors
/// When the writer broke before its first piece.
pub(super) async fn large(
    call: &Call,
    notes: Notes,
    write: impl FnOnce(&mut Pen) + Send + 'static,
) -> Result<Response, ApiError> {
    let whole = move |pen: &mut Pen| {
        pen.out().extend_from_slice(OPENING);
        write(pen);
        notes.push(pen.out());
        Ok(())
    };
    Ok(as_json(stream(Encoding::accepted(&call.headers), &call.app.spool, whole).await?))
}

fn as_json(mut response: Response) -> Response {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
