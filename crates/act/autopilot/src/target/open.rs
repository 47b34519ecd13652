//! Takes a system in hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kandela_model::{ApplyCost, Epoch, KnobType};
use kandela_tune::{Parameter, Space, SpaceError};
use rustix::fs::Access;

use super::address::{self, Address, Kind};
use super::postgres::{self, Facts, Setting};
use super::{Machine, Options, Server, Target, TargetError, Workload, is_searched, redis};
use crate::actuator::config::{PostgresConfig, RedisConfig, TargetConfig};
use crate::actuator::settings::parse;
use crate::actuator::{ActuateError, Actuator, Guarded, PostgresSettings, RedisSettings, STRONGER, hard};
use crate::watchdog::Folder;

/// Settings that are read to know the server, beside those that are searched.
const TOLD: [&str; 5] =
    ["server_version_num", "max_connections", "hash_mem_multiplier", "data_directory", "wal_segment_size"];
/// Seconds that a server may take to be back after a restart: a large one reads its log first.
const START_S: f64 = 120.0;
const ANSWER_S: f64 = 5.0;

pub(super) async fn open(url: &str, options: &Options) -> Result<Target, TargetError> {
    let address = address::read(url).map_err(TargetError::Url)?;
    match &address.kind {
        Kind::Postgres(url) => open_postgres(&address, url, options).await,
        Kind::Redis { address: place, user } => {
            let config = RedisConfig {
                address: place.clone(),
                user: user.clone(),
                password_file: options.password_file.clone(),
                rewrite: false,
                timeout_s: ANSWER_S,
                knobs: nothing(&address)?,
            };
            open_redis(&address, config, options).await
        }
    }
}

async fn open_postgres(address: &Address, url: &str, options: &Options) -> Result<Target, TargetError> {
    let mut config = PostgresConfig {
        url: url.to_owned(),
        password_file: options.password_file.clone(),
        restart: None,
        data_directory: None,
        timeout_s: START_S,
        knobs: nothing(address)?,
    };
    let target = settle(&described(&address.name, Some(config.clone()), None), options).await?;
    let settings = survey(&config, options, &address.name).await?;
    let version = settings.get("server_version_num").and_then(|row| row.value.parse::<u32>().ok());
    let version = version.map_or(0, |number| number / 10_000);
    if version < 15 {
        return Err(TargetError::Version { target, version, least: 15 });
    }
    let folder = options.data_directory.clone().or_else(|| {
        let told = settings.get("data_directory").filter(|_| address.here)?;
        Some(PathBuf::from(&told.value))
    });
    if options.restart.is_some() {
        config.restart.clone_from(&options.restart);
        let usable = usable(folder.as_deref());
        config.data_directory = Some(
            usable.map_err(|what| TargetError::DataDirectory { target: target.clone(), what })?.to_owned(),
        );
    }
    let restarts = options.restart.is_some();
    let machine = options.machine.or_else(|| Machine::this().filter(|_| address.here));
    let facts = machine.map(|machine| Facts {
        version,
        machine,
        wal_room: folder.filter(|_| address.here).and_then(|folder| free(&folder.join("pg_wal"))),
        settings: settings.clone(),
    });
    let space = match (&options.space, &facts) {
        (Some(space), _) => admitted(space, |parameter| known(&target, parameter, &settings, restarts)),
        (None, Some(facts)) => {
            postgres::space(facts, options.workload, restarts).map_err(|error| space_error(&target, error))
        }
        (None, None) => Err(TargetError::Machine { target: target.clone() }),
    }?;
    if space.axes().is_empty() {
        let hint = if restarts { "" } else { "; give a command that restarts it" };
        return Err(TargetError::Nothing { target, hint });
    }
    let settable = widened(&space, &settings).map_err(|error| space_error(&target, error))?;
    config.knobs = settable.clone();
    let server = Server::Postgres { facts, workload: options.workload, restarts };
    taken(described(&address.name, Some(config), None), settable, space, server, options).await
}

