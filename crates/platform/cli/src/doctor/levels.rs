//! Which of the seven levels are on, and what turns on the next.

use std::time::Duration;

use kandela_config::Config;
use kandela_server::{Deployment, Level, Standing};

use super::surroundings::here;
use crate::output::{line, painted, width, wrapped};

const PATIENCE: Duration = Duration::from_secs(2);
/// Columns before what is said of a level.
const INDENT: usize = 24;

/// The ladder of the server that the config describes, or why that could not be asked; as without a server, where none listens there.
pub(super) async fn ladder(config: &Config) -> Result<Vec<Level>, String> {
    let at = here(config.kandela.listen.http);
    let tls = config.kandela.tls.is_some();
    let url = format!("{}://{at}/api/kandela/v1/levels", if tls { "https" } else { "http" });
    // A token goes to nobody who can't show a certificate, and over no network in the clear.
    let token = std::env::var("KANDELA_TOKEN").ok().filter(|_| tls || at.ip().is_loopback());
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy();
    let client =
        client.tls_danger_accept_invalid_certs(token.is_none()).build().map_err(|error| error.to_string())?;
    let mut request = client.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) if error.is_connect() && !tls => {
            return Ok(kandela_server::ladder(&Deployment::default()));
        }
        Err(error) => return Err(format!("{at} does not tell: {error}")),
    };
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("{at} answers {status}; KANDELA_TOKEN says who asks"));
    }
    answer
        .json()
        .await
        .map_err(|error| format!("what answers at {at} is no Kandela of this version: {error}"))
}

pub(super) fn print(levels: &Result<Vec<Level>, String>) {
    line("\nThe ladder");
    let levels = match levels {
        Ok(levels) => levels,
        Err(why) => return line(&format!("  not known: {why}")),
    };
    let room = width().saturating_sub(INDENT);
    for Level { level, name, standing, found, next } in levels {
        let mark = match standing {
            Standing::On => painted("●", 32),
            Standing::Off => "○".to_owned(),
            Standing::NotBuilt => "–".to_owned(),
        };
        let mut lines = wrapped(found, room).into_iter();
        line(&format!("{mark} {level} {name:<19} {}", lines.next().unwrap_or_default()));
        let next = next.as_deref().map(|next| wrapped(&format!("→ {next}"), room)).unwrap_or_default();
        lines.chain(next).for_each(|more| line(&format!("{:INDENT$}{more}", "")));
    }
}
