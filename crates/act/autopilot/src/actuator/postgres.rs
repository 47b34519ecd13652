//! PostgreSQL's settings, by `ALTER SYSTEM`, reload and restart.
//!
//! Source: the manual's pages on `ALTER SYSTEM`, `pg_settings` and `pg_file_settings` (version 15).

mod catalogue;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kandela_model::KnobValue;
use kandela_tune::Space;
use kandela_tune::space::Class;
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};

use self::catalogue::{edit_auto_conf, quote};
use super::claim::{WATCHDOG, is_held, own_name};
use super::command::Command;
use super::config::{PostgresConfig, secret, timeout};
use super::file::replace;
use super::settings::{Reading, Settings, Texts, parse, same, spec_of, there_and_back};
use super::{ActuateError, hard};

pub(crate) use self::catalogue::Row;

/// How long a running server may take to show what it was told to reload.
const RELOAD: Duration = Duration::from_secs(5);
const BETWEEN: Duration = Duration::from_millis(20);
/// Sources of a value that go before `ALTER SYSTEM`, in `pg_settings`' words: no waiting helps.
pub(crate) const STRONGER: [&str; 7] =
    ["environment variable", "command line", "global", "database", "user", "database user", "client"];

/// A server and its settings.
pub(crate) struct Postgres {
    target: String,
    connect: tokio_postgres::Config,
    password_file: Option<PathBuf>,
    restart: Option<Command>,
    auto_conf: Option<PathBuf>,
    timeout: Duration,
    space: Space,
    /// The session by whose name others see that the server is held.
    claim: Mutex<Option<Client>>,
}

impl Postgres {
    pub(crate) fn new(config: &PostgresConfig) -> Result<Postgres, String> {
        let mut connect: tokio_postgres::Config =
            config.url.parse().map_err(|e: tokio_postgres::Error| {
                format!("postgres: url is none that can be read: {}", super::health::chain(&e))
            })?;
        if connect.get_password().is_some() {
            return Err(
                "postgres: url has a password; put it into a file and name that as password_file".to_owned()
            );
        }
        if config.restart.is_some() && config.data_directory.is_none() {
            let why = "a server that does not start with its new values can't be brought back without";
            return Err(format!("postgres: restart needs data_directory: {why}"));
        }
        let timeout = timeout(config.timeout_s)?;
        connect.connect_timeout(timeout).application_name("kandela");
        let place = match (connect.get_hosts().first(), connect.get_ports().first()) {
            (Some(tokio_postgres::config::Host::Tcp(host)), port) => {
                format!("{host}:{}", port.unwrap_or(&5432))
            }
            (Some(tokio_postgres::config::Host::Unix(path)), port) => {
                format!("{}, port {}", path.display(), port.unwrap_or(&5432))
            }
            (None, _) => return Err("postgres: url names no host".to_owned()),
        };
        for parameter in config.knobs.parameters() {
            let name = &parameter.spec.name;
            let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
            if name.is_empty() || !name.chars().all(fine) {
                return Err(format!(
                    "postgres: {name:?} is no setting's name; those are small letters, digits, `_` and `.`"
                ));
            }
        }
        Ok(Postgres {
            target: format!("PostgreSQL at {place}"),
            connect,
            password_file: config.password_file.clone(),
            restart: config.restart.clone(),
            auto_conf: config.data_directory.as_ref().map(|folder| folder.join("postgresql.auto.conf")),
            timeout,
            space: config.knobs.clone(),
            claim: Mutex::new(None),
        })
    }

    /// Those of the settings `names` that the server has and shows to who asks.
    pub(crate) async fn settings_of(&self, names: &[String]) -> Result<BTreeMap<String, Row>, ActuateError> {
        let client = self.client().await?;
        self.rows(&client, names).await
    }

    async fn client(&self) -> Result<Client, ActuateError> {
        self.session(self.connect.clone()).await
    }

