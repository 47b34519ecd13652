//! Which system a URL names.

use std::net::IpAddr;

use tokio_postgres::config::Host;

/// A system to tune, as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) kind: Kind,
    /// What its folder is called.
    pub(super) name: String,
    /// Whether it is on this machine, as far as its address tells.
    pub(super) here: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The URL as it was given.
    Postgres(String),
    Redis {
        address: String,
        user: Option<String>,
    },
}

/// Reads `postgres://USER@HOST:PORT/DB` or `redis://[USER@]HOST[:PORT]`.
pub(super) fn read(url: &str) -> Result<Address, String> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        postgres(url)
    } else if let Some(rest) = url.strip_prefix("redis://") {
        redis(rest)
    } else {
        Err("give postgres://USER@HOST:PORT/DB or redis://HOST:PORT".to_owned())
    }
}

fn postgres(url: &str) -> Result<Address, String> {
    let config: tokio_postgres::Config =
        url.parse().map_err(|e| format!("it can't be read: {}", crate::actuator::chain(&e)))?;
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let (host, here) = match config.get_hosts() {
        [Host::Tcp(host)] => (host.clone(), is_here(host)),
        [Host::Unix(path)] => (path.display().to_string(), true),
        [] => return Err("it names no host; give postgres://USER@HOST:PORT/DB".to_owned()),
        _ => return Err("it names several hosts; give the one that is to be tuned".to_owned()),
    };
    let name = name("postgres", &host, port);
    Ok(Address { kind: Kind::Postgres(url.to_owned()), name, here })
}

fn redis(rest: &str) -> Result<Address, String> {
    if rest.contains(['?', '#']) {
        return Err(
            "it has parameters, which are not shown here, as one may be a password; give redis://HOST:PORT"
                .to_owned(),
        );
    }
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => {
            return Err("it has a password; put it into a file and name that".to_owned());
        }
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, rest),
    };
    let (place, database) = place.split_once('/').unwrap_or((place, ""));
    if !database.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("/{database} is no database; leave it out, as settings are the server's"));
    }
    let named = place.rsplit_once(':').filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit()));
    let (host, port) = match named {
        Some((host, port)) => {
            (host, port.parse().map_err(|_| format!("{port:?} is no port; give 1 to 65535"))?)
        }
        None => (place, 6379),
    };
    let host = host.trim_matches(['[', ']']);
    if host.is_empty() {
        return Err("it names no host; give redis://HOST:PORT".to_owned());
    }
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    Ok(Address { kind: Kind::Redis { address, user }, name: name("redis", host, port), here: is_here(host) })
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// What it is called in the folder of watchdogs: the same by whichever name of this machine it is reached.
fn name(kind: &str, host: &str, port: u16) -> String {
    let host = if is_here(host) { "127.0.0.1" } else { host };
    let fine = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("{kind}-{}-{port}", host.trim_matches('/').chars().map(fine).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_system_and_whether_it_is_here() {
        for (url, name, here) in [
            ("postgres://k@127.0.0.1:5433/bench", "postgres-127.0.0.1-5433", true),
            ("postgresql://k@db.example/bench", "postgres-db.example-5432", false),
            ("postgres://k@%2Fvar%2Frun%2Fpostgresql/bench", "postgres-var-run-postgresql-5432", true),
            ("redis://localhost", "redis-127.0.0.1-6379", true),
            ("redis://tuner@10.0.0.7:7000/0", "redis-10.0.0.7-7000", false),
            ("redis://[::1]:7001", "redis-127.0.0.1-7001", true),
        ] {
            let address = read(url).expect(url);
            assert_eq!((address.name.as_str(), address.here), (name, here), "{url}");
        }
        let Kind::Redis { address, user } = read("redis://tuner@[::1]:7001").expect("reads").kind else {
            panic!("no Redis")
        };
        assert_eq!((address.as_str(), user.as_deref()), ("[::1]:7001", Some("tuner")));
    }

    #[test]
    fn what_names_no_system_is_told_what_does() {
        for (url, said) in [
            ("mysql://127.0.0.1", "give postgres://USER@HOST:PORT/DB or redis://HOST:PORT"),
            ("postgres:///bench", "names no host"),
            ("postgres://k@a,b/bench", "several hosts"),
            ("redis://", "names no host"),
            ("redis://u:secret@h", "put it into a file"),
            ("redis://h:99999", "is no port"),
            ("redis://h:1/x", "is no database"),
            ("redis://h:1?password=secret", "it has parameters"),
        ] {
            let error = read(url).expect_err(url);
            assert!(error.contains(said) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
