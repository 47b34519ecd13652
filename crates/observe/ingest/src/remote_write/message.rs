//! What a request says about its body, and what can be wrong with one.

use crate::protobuf::Malformed;

/// Which of the protocol's two messages a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// `prometheus.WriteRequest` of remote write 1.0.
    V1,
    /// `io.prometheus.write.v2.Request` of remote write 2.0.
    V2,
}

impl Message {
    /// The `Content-Type` under which a sender announces it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::V1 => "application/x-protobuf",
            Self::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// The `X-Prometheus-Remote-Write-Version` that a sender gives with it.
    pub const fn version(self) -> &'static str {
        match self {
            Self::V1 => "0.1.0",
            Self::V2 => "2.0.0",
        }
    }

    /// Reads the headers `Content-Type` and `Content-Encoding`. Senders of 1.0 were never made to send either, so their
    /// absence means 1.0 and snappy.
    ///
    /// # Errors
    /// When they announce something else, to be answered 415.
    pub fn from_headers(
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Result<Self, WriteError> {
        let encoding = content_encoding.unwrap_or_default().trim();
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
            return Err(WriteError::Encoding { encoding: encoding.to_owned() });
        }
        let content_type = content_type.unwrap_or_default().trim();
        if content_type.is_empty() {
            return Ok(Self::V1);
        }
        let unknown = || WriteError::ContentType { content_type: content_type.to_owned() };
        let mut parts = content_type.split(';').map(str::trim);
        if !parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/x-protobuf")) {
            return Err(unknown());
        }
        let proto = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("proto").then(|| value.trim().trim_matches('"'))
        });
        match proto {
            None | Some("prometheus.WriteRequest") => Ok(Self::V1),
            Some("io.prometheus.write.v2.Request") => Ok(Self::V2),
            Some(_) => Err(unknown()),
        }
    }
}

/// How much a body may claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the decompressed body.
    pub decompressed_bytes: usize,
    /// Bytes of the batch that it becomes. Larger than the body, as 2.0 refers to its symbols many times.
    pub batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { decompressed_bytes: 64 << 20, batch_bytes: 256 << 20 }
    }
}

/// Why a whole request was refused. All of these are the sender's fault, and sending the same again cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The `Content-Type` is none of remote write's.
    #[error(
        "content type {content_type:?} is not known; send application/x-protobuf, with \
         proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request"
    )]
    ContentType {
        /// As it came.
        content_type: String,
    },
    /// The `Content-Encoding` is not snappy.
    #[error("content encoding {encoding:?} is not known; compress the body with snappy's block format")]
    Encoding {
        /// As it came.
        encoding: String,
    },
    /// The body is not snappy's block format.
    #[error("the body is not a snappy block: {0}")]
    Snappy(String),
    /// The body claims more than a limit allows.
    #[error("the body {claims}, over the limit {limit} of {max} bytes; send smaller requests")]
    TooLarge {
        /// What it claims.
        claims: String,
        /// The name of the limit.
        limit: &'static str,
        /// Its value.
        max: usize,
    },
    /// The decompressed body is not the announced message.
    #[error("the body is not a {message} message: {malformed}")]
    Malformed {
        /// The announced message.
        message: &'static str,
        /// Where and why.
        malformed: Malformed,
    },
}

impl WriteError {
    /// The HTTP status that the protocol gives it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::ContentType { .. } | Self::Encoding { .. } => 415,
            Self::TooLarge { .. } => 413,
            Self::Snappy(_) | Self::Malformed { .. } => 400,
        }
    }
}

/// What a receiver stored, for the response headers of 2.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Float samples.
    pub samples: u64,
    /// Histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

impl Written {
    /// The response headers, which 2.0 requires also where nothing was written.
    pub const fn headers(self) -> [(&'static str, u64); 3] {
        [
            ("X-Prometheus-Remote-Write-Samples-Written", self.samples),
            ("X-Prometheus-Remote-Write-Histograms-Written", self.histograms),
            ("X-Prometheus-Remote-Write-Exemplars-Written", self.exemplars),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_without_headers_speaks_the_first_version() {
        assert_eq!(Message::from_headers(None, None), Ok(Message::V1));
        assert_eq!(Message::from_headers(Some("application/x-protobuf"), Some("snappy")), Ok(Message::V1));
    }

    #[test]
    fn the_proto_parameter_chooses_the_message() {
        let read = |content_type| Message::from_headers(Some(content_type), Some("snappy"));
        assert_eq!(read("application/x-protobuf;proto=io.prometheus.write.v2.Request"), Ok(Message::V2));
        assert_eq!(read("application/x-protobuf; proto=io.prometheus.write.v2.Request"), Ok(Message::V2));
        assert_eq!(read("application/x-protobuf;proto=prometheus.WriteRequest"), Ok(Message::V1));
        assert_eq!(read(Message::V2.content_type()), Ok(Message::V2));
    }

    #[test]
    fn other_types_and_encodings_are_answered_415() {
        let status = |content_type, encoding| {
            Message::from_headers(Some(content_type), Some(encoding)).unwrap_err().status()
        };
        assert_eq!(status("application/json", "snappy"), 415);
        assert_eq!(status("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy"), 415);
        assert_eq!(status("application/x-protobuf", "gzip"), 415);
    }
}