    async fn session(&self, mut connect: tokio_postgres::Config) -> Result<Client, ActuateError> {
        if let Some(path) = &self.password_file {
            connect.password(secret(path).map_err(|e| ActuateError::unreachable(&self.target, e))?);
        }
        let connected = tokio::time::timeout(self.timeout, connect.connect(NoTls)).await;
        let (client, connection) = connected
            .map_err(|_| ActuateError::unreachable(&self.target, "it does not answer"))?
            .map_err(|e| ActuateError::unreachable(&self.target, said(&e)))?;
        // Ends with its client; what goes wrong with it the client's own calls say.
        tokio::spawn(connection);
        Ok(client)
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>> + Send,
    ) -> Result<T, String> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done.map_err(|error| said(&error)),
            Err(_) => Err(format!("no answer within {} s", self.timeout.as_secs_f64())),
        }
    }

    async fn rows(&self, client: &Client, names: &[String]) -> Result<BTreeMap<String, Row>, ActuateError> {
        let asked = self.within(client.query(catalogue::QUERY, &[&names])).await;
        let rows = asked.map_err(|e| ActuateError::unreachable(&self.target, e))?;
        rows.iter()
            .map(|row| Row::read(row).map(|row| (row.name.clone(), row)))
            .collect::<Result<_, _>>()
            .map_err(|e| ActuateError::unreachable(&self.target, said(&e)))
    }

    /// Nothing here is set that a search may not touch, and all of it are settings.
    fn admit(&self, texts: &Texts) -> Result<(), ActuateError> {
        for name in texts.keys() {
            if let Some((class, why)) = hard::postgres(name) {
                let (target, knob, why) = (self.target.clone(), name.clone(), why.to_owned());
                return Err(ActuateError::Forbidden { target, knob, class, why });
            }
            spec_of(&self.target, &self.space, name)?;
        }
        Ok(())
    }

    /// Writes `texts` where a reload or a restart finds them; on an error what was written is taken back, and none of it is in force.
    async fn alter(&self, client: &Client, texts: &Texts, before: &Texts) -> Result<(), ActuateError> {
        let mut done = Texts::new();
        for (name, text) in texts {
            if let Err(error) = self.within(client.batch_execute(&statement(name, text.as_deref()))).await {
                for (name, text) in &done {
                    let undone = self.within(client.batch_execute(&statement(name, text.as_deref()))).await;
                    undone.map_err(|e| {
                        ActuateError::unknown(
                            &self.target,
                            format!("{error}; and {name} could not be taken back: {e}"),
                        )
                    })?;
                }
                return Err(ActuateError::refused(&self.target, name, error));
            }
            done.insert(name.clone(), before.get(name).cloned().flatten());
        }
        Ok(())
    }

    /// Has the server take what is written.
    async fn take_effect(&self, client: Client, restart: Option<&Command>) -> Result<(), String> {
        self.within(client.batch_execute("SELECT pg_reload_conf()")).await?;
        let Some(restart) = restart else { return Ok(()) };
        // A restart that waits for sessions to end would wait for this one.
        drop(client);
        self.restart_with(restart).await
    }

    /// Nobody else's watchdog has a session; where `before`, none that was there before this one.
    async fn is_not_held(&self, client: &Client, before: bool) -> Result<(), ActuateError> {
        let begins = format!("{WATCHDOG}:%");
        let asked =
            self.within(client.query_opt(catalogue::WATCHDOGS, &[&begins, &before, &own_name()])).await;
        let Some(row) = asked.map_err(|e| ActuateError::unreachable(&self.target, e))? else { return Ok(()) };
        let (holder, session): (String, i32) = (row.get(0), row.get(1));
        let gone = format!("; where it is gone, SELECT pg_terminate_backend({session})");
        Err(is_held(&self.target, &holder, &gone))
    }

    async fn restart_with(&self, restart: &Command) -> Result<(), String> {
        let claimed = self.claim.lock().await.take().is_some();
        let restarted = self.restarted_by(restart).await;
        if claimed {
            // Where another was faster, the next order is refused.
            let _ = self.claim().await;
        }
        restarted
    }

    async fn restarted_by(&self, restart: &Command) -> Result<(), String> {
        let ran = restart.run().await;
        let began = Instant::now();
        loop {
            match (self.client().await, &ran) {
                (Ok(_), Ok(_)) => return Ok(()),
                // Up, but as it was: the command failed before it did anything, or something else brought it back.
                (Ok(_), Err(error)) => return Err(error.clone()),
                (Err(_), Err(error)) => return Err(error.clone()),
                (Err(error), Ok(_)) if began.elapsed() >= self.timeout => return Err(error.to_string()),
                (Err(_), Ok(_)) => tokio::time::sleep(BETWEEN).await,
            }
        }
    }

    /// Waits until new sessions see `texts`.
    async fn confirm(&self, texts: &Texts) -> Result<(), String> {
        let names: Vec<String> = texts.keys().cloned().collect();
        let began = Instant::now();
        loop {
            let client = self.client().await.map_err(|e| e.to_string())?;
            let rows = self.rows(&client, &names).await.map_err(|e| e.to_string())?;
            let Some(wrong) =
                texts.iter().find_map(|(name, text)| self.differs(name, text.as_deref(), rows.get(name)))
            else {
                return Ok(());
            };
            let stronger = rows.values().any(|row| STRONGER.contains(&row.source.as_str()));
            if began.elapsed() >= if stronger { RELOAD / 10 } else { RELOAD } {
                return Err(wrong);
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    fn differs(&self, name: &str, text: Option<&str>, row: Option<&Row>) -> Option<String> {
        let Some(row) = row else { return Some(format!("{name} is gone from pg_settings")) };
        if row.pending_restart {
            return Some(format!("{name} waits for a restart"));
        }
        if self.in_force(text, row) && (text.is_some() || row.set.is_none()) {
            return None;
        }
        let (setting, source, wanted) = (&row.setting, &row.source, text.unwrap_or("its default"));
        Some(format!(
            "{name} stands at {setting}, not at {wanted}: its source is {source:?}, which goes before what ALTER SYSTEM writes"
        ))
    }

    /// Whether the server runs with what `text` says.
    fn in_force(&self, text: Option<&str>, row: &Row) -> bool {
        let spec = self.space.parameter(&row.name).map(|parameter| &parameter.spec);
        match (text, spec) {
            (Some(text), Some(spec)) if parse(&self.target, spec, text).is_ok() => {
                same(spec, text, &row.setting)
            }
            // Spelled with a unit by somebody else: what is written is compared, not what it comes to.
            (Some(text), _) => row.set.as_deref() == Some(text) && !row.pending_restart,
            (None, _) => !row.from_auto_conf,
        }
    }

    /// Which of `texts` only a restart brings into force.
    fn waits_for_restart<'a>(&self, texts: &'a Texts, rows: &BTreeMap<String, Row>) -> Option<&'a str> {
        let waits = |(name, text): (&'a String, &'a Option<String>)| {
            let row = rows.get(name)?;
            let changes = row.pending_restart || !self.in_force(text.as_deref(), row);
            (row.context == "postmaster" && changes).then_some(name.as_str())
        };
        texts.iter().find_map(waits)
    }

    /// Writes `texts` into the file past the server, for one that is down.
    fn write_past(&self, texts: &Texts) -> Result<(), String> {
        let Some(path) = &self.auto_conf else {
            return Err(
                "it is down, and without data_directory its postgresql.auto.conf is not known".to_owned()
            );
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{shown} can't be read: {e}"))?;
        replace(path, edit_auto_conf(&text, texts).as_bytes())
    }

    async fn take_back(&self, before: &Texts, reason: &str) -> ActuateError {
        match self.restore(before).await {
            Ok(()) => ActuateError::failed(&self.target, reason),
            Err(error) => ActuateError::unknown(
                &self.target,
                format!("{reason}; and it could not be taken back: {error}"),
            ),
        }
    }
}

#[async_trait]
impl Settings for Postgres {
    fn target(&self) -> &str {
        &self.target
    }

    fn space(&self) -> &Space {
        &self.space
    }

    fn hard(&self, name: &str) -> Option<(Class, &'static str)> {
        hard::postgres(name)
    }

    async fn read(&self) -> Result<BTreeMap<String, Reading>, ActuateError> {
        let names = self.space.parameters().iter().map(|p| p.spec.name.clone());
        // Some hold passwords, and are read by nobody, whatever a space says.
        let names: Vec<String> = names.filter(|name| hard::postgres(name).is_none()).collect();
        let client = self.client().await?;
        let rows = self.rows(&client, &names).await?;
        let reading = |name: &String| {
            let spec = spec_of(&self.target, &self.space, name)?;
            let missing = || ActuateError::refused(&self.target, name, "this server has no such setting");
            let row = rows.get(name).ok_or_else(missing)?;
            row.fits(spec).map_err(|what| ActuateError::refused(&self.target, name, what))?;
            let value = parse(&self.target, spec, &row.setting)?;
            Ok((name.clone(), Reading { value, set: row.set.clone() }))
        };
        names.iter().map(reading).collect()
    }

    async fn write(&self, texts: &Texts) -> Result<(), ActuateError> {
        self.admit(texts)?;
        let names: Vec<String> = texts.keys().cloned().collect();
        let client = self.client().await?;
        let rows = self.rows(&client, &names).await?;
        for (name, text) in texts {
            let refused = |what: String| ActuateError::refused(&self.target, name, what);
            let row = rows.get(name).ok_or_else(|| refused("this server has no such setting".to_owned()))?;
            row.takes(text.as_deref()).map_err(refused)?;
        }
        let waits = self.waits_for_restart(texts, &rows);
        if let (Some(name), None) = (waits, &self.restart) {
            let what = "it needs a restart, and the target has no command for one; give `restart`";
            return Err(ActuateError::refused(&self.target, name, what));
        }
        let restart = self.restart.as_ref().filter(|_| waits.is_some());
        let before: Texts = rows.into_iter().map(|(name, row)| (name, row.set)).collect();
        self.alter(&client, texts, &before).await?;
        if let Err(reason) = self.take_effect(client, restart).await {
            return Err(self.take_back(&before, &reason).await);
        }
        match self.confirm(texts).await {
            Ok(()) => Ok(()),
            Err(reason) => Err(self.take_back(&before, &reason).await),
        }
    }

    async fn restore(&self, texts: &Texts) -> Result<(), ActuateError> {
        self.admit(texts)?;
        let names: Vec<String> = texts.keys().cloned().collect();
        let failed = |reason: String| ActuateError::unreachable(&self.target, reason);
        match self.client().await {
            Ok(client) => {
                let rows = self.rows(&client, &names).await?;
                let restart = self.waits_for_restart(texts, &rows).and(self.restart.as_ref());
                let before = rows.into_iter().map(|(name, row)| (name, row.set)).collect();
                self.alter(&client, texts, &before).await?;
                self.take_effect(client, restart).await.map_err(failed)?;
            }
            Err(down) => {
                self.write_past(texts).map_err(|e| failed(format!("{down}; {e}")))?;
                let Some(restart) = &self.restart else { return Err(down) };
                self.restart_with(restart).await.map_err(failed)?;
            }
        }
        self.confirm(texts).await.map_err(failed)
    }

    fn longest_change(&self) -> Duration {
        there_and_back(self.restart.as_ref().map(Command::timeout))
    }

    async fn claim(&self) -> Result<(), ActuateError> {
        let mut claim = self.claim.lock().await;
        if claim.as_ref().is_some_and(|session| !session.is_closed()) {
            return Ok(());
        }
        let mut connect = self.connect.clone();
        connect.application_name(own_name());
        let session = self.session(connect).await?;
        // Servers before 14 have no such limit.
        let _ = self.within(session.batch_execute("SET idle_session_timeout = 0")).await;
        // So that it does not show for hours after this machine has failed; over a socket of the machine's own there is nothing to set.
        let alive =
            "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";
        let _ = self.within(session.batch_execute(alive)).await;
        self.is_not_held(&session, true).await?;
        *claim = Some(session);
        Ok(())
    }

    async fn is_free(&self) -> Result<(), ActuateError> {
        let client = self.client().await?;
        self.is_not_held(&client, false).await
    }

    fn spell(&self, _name: &str, value: &KnobValue) -> String {
        match value {
            KnobValue::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
            KnobValue::Float(value) => shown_as(*value).to_string(),
            other => other.to_string(),
        }
    }
}

/// A real setting as `pg_settings` shows it: to six digits.
fn shown_as(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

fn statement(name: &str, text: Option<&str>) -> String {
    match text {
        Some(text) => format!("ALTER SYSTEM SET {name} = {}", quote(text)),
        None => format!("ALTER SYSTEM RESET {name}"),
    }
}

/// What the server said, with its hint; the client's own words otherwise.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(server) => {
            let more = [server.detail(), server.hint()];
            let more: String = more.iter().flatten().map(|text| format!("; {text}")).collect();
            format!("{}{more}", server.message())
        }
        None => super::health::chain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_setting_is_written_as_the_server_will_show_it() {
        for (value, text) in
            [(1.346_054_520_284_266_4, "1.34605"), (0.001_273_462_8, "0.00127346"), (0.9, "0.9")]
        {
            assert_eq!(shown_as(value).to_string(), text);
        }
        assert_eq!(shown_as(1_234_567.0), 1_234_570.0);
    }
}
