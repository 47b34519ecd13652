//! OpenMetrics 1.0 conformance: pages that a parser has to accept, and pages that it has to refuse.
//!
//! Each case is a folder with `test.json` (`{"type": "text", "file": NAME, "shouldParse": BOOL}`) and the page that it
//! names, as in the `tests` folder of the OpenMetrics project.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use kandela_ingest::exposition::{Format, ParseOptions, parse_as};
use kandela_model::{MetricBatch, Timestamp};
use serde::Deserialize;

use crate::suite::Verdict;

const DESCRIPTION: &str = "test.json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    r#type: String,
    file: String,
    should_parse: bool,
}

/// The sub-folders that have a description.
pub(crate) fn cases(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        if entry.path().join(DESCRIPTION).is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

pub(crate) fn run(folder: &Path, name: &str) -> anyhow::Result<Verdict> {
    let case = folder.join(name);
    let description = fs::read_to_string(case.join(DESCRIPTION)).context("cannot read test.json")?;
    let description: Description = serde_json::from_str(&description).context("cannot read test.json")?;
    if description.r#type != "text" {
        bail!("test.json asks for type {:?}; only text is known", description.r#type);
    }
    let page = fs::read(case.join(&description.file))
        .with_context(|| format!("cannot read {}", description.file))?;

    let options = ParseOptions::spec(Timestamp::from_millis(0));
    let outcome = parse_as(Format::OpenMetrics, &page, &options, &mut MetricBatch::default());
    Ok(Verdict {
        passed: outcome.is_ok() == description.should_parse,
        expected: if description.should_parse { "accepted" } else { "refused" }.to_owned(),
        got: match outcome {
            Ok(_) => "accepted".to_owned(),
            Err(error) => format!("refused: {error}"),
        },
    })
}
