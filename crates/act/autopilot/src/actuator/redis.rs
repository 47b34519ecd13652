//! Redis' parameters, by `CONFIG SET`.
//!
//! Source: Redis' pages on `CONFIG GET`, `CONFIG SET` and `CONFIG REWRITE` (version 7, which sets several at once or none).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use kandela_model::KnobValue;
use kandela_tune::Space;
use kandela_tune::space::Class;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError};
use tokio::sync::Mutex;

use super::claim::{WATCHDOG, is_held, own_name};
use super::config::{RedisConfig, secret, timeout};
use super::health::after_secret;
use super::settings::{Reading, Settings, Texts, parse, same, spec_of};
use super::{ActuateError, hard};

/// Parameters that are fixed once the server runs, as of version 7.
const IMMUTABLE: &[&str] = &[
    "always-show-logo",
    "cluster-enabled",
    "databases",
    "disable-thp",
    "io-threads",
    "io-threads-do-reads",
    "set-proc-title",
    "socket-mark-id",
    "syslog-enabled",
    "tcp-backlog",
];

/// A server and its parameters.
pub(crate) struct Redis {
    target: String,
    address: (String, u16),
    user: Option<String>,
    password_file: Option<PathBuf>,
    rewrite: bool,
    timeout: Duration,
    space: Space,
    /// The connection by whose name others see that the server is held.
    claim: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    pub(crate) fn new(config: &RedisConfig) -> Result<Redis, String> {
        let address =
            config.address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let is_host = |(host, _): &(&str, u16)| !host.is_empty() && !host.contains(['/', '@']);
        let (host, port) = address.filter(is_host).ok_or_else(|| {
            let shown = after_secret(&config.address);
            format!(
                "redis: address is {shown:?}; give host and port, 127.0.0.1:6379, and a password as password_file"
            )
        })?;
        Ok(Redis {
            target: format!("Redis at {}", config.address),
            address: (host.trim_matches(['[', ']']).to_owned(), port),
            user: config.user.clone(),
            password_file: config.password_file.clone(),
            rewrite: config.rewrite,
            timeout: timeout(config.timeout_s)?,
            space: config.knobs.clone(),
            claim: Mutex::new(None),
        })
    }

    /// The server's major version.
    pub(crate) async fn version(&self) -> Result<u32, ActuateError> {
        let mut connection = self.connection().await?;
        let asked = redis::cmd("INFO").arg("server").query_async(&mut connection).await;
        let said: String = asked.map_err(|e: RedisError| ActuateError::unreachable(&self.target, e))?;
        let line = said.lines().find_map(|line| line.strip_prefix("redis_version:"));
        let major = line.and_then(|version| version.split('.').next()?.parse().ok());
        major.ok_or_else(|| ActuateError::unreachable(&self.target, "INFO names no redis_version"))
    }

    /// Those of the parameters `names` that the server has.
    pub(crate) async fn parameters_of(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, String>, ActuateError> {
        let mut connection = self.connection().await?;
        self.get(&mut connection, &names.iter().collect::<Vec<_>>()).await
    }

    async fn connection(&self) -> Result<MultiplexedConnection, ActuateError> {
        let unreachable = |reason: String| ActuateError::unreachable(&self.target, reason);
        let mut who = RedisConnectionInfo::default();
        if let Some(user) = &self.user {
            who = who.set_username(user);
        }
        if let Some(path) = &self.password_file {
            who = who.set_password(secret(path).map_err(unreachable)?);
        }
        let address = ConnectionAddr::Tcp(self.address.0.clone(), self.address.1);
        let info =
            address.into_connection_info().map_err(|e| unreachable(e.to_string()))?.set_redis_settings(who);
        let client = redis::Client::open(info).map_err(|e| unreachable(e.to_string()))?;
        let patience = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let connected = client.get_multiplexed_async_connection_with_config(&patience).await;
        connected.map_err(|e| unreachable(e.to_string()))
    }

    async fn get(
        &self,
        connection: &mut MultiplexedConnection,
        names: &[&String],
    ) -> Result<BTreeMap<String, String>, ActuateError> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let asked = redis::cmd("CONFIG").arg("GET").arg(names).query_async(connection).await;
        asked.map_err(|e: RedisError| ActuateError::unreachable(&self.target, e))
    }

    /// Nobody else's watchdog has been connected for longer than the connection number `own`.
    async fn is_not_held(
        &self,
        connection: &mut MultiplexedConnection,
        own: u64,
    ) -> Result<(), ActuateError> {
        let asked = redis::cmd("CLIENT").arg("LIST").query_async::<String>(connection).await;
        let clients = match asked {
            Ok(clients) => clients,
            Err(error) if is_forbidden(&error) => return Ok(()),
            Err(error) => return Err(ActuateError::unreachable(&self.target, error)),
        };
        match clients.lines().filter_map(watchdog).find(|(id, _)| *id < own) {
            None => Ok(()),
            Some((id, holder)) => {
                Err(is_held(&self.target, &holder, &format!("; where it is gone, CLIENT KILL ID {id}")))
            }
        }
    }

