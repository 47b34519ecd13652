//! `file_sd_configs`: files that hold target groups in JSON or YAML. Label: `__meta_filepath`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use kandela_config::discovery::{FileSd, parse_target_groups};

use super::{TargetGroup, Updates, written_group};

/// How often files are looked at. Looking costs a `stat` a file; a file is read when that changed, and at the refresh interval.
const LOOK: Duration = Duration::from_secs(1);

/// The longest file that is read.
const MAX_FILE: u64 = 64 << 20;

/// Hands over the groups of all files, at once and whenever a file comes, goes or changes.
pub(super) async fn run(config: FileSd, updates: Updates) {
    let mut known = Known::default();
    let mut ticks = tokio::time::interval(LOOK.min(config.refresh_interval));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let files = config.files.clone();
        let refresh = config.refresh_interval;
        let looked = tokio::task::spawn_blocking(move || {
            let changed = known.look(&files, refresh);
            (known, changed)
        });
        match looked.await {
            Ok((looked, changed)) => {
                known = looked;
                if changed {
                    updates.send(known.groups());
                }
            }
            Err(panic) => {
                tracing::error!(%panic, "reading target files panicked");
                known = Known::default();
            }
        }
    }
}

/// What the files said when they were last read.
#[derive(Default)]
struct Known {
    files: BTreeMap<PathBuf, File>,
    read_all: Option<Instant>,
}

struct File {
    version: Version,
    groups: Vec<TargetGroup>,
}

/// By which a change is noticed.
type Version = (Option<SystemTime>, u64);

impl Known {
    /// Reads what has changed, or all when the refresh is due; whether anything is different now.
    fn look(&mut self, patterns: &[PathBuf], refresh: Duration) -> bool {
        let is_first = self.read_all.is_none();
        let is_due = self.read_all.is_none_or(|read| read.elapsed() >= refresh);
        if is_due {
            self.read_all = Some(Instant::now());
        }
        let paths: Vec<PathBuf> = patterns.iter().flat_map(|pattern| matching(pattern)).collect();
        let before = self.files.len();
        self.files.retain(|path, _| paths.contains(path));
        let mut changed = is_first || self.files.len() != before;
        for path in paths {
            changed |= self.look_at(path, is_due);
        }
        changed
    }

    fn look_at(&mut self, path: PathBuf, is_due: bool) -> bool {
        let version = version(&path);
        let known = self.files.get(&path);
        if !is_due && known.is_some_and(|known| known.version == version) {
            return false;
        }
        match read(&path) {
            Ok(groups) => {
                let changed = known.is_none_or(|known| known.groups != groups);
                self.files.insert(path, File { version, groups });
                changed
            }
            Err(reason) => {
                // What the file said before holds until it can be read again.
                tracing::warn!(file = %path.display(), reason, "a target file can't be read");
                self.files.entry(path).or_insert_with(|| File { version, groups: Vec::new() }).version =
                    version;
                false
            }
        }
    }

    fn groups(&self) -> Vec<TargetGroup> {
        self.files.values().flat_map(|file| file.groups.iter().cloned()).collect()
    }
}

fn version(path: &Path) -> Version {
    std::fs::metadata(path).map_or((None, 0), |metadata| (metadata.modified().ok(), metadata.len()))
}

fn read(path: &Path) -> Result<Vec<TargetGroup>, String> {
    if version(path).1 > MAX_FILE {
        return Err(format!("it is longer than {MAX_FILE} bytes; split it"));
    }
    let name = path.to_string_lossy();
    let text = std::fs::read_to_string(path).map_err(|error: io::Error| error.to_string())?;
    let groups = parse_target_groups(&text, &name).map_err(|errors| errors.to_string())?;
    let indexed = groups.iter().enumerate();
    let made = indexed.map(|(index, group)| {
        written_group(group, format!("{name}:{index}"), Some(("__meta_filepath", &name)))
    });
    made.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// The files that a path names whose last segment may hold `*`.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let Some(name) = pattern.file_name().and_then(|name| name.to_str()).filter(|name| name.contains('*'))
    else {
        return if pattern.exists() { vec![pattern.to_owned()] } else { Vec::new() };
    };
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(listing) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else { return Vec::new() };
    let names = listing.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<PathBuf> =
        names.filter(|file| is_match(name, file)).map(|file| pattern.with_file_name(file)).collect();
    found.sort();
    found
}

/// Whether `name` is `pattern` with something in the place of each `*`.
fn is_match(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn addresses(known: &Known) -> Vec<String> {
        let groups = known.groups();
        let targets = groups.iter().flat_map(|group| &group.targets);
        targets.map(|target| target.get("__address__").unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn json_and_yaml_are_read_and_labelled_with_their_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("a.json"),
            r#"[{"targets": ["a:1", "b:2"], "labels": {"env": "prod"}}]"#,
        )
        .unwrap();
        fs::write(folder.path().join("b.yml"), "- targets: ['c:3']\n- targets: ['d:4']\n").unwrap();
        let mut known = Known::default();
        let patterns = [folder.path().join("*.json"), folder.path().join("b.yml")];
        assert!(known.look(&patterns, Duration::from_secs(300)));
        assert_eq!(addresses(&known), ["a:1", "b:2", "c:3", "d:4"]);
        let groups = known.groups();
        assert_eq!(groups[0].labels.get("env"), Some("prod"));
        assert_eq!(groups[0].labels.get("__meta_filepath"), folder.path().join("a.json").to_str());
    }

    #[test]
    fn only_what_is_different_counts_as_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        let patterns = [folder.path().join("*.json")];
        fs::write(&file, r#"[{"targets": ["a:1"]}]"#).unwrap();
        let mut known = Known::default();
        assert!(known.look(&patterns, Duration::ZERO));
        assert!(!known.look(&patterns, Duration::ZERO));
        fs::write(&file, r#"[{"targets": ["a:1"]} ]"#).unwrap();
        assert!(!known.look(&patterns, Duration::from_secs(300)));
        fs::write(&file, r#"[{"targets": ["a:1", "b:2"]}]"#).unwrap();
        assert!(known.look(&patterns, Duration::from_secs(300)));
        fs::remove_file(&file).unwrap();
        assert!(known.look(&patterns, Duration::from_secs(300)));
        assert_eq!(addresses(&known), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_breaks_keeps_its_targets() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        fs::write(&file, r#"[{"targets": ["a:1"]}]"#).unwrap();
        let mut known = Known::default();
        known.look(std::slice::from_ref(&file), Duration::ZERO);
        fs::write(&file, r#"[{"targets": ["a:1""#).unwrap();
        assert!(!known.look(&[file], Duration::ZERO));
        assert_eq!(addresses(&known), ["a:1"]);
    }

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(is_match("*.json", "a.json"));
        assert!(is_match("a*c*.yml", "abcd.yml"));
        assert!(!is_match("a*.json", "b.json"));
        assert!(!is_match("*.json", "a.yml"));
        assert!(!is_match("ab*ba.json", "aba.json"));
        assert!(is_match("a.json", "a.json"));
        assert!(!is_match("a.json", "a.json5"));
    }
}