async fn open_redis(
    address: &Address,
    mut config: RedisConfig,
    options: &Options,
) -> Result<Target, TargetError> {
    let description = described(&address.name, None, Some(config.clone()));
    let target = settle(&description, options).await?;
    let server = RedisSettings::new(&config).map_err(|what| description.fault(what)).map_err(opened)?;
    let version = server.version().await?;
    if version < 7 {
        return Err(TargetError::Version { target, version, least: 7 });
    }
    let own = options.space.iter().flat_map(Space::parameters).map(|parameter| parameter.spec.name.clone());
    let names: Vec<String> =
        redis::KNOBS.into_iter().chain(["maxmemory"]).map(str::to_owned).chain(own).collect();
    let parameters = server.parameters_of(&names).await?;
    let space = match &options.space {
        Some(space) => admitted(space, |parameter| {
            let name = &parameter.spec.name;
            forbidden(&target, name, hard::redis(name))?;
            let text = parameters.get(name).ok_or_else(|| {
                ActuateError::refused(&target, name, "this server has no such parameter; take it out")
            })?;
            standing(&target, parameter, text)
        }),
        None => redis::space(&parameters).map_err(|error| space_error(&target, error)),
    }?;
    if space.axes().is_empty() {
        return Err(TargetError::Nothing { target, hint: "" });
    }
    let searched = space.parameters().iter().filter(|parameter| is_searched(parameter)).cloned();
    let settable = Space::new(searched.map(|parameter| Parameter { when: None, ..parameter }).collect());
    let settable = settable.map_err(|error| space_error(&target, error))?;
    config.knobs = settable.clone();
    taken(described(&address.name, None, Some(config)), settable, space, Server::Redis, options).await
}

/// Has what an earlier tuner left be taken back, and says what the system is called.
async fn settle(description: &TargetConfig, options: &Options) -> Result<String, TargetError> {
    let system = Guarded::open(description, &options.watch).await?;
    let target = system.target().to_owned();
    let folder = Folder::of(&options.watch.folder.join(&description.name));
    let fault = |e| ActuateError::unguarded(&target, e);
    if folder.inverse().map_err(fault)?.is_none() {
        // Before anything is read: what somebody else tries is not where the server stands.
        system.is_not_held().await?;
        return Ok(target);
    }
    if folder.is_free().map_err(fault)? {
        let folder = folder.path().display().to_string();
        return Err(TargetError::Pending { target, folder });
    }
    Err(TargetError::Held { target, holder: folder.holder() })
}

/// The system in hand, once it has shown all that may be set.
async fn taken(
    description: TargetConfig,
    settable: Space,
    space: Space,
    server: Server,
    options: &Options,
) -> Result<Target, TargetError> {
    let system = Guarded::open(&description, &options.watch).await?;
    system.state().await?;
    let folder = Folder::of(&options.watch.folder.join(&description.name));
    let seen = folder.epoch().map_err(|e| ActuateError::unguarded(system.target(), e))?;
    Ok(Target { system, settable, space, epoch: Epoch(seen + 1), server })
}

async fn survey(
    config: &PostgresConfig,
    options: &Options,
    name: &str,
) -> Result<BTreeMap<String, Setting>, TargetError> {
    let description = described(name, Some(config.clone()), None);
    let server = PostgresSettings::new(config).map_err(|what| description.fault(what)).map_err(opened)?;
    let own = options.space.iter().flat_map(Space::parameters).map(|parameter| parameter.spec.name.clone());
    let names = Workload::ALL.into_iter().flat_map(postgres::knobs).copied().chain(postgres::NAMED);
    let names: Vec<String> = names.chain(TOLD).map(str::to_owned).chain(own).collect();
    let rows = server.settings_of(&names).await?;
    let setting = |row: crate::actuator::PostgresRow| Setting {
        value: row.setting,
        unit: row.unit,
        vartype: row.vartype,
        context: row.context,
        min: row.min,
        max: row.max,
        words: row.words.unwrap_or_default(),
        source: row.source,
    };
    Ok(rows.into_iter().map(|(name, row)| (name, setting(row))).collect())
}

/// The user's space, if each parameter that is searched is `known`, from where the server stands.
fn admitted(
    space: &Space,
    known: impl Fn(&Parameter) -> Result<Parameter, TargetError>,
) -> Result<Space, TargetError> {
    let parameter =
        |parameter: &Parameter| if is_searched(parameter) { known(parameter) } else { Ok(parameter.clone()) };
    let parameters = space.parameters().iter().map(parameter).collect::<Result<_, _>>()?;
    Space::new(parameters).map_err(|error| space_error("the space", error))
}

