//! Where somebody else finds a target that this server finds at `localhost`.

use url::{Host, Url};

use crate::app::App;
use crate::background::machine_name;

/// How this server is reached from outside: the machine's name and the main port, as Prometheus has it by default.
pub(super) struct GlobalUrl {
    machine: String,
    port: u16,
    scheme: &'static str,
}

impl GlobalUrl {
    pub(super) fn of(app: &App) -> Self {
        let scheme = if app.tls.is_some() { "https" } else { "http" };
        Self { machine: machine_name(), port: app.addresses.http.port(), scheme }
    }

    /// The URL under which others may find a target. One at the server's own port gets the server's scheme too.
    pub(super) fn of_target(&self, scrape_url: &str) -> String {
        let Ok(mut url) = Url::parse(scrape_url) else { return scrape_url.to_owned() };
        let is_local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.octets() == [127, 0, 0, 1],
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if !is_local {
            return scrape_url.to_owned();
        }
        let own = url.port() == Some(self.port);
        // A name that is no host leaves the URL as it is.
        let _ = url.set_host(Some(&self.machine));
        if own {
            let _ = url.set_scheme(self.scheme);
        }
        url.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_local_is_found_elsewhere_from_outside() {
        let global = GlobalUrl { machine: "shop-1".to_owned(), port: 7676, scheme: "https" };
        for (scraped, seen) in [
            ("http://localhost:9100/metrics", "http://shop-1:9100/metrics"),
            ("http://127.0.0.1:7676/metrics?a=b", "https://shop-1:7676/metrics?a=b"),
            ("http://[::1]:9100/metrics", "http://shop-1:9100/metrics"),
            ("http://10.0.0.1:9100/metrics", "http://10.0.0.1:9100/metrics"),
            ("http://127.0.0.2:9100/metrics", "http://127.0.0.2:9100/metrics"),
        ] {
            assert_eq!(global.of_target(scraped), seen);
        }
    }
}
