//! `alerting`: the Alertmanagers that alerts will be sent to. It is read and checked, and not acted on yet.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::discovery::{self, Discovery};
use crate::http_client::{self, HttpClient};
use crate::named::{NameValidation, named};
use crate::read::Fields;
use crate::relabel::{self, Rule};
use crate::scrape::Scheme;
use crate::units::serialize_duration;

/// Where alerts go.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Alerting {
    /// Rules for alerts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alert_relabel_configs: Vec<Rule>,
    /// Who gets them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alertmanagers: Vec<Alertmanager>,
}

named! {
    /// The version of Alertmanager's API.
    pub enum AlertmanagerApi {
        /// The only one that is left.
        V2 = "v2",
    }
}

/// A group of Alertmanagers that get the same alerts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Alertmanager {
    /// The scheme they are reached with.
    pub scheme: Scheme,
    /// What stands in front of the API's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// How long a request may take.
    #[serde(serialize_with = "serialize_duration")]
    pub timeout: Duration,
    /// The API's version.
    pub api_version: AlertmanagerApi,
    /// How to connect.
    #[serde(flatten)]
    pub client: HttpClient,
    /// Where they are found.
    #[serde(flatten)]
    pub discovery: Discovery,
    /// Rules for the Alertmanagers found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relabel_configs: Vec<Rule>,
    /// Rules for the alerts that this group gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alert_relabel_configs: Vec<Rule>,
}

impl Alerting {
    pub(crate) fn read(mut fields: Fields<'_>, names: NameValidation) -> Self {
        let alerting = Self {
            alert_relabel_configs: relabel::rules(&mut fields, "alert_relabel_configs", names),
            alertmanagers: fields.list("alertmanagers", |fields| alertmanager(fields, names)),
        };
        fields.finish(&[]);
        alerting
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The files that this names, to be resolved against the config's folder.
    pub(crate) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let mut paths = Vec::new();
        for Alertmanager { client, discovery, .. } in &mut self.alertmanagers {
            paths.extend(client.paths());
            paths.extend(discovery.paths());
        }
        paths
    }
}

fn alertmanager(mut fields: Fields<'_>, names: NameValidation) -> Alertmanager {
    let group = Alertmanager {
        scheme: fields.parse_word("scheme", Scheme::parse).unwrap_or(Scheme::Http),
        path_prefix: fields.word("path_prefix"),
        timeout: fields.period("timeout").unwrap_or(Duration::from_secs(10)),
        api_version: fields.parse("api_version", AlertmanagerApi::parse).unwrap_or(AlertmanagerApi::V2),
        client: HttpClient::read(&mut fields, true),
        discovery: Discovery::read(&mut fields),
        relabel_configs: relabel::rules(&mut fields, "relabel_configs", names),
        alert_relabel_configs: relabel::rules(&mut fields, "alert_relabel_configs", names),
    };
    if group.relabel_configs.is_empty() {
        group.discovery.check_static_targets(&fields);
    }
    fields.finish(&[&["sigv4"], http_client::NOT_SERVED, discovery::NOT_SERVED].concat());
    group
}
