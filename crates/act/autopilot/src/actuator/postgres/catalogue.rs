//! What PostgreSQL says of its settings, and how they lie in `postgresql.auto.conf`.

use kandela_model::{KnobSpec, KnobType};

use super::super::settings::Texts;

/// The settings of the names in `$1`, and what `ALTER SYSTEM` has written for each.
pub(super) const QUERY: &str = "\
    SELECT s.name, s.setting, s.unit, s.vartype, s.context, s.min_val, s.max_val, s.enumvals, s.pending_restart, s.source, \
           (SELECT f.setting FROM pg_file_settings f \
             WHERE lower(f.name) = lower(s.name) AND f.sourcefile LIKE '%postgresql.auto.conf' \
             ORDER BY f.seqno DESC LIMIT 1) AS set, \
           coalesce(s.sourcefile LIKE '%postgresql.auto.conf', false) AS from_auto_conf \
      FROM pg_settings s WHERE s.name = ANY($1)";

/// A session whose name is like `$1` and not `$3`; where `$2`, one that began before the one that asks. When another user's began is shown
/// to few, and it counts as earlier then.
pub(super) const WATCHDOGS: &str = "\
    SELECT a.application_name || ', from ' || coalesce(host(a.client_addr), 'the same machine') || ',', a.pid \
      FROM pg_stat_activity a, pg_stat_activity own \
     WHERE own.pid = pg_backend_pid() AND a.application_name LIKE $1 AND a.application_name <> $3 \
       AND (NOT $2 OR a.backend_start IS NULL OR (a.backend_start, a.pid) < (own.backend_start, own.pid)) \
     LIMIT 1";

/// One setting.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// In force for new sessions, in `unit`.
    pub(crate) setting: String,
    pub(crate) unit: Option<String>,
    pub(crate) vartype: String,
    /// Who may change it, and when it takes effect: `postmaster` at a restart, `sighup` at a reload, and so on.
    pub(crate) context: String,
    pub(crate) min: Option<String>,
    pub(crate) max: Option<String>,
    pub(crate) words: Option<Vec<String>>,
    pub(crate) pending_restart: bool,
    pub(crate) source: String,
    /// What `ALTER SYSTEM` has written.
    pub(crate) set: Option<String>,
    /// Whether what is in force came from there.
    pub(crate) from_auto_conf: bool,
}

impl Row {
    pub(super) fn read(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
        Ok(Row {
            name: row.try_get(0)?,
            setting: row.try_get(1)?,
            unit: row.try_get(2)?,
            vartype: row.try_get(3)?,
            context: row.try_get(4)?,
            min: row.try_get(5)?,
            max: row.try_get(6)?,
            words: row.try_get(7)?,
            pending_restart: row.try_get(8)?,
            source: row.try_get(9)?,
            set: row.try_get(10)?,
            from_auto_conf: row.try_get(11)?,
        })
    }

    /// Whether a knob of this type can stand for the setting.
    pub(super) fn fits(&self, spec: &KnobSpec) -> Result<(), String> {
        let fits = match (self.vartype.as_str(), &spec.kind) {
            ("integer", KnobType::Int { .. }) | ("bool", KnobType::Bool) => true,
            ("real", KnobType::Float { .. } | KnobType::Int { .. }) => true,
            ("enum" | "string", KnobType::Choice(_)) => true,
            // `wal_compression` and its like take words of which two read as a switch.
            ("enum", KnobType::Bool) => true,
            _ => false,
        };
        if fits {
            return Ok(());
        }
        Err(format!("the server has it as {}, and the space as {}", self.vartype, spec.kind))
    }

    /// Whether the server would take `text` as far as it tells; none is what it has by itself.
    pub(super) fn takes(&self, text: Option<&str>) -> Result<(), String> {
        if self.context == "internal" {
            return Err("it was fixed when the server was built or its data were made".to_owned());
        }
        let Some(text) = text else { return Ok(()) };
        let unit = self.unit.as_deref().map(|unit| format!(", in units of {unit}")).unwrap_or_default();
        match self.vartype.as_str() {
            "integer" | "real" => {
                // What ALTER SYSTEM wrote before may have a unit of its own; the server reads that.
                let Ok(number) = text.parse::<f64>() else { return Ok(()) };
                let bound = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
                let low = bound(&self.min).unwrap_or(f64::NEG_INFINITY);
                let high = bound(&self.max).unwrap_or(f64::INFINITY);
                if (low..=high).contains(&number) {
                    return Ok(());
                }
                Err(format!("{text} is outside what the server takes, {low} to {high}{unit}"))
            }
            "enum" => {
                let words = self.words.as_deref().unwrap_or_default();
                let switch = ["on", "off", "true", "false", "yes", "no", "1", "0"].contains(&text);
                if switch || words.iter().any(|word| word.eq_ignore_ascii_case(text)) {
                    return Ok(());
                }
                Err(format!("{text} is none of the server's words, {}", words.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

/// A value as a literal of SQL and of the configuration file alike.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `postgresql.auto.conf` with `texts` in it, and without the settings of which they say none.
pub(super) fn edit_auto_conf(file: &str, texts: &Texts) -> String {
    let name_of = |line: &str| {
        let name = line.split(['=', ' ', '\t']).find(|word| !word.is_empty()).unwrap_or_default();
        name.to_ascii_lowercase()
    };
    let mut edited: String = file
        .lines()
        .filter(|line| line.trim_start().starts_with('#') || !texts.contains_key(&name_of(line)))
        .map(|line| format!("{line}\n"))
        .collect();
    for (name, text) in texts {
        if let Some(text) = text {
            // The file, unlike SQL, reads backslashes.
            edited.push_str(&format!("{name} = {}\n", quote(&text.replace('\\', "\\\\"))));
        }
    }
    edited
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_settings_keeps_what_is_not_named() {
        let file = "# Do not edit this file manually!\nshared_buffers = '99999999'\nwork_mem='4096'\nport = '5433'\n";
        let texts = Texts::from([("shared_buffers".into(), None), ("work_mem".into(), Some("it's".into()))]);
        let expected = "# Do not edit this file manually!\nport = '5433'\nwork_mem = 'it''s'\n";
        assert_eq!(edit_auto_conf(file, &texts), expected);
    }

    #[test]
    fn a_number_outside_the_servers_range_is_told_with_range_and_unit() {
        let row = Row {
            vartype: "integer".into(),
            min: Some("16".into()),
            max: Some("1073741823".into()),
            unit: Some("8kB".into()),
            ..Row::default()
        };
        assert_eq!(row.takes(Some("128")), Ok(()));
        let error = row.takes(Some("3")).expect_err("below 16");
        assert_eq!(error, "3 is outside what the server takes, 16 to 1073741823, in units of 8kB");
    }
}
