//! Which format a target is asked for, and which one it answered in.

use kandela_config::{NameEscaping, ScrapeProtocol};

/// What a target is asked for, with its parameters.
const fn media_type(protocol: ScrapeProtocol) -> &'static str {
    match protocol {
        ScrapeProtocol::PrometheusProto => {
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        }
        ScrapeProtocol::PrometheusText0_0_4 => "text/plain;version=0.0.4",
        ScrapeProtocol::PrometheusText1_0_0 => "text/plain;version=1.0.0",
        ScrapeProtocol::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
        ScrapeProtocol::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
    }
}

const fn negotiates_escaping(protocol: ScrapeProtocol) -> bool {
    matches!(protocol, ScrapeProtocol::PrometheusText1_0_0 | ScrapeProtocol::OpenMetricsText1_0_0)
}

/// The Accept header that Prometheus sends for these protocols, best first: weights fall from 0.6, `*/*` comes last.
pub fn accept_header(protocols: &[ScrapeProtocol], escaping: NameEscaping) -> String {
    let mut header = String::new();
    let mut weight = ScrapeProtocol::ALL.len() + 1;
    for protocol in protocols.iter().take(ScrapeProtocol::ALL.len()) {
        header.push_str(media_type(*protocol));
        if negotiates_escaping(*protocol) {
            header.push_str(";escaping=");
            header.push_str(escaping.as_str());
        }
        header.push_str(&format!(";q=0.{weight},"));
        weight -= 1;
    }
    header + &format!("*/*;q=0.{weight}")
}

/// What an answer is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, 0.0.4 or 1.0.0.
    #[default]
    Text,
    /// OpenMetrics text.
    OpenMetrics,
    /// Delimited protobuf.
    Protobuf,
}

impl Format {
    /// The format that answers in this protocol are written in.
    pub const fn of_protocol(protocol: ScrapeProtocol) -> Self {
        match protocol {
            ScrapeProtocol::PrometheusProto => Self::Protobuf,
            ScrapeProtocol::PrometheusText0_0_4 | ScrapeProtocol::PrometheusText1_0_0 => Self::Text,
            ScrapeProtocol::OpenMetricsText0_0_1 | ScrapeProtocol::OpenMetricsText1_0_0 => Self::OpenMetrics,
        }
    }

    /// The format that a Content-Type header names; `None` where it is none of ours. Versions are not looked at, as
    /// Prometheus does not either.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let is = |known: &str| media_type.eq_ignore_ascii_case(known);
        if is("text/plain") {
            Some(Self::Text)
        } else if is("application/openmetrics-text") {
            Some(Self::OpenMetrics)
        } else if is("application/vnd.google.protobuf") {
            let fits = |parameter: &str| match parameter.split_once('=') {
                Some((key, value)) if key.trim().eq_ignore_ascii_case("encoding") => {
                    value.trim().trim_matches('"').eq_ignore_ascii_case("delimited")
                }
                Some((key, value)) if key.trim().eq_ignore_ascii_case("proto") => {
                    value.trim().trim_matches('"') == "io.prometheus.client.MetricFamily"
                }
                _ => true,
            };
            parts.all(fits).then_some(Self::Protobuf)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_is_prometheus_own() {
        assert_eq!(
            accept_header(ScrapeProtocol::DEFAULT, NameEscaping::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert!(accept_header(ScrapeProtocol::DEFAULT_NATIVE, NameEscaping::Underscores).starts_with(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,"
        ));
    }

    #[test]
    fn the_media_type_alone_chooses_the_text_parser() {
        for (content_type, format) in [
            ("text/plain; version=0.0.4; charset=utf-8", Some(Format::Text)),
            ("text/plain", Some(Format::Text)),
            ("TEXT/PLAIN;version=9", Some(Format::Text)),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Some(Format::OpenMetrics)),
            (
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
                Some(Format::Protobuf),
            ),
            ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text", None),
            ("application/vnd.google.protobuf; proto=other.Message; encoding=delimited", None),
            ("text/html", None),
            ("", None),
        ] {
            assert_eq!(Format::of_content_type(content_type), format, "{content_type}");
        }
    }
}
