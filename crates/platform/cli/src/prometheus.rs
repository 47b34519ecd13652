//! Prometheus' HTTP API, of whatever server speaks it: asking, and what comes back.
//!
//! <https://prometheus.io/docs/prometheus/latest/querying/api/>

mod answer;
mod number;

use anyhow::Context as _;
use futures::StreamExt as _;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use url::form_urlencoded;

pub(crate) use answer::{
    Answer, Bucket, Histogram, Instant, LabelSet, Series, label_text, series_parts, series_text,
};
pub(crate) use number::{Millis, Number, exponent_text, number_text};

use crate::client::ServerArguments;

/// The longest answer that is read.
const MAX_BODY: usize = 512 << 20;

/// When a query is asked for, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// At one time; the server's now where none is named.
    Instant(Option<i64>),
    /// From `from` in steps of `step` up to `to`.
    Range { from: i64, to: i64, step: i64 },
}

/// A server that answers PromQL.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    server: ServerArguments,
    max_body: usize,
}

/// What a server said, whether it could answer or not.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// As it came.
    pub(crate) body: Vec<u8>,
}

/// The envelope of every answer.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Document<T = Answer> {
    pub(crate) data: Option<T>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    #[serde(default)]
    pub(crate) infos: Vec<String>,
    #[serde(flatten)]
    pub(crate) failure: Option<Failure>,
}

impl<T: Serialize> Serialize for Document<T> {
    /// As Prometheus writes it.
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        let mut fields = into.serialize_map(None)?;
        fields.serialize_entry("status", if self.failure.is_none() { "success" } else { "error" })?;
        if let Some(data) = &self.data {
            fields.serialize_entry("data", data)?;
        }
        if let Some(Failure { kind, message }) = &self.failure {
            fields.serialize_entry("errorType", kind)?;
            fields.serialize_entry("error", message)?;
        }
        for (name, notes) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if !notes.is_empty() {
                fields.serialize_entry(name, notes)?;
            }
        }
        fields.end()
    }
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Failure {
    /// `bad_data`, `execution`, `timeout` and others.
    #[serde(rename = "errorType", default)]
    pub(crate) kind: String,
    #[serde(rename = "error")]
    pub(crate) message: String,
}

impl Api {
    pub(crate) fn new(server: ServerArguments) -> Self {
        Self { server, max_body: MAX_BODY }
    }

    /// One that reads no longer answers than this.
    pub(crate) fn reading_at_most(self, bytes: usize) -> Self {
        Self { max_body: bytes, ..self }
    }

    /// The server's URL without a password.
    pub(crate) fn url(&self) -> String {
        self.server.shown()
    }

    /// Asks a query.
    ///
    /// # Errors
    /// When no server answers, or with more than is read.
    pub(crate) async fn query(&self, query: &str, when: When) -> anyhow::Result<Reply> {
        let seconds = |millis: i64| format!("{}", millis as f64 / 1e3);
        let mut form = vec![("query", query.to_owned())];
        let path = match when {
            When::Instant(at) => {
                form.extend(at.map(|at| ("time", seconds(at))));
                "/api/v1/query"
            }
            When::Range { from, to, step } => {
                form.extend([("start", seconds(from)), ("end", seconds(to)), ("step", seconds(step))]);
                "/api/v1/query_range"
            }
        };
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.server.request(Method::POST, path)?;
        self.reply(request.header("content-type", "application/x-www-form-urlencoded").body(form)).await
    }

    /// Gets what lies at a path.
    ///
    /// # Errors
    /// When no server answers, or with more than is read.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.reply(self.server.request(Method::GET, path)?).await
    }

    async fn reply(&self, request: RequestBuilder) -> anyhow::Result<Reply> {
        let answer = self.server.send(request).await?;
        let status = answer.status();
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.with_context(|| format!("{} broke off its answer", self.url()))?);
            let too_long =
                || format!("{} answers with more than {} MiB; ask for less", self.url(), self.max_body >> 20);
            anyhow::ensure!(body.len() <= self.max_body, too_long());
        }
        Ok(Reply { status, body })
    }
}

impl Reply {
    /// Reads the envelope and what is in it.
    ///
    /// # Errors
    /// When it is no answer of this API: then what it is.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> anyhow::Result<Document<T>> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = String::from_utf8_lossy(&self.body);
            let start: String = text.trim().chars().take(200).collect();
            anyhow::anyhow!("{} is no answer of Prometheus' API ({error}): {start}", self.status)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> anyhow::Result<Document> {
        Reply { status: StatusCode::OK, body: body.as_bytes().to_vec() }.read()
    }

    #[test]
    fn a_success_has_data_and_notes_and_no_failure() {
        let document = read(
            r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"2"]},"warnings":["w"]}"#,
        )
        .unwrap();
        assert!(matches!(document.data, Some(Answer::Scalar((Millis(1500), Number(2.0))))));
        assert_eq!((document.warnings.as_slice(), document.failure), (&["w".to_owned()][..], None));
    }

    #[test]
    fn an_error_has_its_kind_and_words() {
        let document = read(r#"{"status":"error","errorType":"bad_data","error":"1:2: no"}"#).unwrap();
        let failure = document.failure.unwrap();
        assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("bad_data", "1:2: no"));
        assert!(document.data.is_none());
    }

    #[test]
    fn what_is_no_answer_of_the_api_is_told_with_its_beginning() {
        let error = read("<html>not found</html>").unwrap_err().to_string();
        assert!(
            error.contains("200 OK is no answer") && error.ends_with("<html>not found</html>"),
            "{error}"
        );
    }
}
