//! Bodies of Prometheus remote write 1.0: `prometheus.WriteRequest` in protobuf, in one snappy block.

use anyhow::Context;
use prost::Message;
use ureq::Agent;
use ureq::http::StatusCode;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TimeSeries {
    /// Sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    /// Sorted by time.
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Label {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sample {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
    /// Milliseconds since 1970, UTC.
    #[prost(int64, tag = "2")]
    pub(crate) timestamp: i64,
}

/// The headers that go with a body.
const HEADERS: [(&str, &str); 3] = [
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// The request as a body.
///
/// # Errors
/// When it is longer than a snappy block can be (4 GiB).
pub(crate) fn encode(request: &WriteRequest) -> anyhow::Result<Vec<u8>> {
    snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .context("a body is too long for one snappy block: send fewer samples in one, with --body")
}

/// Sends a body; gives the status and what was said.
///
/// # Errors
/// When no answer comes.
pub(crate) fn post(agent: &Agent, url: &str, body: &[u8]) -> anyhow::Result<(StatusCode, String)> {
    let request =
        HEADERS.iter().fold(agent.post(url), |request, (name, value)| request.header(*name, *value));
    let mut response = request.send(body)?;
    Ok((response.status(), response.body_mut().read_to_string()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_bytes_that_the_specification_says() {
        let request = WriteRequest {
            timeseries: vec![TimeSeries {
                labels: vec![Label { name: "__name__".to_owned(), value: "up".to_owned() }],
                samples: vec![Sample { value: 1.0, timestamp: 1 }],
            }],
        };
        let mut expected = vec![0x0a, 0x1d, 0x0a, 0x0e, 0x0a, 0x08];
        expected.extend(b"__name__");
        expected.extend([0x12, 0x02, b'u', b'p', 0x12, 0x0b, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0x01]);
        let body = encode(&request).expect("body");
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&body).expect("block"), expected);
    }
}
