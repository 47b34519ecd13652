//! Reading a config and the files that it names.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kandela_config::{Config, ConfigErrors, Warning, strict};

/// A config as it takes effect, and what in it has no effect.
pub(crate) struct Loaded {
    pub config: Config,
    pub warnings: Vec<Warning>,
}

/// What is wrong with a config's text, apart from files that cannot be read.
pub(crate) type Checked = Result<Loaded, ConfigErrors>;

/// Reads a config file and the job files that it names. Under `strict`, what has no effect is an error.
///
/// # Errors
/// When a file cannot be read; what is wrong within is in the [`Checked`].
pub(crate) fn load(file: &Path, is_strict: bool) -> anyhow::Result<Checked> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let (mut config, mut warnings) =
        match kandela_config::parse(&text, &file.display().to_string(), &|name| std::env::var(name).ok()) {
            Ok(read) => read,
            Err(errors) => return Ok(Err(errors)),
        };
    let folder = file.parent().unwrap_or(Path::new("."));
    config.resolve_paths(folder);
    for jobs in job_files(&config.scrape_config_files)? {
        let text = std::fs::read_to_string(&jobs).with_context(|| format!("reading {}", jobs.display()))?;
        let folder = jobs.parent().unwrap_or(Path::new("."));
        match config.add_scrape_config_file(&text, &jobs.display().to_string(), folder) {
            Ok(more) => warnings.extend(more),
            Err(errors) => return Ok(Err(errors)),
        }
    }
    Ok(if is_strict { strict(&warnings) } else { Ok(()) }.map(|()| Loaded { config, warnings }))
}

/// The files that paths with at most one `*` in their last segment name, in a fixed order.
fn job_files(patterns: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for pattern in patterns {
        let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some((before, after)) = name.split_once('*') else {
            files.push(pattern.clone());
            continue;
        };
        let folder = pattern.parent().unwrap_or(Path::new("."));
        let entries = std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("listing {}", folder.display()))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let long_enough = name.len() >= before.len() + after.len();
            if long_enough && name.starts_with(before) && name.ends_with(after) {
                found.push(path);
            }
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_files_are_found_by_their_pattern_and_become_jobs() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("kandela.yaml", "scrape_config_files: ['jobs-*.yml']\n");
        write("jobs-b.yml", "scrape_configs: [{job_name: b}]\n");
        write("jobs-a.yml", "scrape_configs: [{job_name: a}]\n");
        write("other.yml", "not a job file");
        let loaded = load(&folder.path().join("kandela.yaml"), true).unwrap().unwrap();
        let names: Vec<_> = loaded.config.scrape_configs.iter().map(|job| job.job_name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn what_has_no_effect_is_an_error_only_when_strict() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, "tracing: {endpoint: 'localhost:4317'}\n").unwrap();
        assert_eq!(load(&file, false).unwrap().unwrap().warnings.len(), 1);
        assert!(load(&file, true).unwrap().is_err());
    }
}