fn known(
    target: &str,
    parameter: &Parameter,
    settings: &BTreeMap<String, Setting>,
    restarts: bool,
) -> Result<Parameter, TargetError> {
    let name = &parameter.spec.name;
    forbidden(target, name, hard::postgres(name))?;
    let setting = settings.get(name);
    may_set(name, setting, restarts).map_err(|what| ActuateError::refused(target, name, what))?;
    let mut known = standing(target, parameter, setting.map_or("", |setting| &setting.value))?;
    known.spec.cost = setting.and_then(postgres::cost).unwrap_or(ApplyCost::Reload);
    Ok(known)
}

/// The parameter with its default where it stands, unless the space says another or does not reach there.
fn standing(target: &str, parameter: &Parameter, text: &str) -> Result<Parameter, TargetError> {
    let present = parse(target, &parameter.spec, text)?;
    let within = parameter.spec.check(&present).is_ok().then_some(present);
    Ok(Parameter { default: parameter.default.clone().or(within), ..parameter.clone() })
}

fn forbidden(
    target: &str,
    knob: &str,
    found: Option<(kandela_tune::space::Class, &'static str)>,
) -> Result<(), TargetError> {
    let Some((class, why)) = found else { return Ok(()) };
    let (target, knob, why) = (target.to_owned(), knob.to_owned(), why.to_owned());
    Err(ActuateError::Forbidden { target, knob, class, why }.into())
}

/// Whether a setting can be changed here by writing it.
pub(super) fn may_set(name: &str, setting: Option<&Setting>, restarts: bool) -> Result<(), String> {
    let Some(setting) = setting else { return Err("this server has no such setting".to_owned()) };
    if STRONGER.contains(&setting.source.as_str()) {
        let source = &setting.source;
        return Err(format!("its source is {source:?}, which goes before what ALTER SYSTEM writes"));
    }
    match postgres::cost(setting) {
        None => Err(format!("{name} was fixed when the server was built or its data were made")),
        Some(ApplyCost::Restart) if !restarts => {
            Err("it needs a restart; give a command that restarts the server, or leave it out".to_owned())
        }
        Some(_) => Ok(()),
    }
}

/// All that may be set: what is searched and what PGTune would set, each as wide as the server takes it.
fn widened(space: &Space, settings: &BTreeMap<String, Setting>) -> Result<Space, SpaceError> {
    let searched: Vec<&Parameter> =
        space.parameters().iter().filter(|parameter| is_searched(parameter)).collect();
    let names = searched.iter().map(|parameter| parameter.spec.name.as_str());
    let others = postgres::NAMED.into_iter().filter(|name| space.parameter(name).is_none());
    let mut all = postgres::settable(settings, names.chain(others));
    for own in searched {
        let wide = all.iter_mut().find(|parameter| parameter.spec.name == own.spec.name);
        let alike = |wide: &KnobType| std::mem::discriminant(wide) == std::mem::discriminant(&own.spec.kind);
        match wide {
            Some(wide) if alike(&wide.spec.kind) => {}
            // A switch for an enum, a whole number for a real one: as the user has it.
            Some(wide) => wide.spec.kind = own.spec.kind.clone(),
            None => all.push(Parameter { when: None, ..own.clone() }),
        }
    }
    Space::new(all)
}

/// The data directory, if what a restart that fails needs can be done there.
fn usable(folder: Option<&Path>) -> Result<&Path, String> {
    let Some(folder) = folder else {
        return Err("the server does not say where it is; give it".to_owned());
    };
    let file = folder.join("postgresql.auto.conf");
    std::fs::read(&file).map_err(|e| {
        format!(
            "{} can't be read: {e}; run as the user that the server runs as, on its machine",
            file.display()
        )
    })?;
    let fault =
        |e| format!("{} can't be written to: {e}; run as the user that the server runs as", folder.display());
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(fault)?;
    Ok(folder)
}

fn free(folder: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(folder).ok()?;
    system.f_bavail.checked_mul(system.f_frsize)
}

fn described(name: &str, postgres: Option<PostgresConfig>, redis: Option<RedisConfig>) -> TargetConfig {
    TargetConfig {
        name: name.to_owned(),
        http: None,
        split: None,
        postgres,
        redis,
        file: None,
        environment: None,
        replicas: None,
        kubernetes: None,
    }
}

/// No knob at all: to ask a server how it stands.
fn nothing(address: &Address) -> Result<Space, TargetError> {
    Space::new(Vec::new()).map_err(|error| space_error(&address.name, error))
}

fn space_error(target: &str, error: SpaceError) -> TargetError {
    TargetError::Space { target: target.to_owned(), error }
}

fn opened(error: crate::actuator::ConfigError) -> TargetError {
    TargetError::Open(error.into())
}
