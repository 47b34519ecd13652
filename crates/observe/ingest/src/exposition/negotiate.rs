//! Which format a target is asked for, and which one it answered in.

use std::fmt;
use std::str::FromStr;

/// A protocol of Prometheus' `scrape_protocols`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScrapeProtocol {
    /// Delimited `io.prometheus.client.MetricFamily` messages.
    PrometheusProto,
    /// Prometheus text, version 0.0.4.
    PrometheusText004,
    /// Prometheus text, version 1.0.0: 0.0.4 with quoted names.
    PrometheusText100,
    /// OpenMetrics text, version 0.0.1.
    OpenMetricsText001,
    /// OpenMetrics text, version 1.0.0.
    OpenMetricsText100,
}

/// What Prometheus asks for by default, best first.
pub const DEFAULT_PROTOCOLS: [ScrapeProtocol; 4] = [
    ScrapeProtocol::OpenMetricsText100,
    ScrapeProtocol::OpenMetricsText001,
    ScrapeProtocol::PrometheusText100,
    ScrapeProtocol::PrometheusText004,
];

/// What Prometheus asks for by default where it wants native histograms, which only protobuf carries.
pub const PROTOBUF_FIRST_PROTOCOLS: [ScrapeProtocol; 5] = [
    ScrapeProtocol::PrometheusProto,
    ScrapeProtocol::OpenMetricsText100,
    ScrapeProtocol::OpenMetricsText001,
    ScrapeProtocol::PrometheusText100,
    ScrapeProtocol::PrometheusText004,
];

impl ScrapeProtocol {
    const ALL: [Self; 5] = PROTOBUF_FIRST_PROTOCOLS;

    /// Its name in `scrape_protocols` and `fallback_scrape_protocol`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText004 => "PrometheusText0.0.4",
            Self::PrometheusText100 => "PrometheusText1.0.0",
            Self::OpenMetricsText001 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText100 => "OpenMetricsText1.0.0",
        }
    }

    /// The parser for its answers.
    pub const fn format(self) -> Format {
        match self {
            Self::PrometheusProto => Format::Protobuf,
            Self::PrometheusText004 | Self::PrometheusText100 => Format::Text,
            Self::OpenMetricsText001 | Self::OpenMetricsText100 => Format::OpenMetrics,
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText004 => "text/plain;version=0.0.4",
            Self::PrometheusText100 => "text/plain;version=1.0.0",
            Self::OpenMetricsText001 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText100 => "application/openmetrics-text;version=1.0.0",
        }
    }

    const fn negotiates_escaping(self) -> bool {
        matches!(self, Self::PrometheusText100 | Self::OpenMetricsText100)
    }
}

impl fmt::Display for ScrapeProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ScrapeProtocol {
    type Err = String;

    /// Reads the names that Prometheus' configuration uses.
    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("scrape protocol {name:?} is not known; use one of {known}")
        })
    }
}

/// How a target is to write names that are no plain identifiers (`metric_name_escaping_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escaping {
    /// As they are, quoted.
    #[default]
    AllowUtf8,
    /// With `_` for what is not allowed.
    Underscores,
    /// With `_dot_` for dots and `__` for the rest.
    Dots,
    /// With a prefix `U__` and code points in hexadecimal.
    Values,
}

impl Escaping {
    const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// Its name in the Accept header and the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

impl FromStr for Escaping {
    type Err = String;

    /// Reads the names that Prometheus' configuration uses.
    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|escaping| escaping.as_str() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("escaping scheme {name:?} is not known; use one of {known}")
        })
    }
}

/// The Accept header that Prometheus sends for these protocols, best first: weights fall from 0.6, `*/*` comes last.
pub fn accept_header(protocols: &[ScrapeProtocol], escaping: Escaping) -> String {
    let mut header = String::new();
    let mut weight = ScrapeProtocol::ALL.len() + 1;
    for protocol in protocols.iter().take(ScrapeProtocol::ALL.len()) {
        header.push_str(protocol.media_type());
        if protocol.negotiates_escaping() {
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
            accept_header(&DEFAULT_PROTOCOLS, Escaping::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert!(accept_header(&PROTOBUF_FIRST_PROTOCOLS, Escaping::Underscores).starts_with(
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

    #[test]
    fn names_of_the_configuration_round_trip() {
        for protocol in ScrapeProtocol::ALL {
            assert_eq!(protocol.as_str().parse(), Ok(protocol));
        }
        let error = "PrometheusText0.0.5".parse::<ScrapeProtocol>().unwrap_err();
        assert!(error.contains("PrometheusText0.0.4"), "{error}");
    }
}