    /// Nothing here is of a hard class, or fixed, and all of it are parameters.
    fn admit(&self, texts: &Texts) -> Result<(), ActuateError> {
        for (name, text) in texts {
            if let Some((class, why)) = hard::redis(name) {
                let (target, knob, why) = (self.target.clone(), name.clone(), why.to_owned());
                return Err(ActuateError::Forbidden { target, knob, class, why });
            }
            spec_of(&self.target, &self.space, name)?;
            if IMMUTABLE.contains(&name.to_ascii_lowercase().as_str()) {
                let what = "it is fixed while the server runs; set it in its file and restart it (a `file` target does both)";
                return Err(ActuateError::refused(&self.target, name, what));
            }
            if text.is_none() {
                return Err(ActuateError::refused(
                    &self.target,
                    name,
                    "a parameter always has a value; give one",
                ));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Settings for Redis {
    fn target(&self) -> &str {
        &self.target
    }

    fn space(&self) -> &Space {
        &self.space
    }

    fn hard(&self, name: &str) -> Option<(Class, &'static str)> {
        hard::redis(name)
    }

    async fn read(&self) -> Result<BTreeMap<String, Reading>, ActuateError> {
        let names = self.space.parameters().iter().map(|p| &p.spec.name);
        // A password is read by nobody, whatever a space says.
        let names: Vec<&String> = names.filter(|name| hard::redis(name).is_none()).collect();
        let mut connection = self.connection().await?;
        let got = self.get(&mut connection, &names).await?;
        let reading = |name: &&String| {
            let missing = || ActuateError::refused(&self.target, name, "this server has no such parameter");
            let text = got.get(*name).ok_or_else(missing)?;
            let value = parse(&self.target, spec_of(&self.target, &self.space, name)?, text)?;
            Ok(((*name).clone(), Reading { value, set: Some(text.clone()) }))
        };
        names.iter().map(reading).collect()
    }

    async fn write(&self, texts: &Texts) -> Result<(), ActuateError> {
        self.admit(texts)?;
        let names: Vec<&String> = texts.keys().collect();
        let mut connection = self.connection().await?;
        let before = self.get(&mut connection, &names).await?;
        if let Some(name) = names.iter().find(|name| !before.contains_key(**name)) {
            return Err(ActuateError::refused(&self.target, name, "this server has no such parameter"));
        }
        let wanted: BTreeMap<&str, &str> =
            texts.iter().filter_map(|(name, text)| Some((name.as_str(), text.as_deref()?))).collect();
        match set(&mut connection, &wanted).await {
            Ok(()) => {}
            Err(error) if error.is_io_error() || error.is_timeout() => {
                return Err(ActuateError::unknown(&self.target, error));
            }
            Err(error) => {
                let said = error.to_string();
                let named = names.iter().find(|name| said.contains(name.as_str())).or(names.first());
                let name = named.map_or("", |name| name.as_str());
                return Err(ActuateError::refused(&self.target, name, said));
            }
        }
        let got = self.get(&mut connection, &names).await;
        let got = got.map_err(|e| ActuateError::unknown(&self.target, e))?;
        let differs = wanted.iter().find(|(name, text)| {
            let shown = got.get(**name).map_or("", String::as_str);
            // What was there before may be spelled as no value of the knob, and is then compared letter by letter.
            shown != **text && self.space.parameter(name).is_none_or(|p| !same(&p.spec, text, shown))
        });
        let Some((name, text)) = differs else { return Ok(()) };
        let reason = format!(
            "{name} stands at {} after it was set to {text}",
            got.get(*name).map_or("nothing", String::as_str)
        );
        let before = before.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        match set(&mut connection, &before).await {
            Ok(()) => Err(ActuateError::refused(&self.target, name, reason)),
            Err(error) => Err(ActuateError::unknown(
                &self.target,
                format!("{reason}; and it was not taken back: {error}"),
            )),
        }
    }

    async fn keep(&self) -> Result<(), ActuateError> {
        if !self.rewrite {
            return Ok(());
        }
        let mut connection = self.connection().await?;
        let rewritten = redis::cmd("CONFIG").arg("REWRITE").query_async(&mut connection).await;
        rewritten.map_err(|e: RedisError| {
            ActuateError::unknown(
                &self.target,
                format!("the values hold until it restarts; CONFIG REWRITE failed: {e}"),
            )
        })
    }

    async fn claim(&self) -> Result<(), ActuateError> {
        let mut claim = self.claim.lock().await;
        if let Some(held) = claim.as_mut()
            && redis::cmd("PING").query_async::<String>(held).await.is_ok()
        {
            return Ok(());
        }
        let mut connection = self.connection().await?;
        let shown = async {
            redis::cmd("CLIENT").arg("SETNAME").arg(own_name()).query_async::<()>(&mut connection).await?;
            redis::cmd("CLIENT").arg("ID").query_async::<u64>(&mut connection).await
        };
        match shown.await {
            Ok(own) => self.is_not_held(&mut connection, own).await?,
            // A user that may not show itself does not show.
            Err(error) if is_forbidden(&error) => {}
            Err(error) => return Err(ActuateError::unreachable(&self.target, error)),
        }
        *claim = Some(connection);
        Ok(())
    }

    async fn is_free(&self) -> Result<(), ActuateError> {
        let mut connection = self.connection().await?;
        self.is_not_held(&mut connection, u64::MAX).await
    }

    fn spell(&self, _name: &str, value: &KnobValue) -> String {
        match value {
            KnobValue::Bool(on) => if *on { "yes" } else { "no" }.to_owned(),
            other => other.to_string(),
        }
    }
}

/// Whether the user lacks the right.
fn is_forbidden(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}

/// Number and name of a client that is somebody else's watchdog, of a line of `CLIENT LIST`.
fn watchdog(line: &str) -> Option<(u64, String)> {
    let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let name = field("name").filter(|name| name.starts_with(WATCHDOG) && *name != own_name())?;
    Some((field("id")?.parse().ok()?, format!("{name}, from {},", field("addr").unwrap_or("nowhere"))))
}

async fn set(connection: &mut MultiplexedConnection, texts: &BTreeMap<&str, &str>) -> Result<(), RedisError> {
    if texts.is_empty() {
        return Ok(());
    }
    let mut command = redis::cmd("CONFIG");
    command.arg("SET");
    for (name, text) in texts {
        command.arg(name).arg(text);
    }
    command.query_async(connection).await
}
