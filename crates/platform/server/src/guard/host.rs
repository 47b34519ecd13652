//! Which `Host` and `Origin` headers are the server's own.
//!
//! A web page that the user's browser shows can send requests to loopback. It cannot forge these two headers, so a request
//! that names a foreign host (DNS rebinding) or comes from a foreign origin (cross-site request forgery) is refused.

use std::net::IpAddr;

use http::Uri;
use http::uri::Authority;

/// The names that the server answers to.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostRules {
    names: Vec<String>,
    origins: Vec<String>,
}

impl HostRules {
    /// Rules that know loopback, the address a connection came in on, `names` (without port), and `origins`, whose pages
    /// may change state besides the server's own.
    pub(crate) fn new(names: &[String], origins: &[String]) -> Self {
        let lower = |texts: &[String]| texts.iter().map(|text| text.to_ascii_lowercase()).collect();
        Self { names: lower(names), origins: lower(origins) }
    }

    /// Whether `host`, a `Host` header's value or an HTTP/2 authority, names this server; `local` is the address that
    /// the connection came in on. The port is not looked at, since a forwarded port differs rightly.
    pub(crate) fn is_own(&self, host: &str, local: IpAddr) -> bool {
        let Some(authority) = host.parse::<Authority>().ok().filter(|_| !host.contains('@')) else {
            return false;
        };
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let inherent = match name.parse::<IpAddr>() {
            Ok(address) => {
                let address = address.to_canonical();
                address.is_loopback() || address == local.to_canonical()
            }
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        };
        inherent || self.names.contains(&name)
    }

    /// Whether `origin` is a configured one.
    pub(crate) fn is_trusted_origin(&self, origin: &str) -> bool {
        self.origins.contains(&origin.to_ascii_lowercase())
    }

    /// Whether `origin` is the page's own server, which is the host and port that the request names, or a configured one.
    pub(crate) fn is_own_origin(&self, origin: &str, host: &str) -> bool {
        if self.is_trusted_origin(origin) {
            return true;
        }
        let Ok(uri) = origin.parse::<Uri>() else { return false };
        let (Some(scheme), Some(from)) = (uri.scheme_str(), uri.authority()) else { return false };
        let Ok(to) = host.parse::<Authority>() else { return false };
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return false,
        };
        let same_host = from.host().eq_ignore_ascii_case(to.host());
        same_host && from.port_u16().unwrap_or(default_port) == to.port_u16().unwrap_or(default_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_the_bound_address_and_configured_names_are_own() {
        let rules = HostRules::new(&["Kandela.example.org".to_owned()], &[]);
        let local: IpAddr = "10.1.2.3".parse().unwrap();
        for host in [
            "localhost",
            "localhost:7676",
            "127.0.0.1:9",
            "[::1]:7676",
            "10.1.2.3:7676",
            "kandela.example.ORG:443",
            "app.localhost",
            "localhost.",
            "[::ffff:10.1.2.3]",
        ] {
            assert!(rules.is_own(host, local), "{host} was refused");
        }
    }

    #[test]
    fn a_host_with_a_user_in_it_is_nobody() {
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(!HostRules::default().is_own("evil.example@127.0.0.1", local));
    }

    #[test]
    fn any_other_host_is_foreign() {
        let rules = HostRules::new(&[], &[]);
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evillocalhost",
            "10.0.0.1",
            "",
            "user@",
            "a b",
            "0.0.0.0:7676",
        ] {
            assert!(!rules.is_own(host, local), "{host:?} was accepted");
        }
    }

    #[test]
    fn an_origin_is_own_only_with_the_same_host_and_port() {
        let rules = HostRules::new(&[], &[]);
        assert!(rules.is_own_origin("http://localhost:7676", "localhost:7676"));
        assert!(rules.is_own_origin("https://localhost", "localhost:443"));
        for origin in
            ["http://localhost:3000", "http://evil.example", "null", "", "file://", "http://127.0.0.1:7676"]
        {
            assert!(!rules.is_own_origin(origin, "localhost:7676"), "{origin:?} was accepted");
        }
    }
}
