//! Which exposition format a page has (Prometheus, `expfmt.Negotiate`: text or protobuf, never OpenMetrics).

use http::HeaderMap;
use http::header::ACCEPT;

use super::escape::Escaping;
use super::{Newest, protobuf, text};

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    wire: Wire,
    escaping: Escaping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Text,
    Protobuf,
}

impl Wire {
    fn of(clause: &str) -> Option<Self> {
        let (kind, _) = clause.split_once(';').unwrap_or((clause, ""));
        match kind.trim() {
            "application/vnd.google.protobuf"
                if parameter(clause, "proto") == Some("io.prometheus.client.MetricFamily")
                    && parameter(clause, "encoding") == Some("delimited") =>
            {
                Some(Self::Protobuf)
            }
            "text/plain" if matches!(parameter(clause, "version"), None | Some("" | "0.0.4")) => {
                Some(Self::Text)
            }
            _ => None,
        }
    }
}

impl Format {
    /// The first format that `Accept` names, in the order of its preference; names are escaped as the clauses up to there say last.
    pub(super) fn negotiate(request: &HeaderMap) -> Self {
        let accept = request.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut clauses: Vec<(&str, f32)> =
            accept.flat_map(|value| value.split(',')).map(|clause| (clause, quality(clause))).collect();
        // Stable: of two that are liked as much the first stays first.
        clauses.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let mut escaping = Escaping::default();
        for (clause, _) in clauses {
            escaping = parameter(clause, "escaping").and_then(Escaping::named).unwrap_or(escaping);
            if let Some(wire) = Wire::of(clause) {
                return Self { wire, escaping };
            }
        }
        Self { wire: Wire::Text, escaping }
    }

    pub(super) fn is_protobuf(self) -> bool {
        self.wire == Wire::Protobuf
    }

    pub(super) fn content_type(self) -> String {
        let kind = match self.wire {
            Wire::Text => "text/plain; version=0.0.4; charset=utf-8",
            Wire::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        };
        format!("{kind}; escaping={}", self.escaping.name())
    }

    /// Appends a family: metrics of one name and kind.
    pub(super) fn push_family(self, out: &mut Vec<u8>, family: &[Newest]) {
        match self.wire {
            Wire::Protobuf => protobuf::push_family(out, family, self.escaping),
            Wire::Text => text::push_family(out, family, self.escaping),
        }
    }
}

fn quality(clause: &str) -> f32 {
    parameter(clause, "q").and_then(|text| text.parse().ok()).unwrap_or(1.0)
}

fn parameter<'a>(clause: &'a str, name: &str) -> Option<&'a str> {
    clause.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn negotiated(accept: &'static str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Format::negotiate(&headers).content_type()
    }

    #[test]
    fn the_format_is_the_first_that_the_client_prefers() {
        let text = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
        assert_eq!(negotiated("*/*"), text);
        assert_eq!(
            negotiated("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3"),
            text
        );
        assert_eq!(
            negotiated(
                "text/plain;version=0.0.4;escaping=allow-utf-8;q=0.4,application/vnd.google.protobuf;\
                 proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6"
            ),
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
             escaping=underscores"
        );
        let utf8 = "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8";
        assert_eq!(negotiated("application/openmetrics-text;escaping=allow-utf-8,text/plain"), utf8);
        assert_eq!(negotiated("text/plain;version=1.0.0;escaping=allow-utf-8"), utf8);
    }
}
