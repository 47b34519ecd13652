//! A file made from a template, and the service that reads it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use kandela_tune::Space;

use super::claim::Beside;
use super::command::Command;
use super::config::FileConfig;
use super::health::{Health, client};
use super::settings::{Reading, Settings, Texts, parse, spec_of, there_and_back};
use super::template::Template;
use super::{ActuateError, hard};

/// A file, the template that it is made from, and what has it read.
pub(crate) struct FileTemplate {
    target: String,
    template: PathBuf,
    file: PathBuf,
    check: Option<Command>,
    reload: Command,
    health: Option<Health>,
    client: reqwest::Client,
    space: Space,
    claim: Beside,
}

impl FileTemplate {
    pub(crate) fn new(config: &FileConfig) -> Result<FileTemplate, String> {
        if let Some(check) = &config.check
            && !check.mentions("candidate")
        {
            return Err("file: check does not name {{candidate}}, so it would check the old file".to_owned());
        }
        if let Some(health) = &config.health {
            health.check().map_err(|what| format!("file: {what}"))?;
        }
        let file = FileTemplate {
            target: format!("file {}", config.file.display()),
            template: config.template.clone(),
            file: config.file.clone(),
            check: config.check.clone(),
            reload: config.reload.clone(),
            health: config.health.clone(),
            client: client(Duration::from_secs(5))?,
            space: config.knobs.clone(),
            claim: Beside::of(&config.file),
        };
        let name = name_of(&file.file)?;
        for (knob, line) in file.template()?.lines() {
            if let Some((_, why)) = hard::line(&name, line) {
                let line = line.trim();
                return Err(format!(
                    "file: the line `{line} {{{{{knob}}}}}` of the template is never to be searched: {why}; write its value there"
                ));
            }
        }
        Ok(file)
    }

    fn template(&self) -> Result<Template, String> {
        let text = read_text(&self.template)?;
        Template::read(&text, &self.space)
            .map_err(|what| format!("template {}: {what}", self.template.display()))
    }

    fn texts(&self) -> Result<Texts, ActuateError> {
        self.stands()?.map_err(|what| {
            let made = self.template.display();
            let how = "make it from the template once, by hand, with values in the space's ranges";
            ActuateError::unreachable(&self.target, format!("{what}; {how} ({made})"))
        })
    }

    /// What the file says, or where it is not what the template gives.
    fn stands(&self) -> Result<Result<Texts, String>, ActuateError> {
        let unreachable = |reason: String| ActuateError::unreachable(&self.target, reason);
        let (template, text) =
            (self.template().map_err(unreachable)?, read_text(&self.file).map_err(unreachable)?);
        Ok(template.extract(&text, &self.space))
    }

    /// Writes down the values to put into a file that is somebody else's by now.
    fn propose(&self, texts: &Texts) -> Result<PathBuf, String> {
        let path = self.file.with_file_name(format!("{}.kandela-proposed", name_of(&self.file)?));
        let line = |(name, text): (&String, &Option<String>)| {
            format!("{name} = {}\n", text.as_deref().unwrap_or_default())
        };
        let lines: String = texts.iter().map(line).collect();
        replace(&path, lines.as_bytes())?;
        Ok(path)
    }

    async fn reread(&self) -> Result<(), String> {
        self.reload.run().await?;
        match &self.health {
            Some(health) => health.wait(&self.client).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Settings for FileTemplate {
    fn target(&self) -> &str {
        &self.target
    }

    fn space(&self) -> &Space {
        &self.space
    }

    async fn read(&self) -> Result<BTreeMap<String, Reading>, ActuateError> {
        let reading = |(name, set): (String, Option<String>)| {
            let text = set.as_deref().unwrap_or_default();
            let value = parse(&self.target, spec_of(&self.target, &self.space, &name)?, text)?;
            Ok((name, Reading { value, set }))
        };
        self.texts()?.into_iter().map(reading).collect()
    }

    fn longest_change(&self) -> Duration {
        let commands = [self.check.as_ref(), Some(&self.reload)].into_iter().flatten().map(Command::timeout);
        there_and_back(commands.chain(self.health.as_ref().map(Health::patience)))
    }

    async fn claim(&self) -> Result<(), ActuateError> {
        self.claim.claim(&self.target)
    }

    async fn is_free(&self) -> Result<(), ActuateError> {
        self.claim.is_free(&self.target)
    }

    async fn write(&self, texts: &Texts) -> Result<(), ActuateError> {
        let failed = |reason: String| ActuateError::failed(&self.target, reason);
        for name in texts.keys() {
            spec_of(&self.target, &self.space, name)?;
        }
        let mut all = self.texts()?;
        all.extend(texts.clone());
        let old = fs::read(&self.file).map_err(|e| failed(e.to_string()))?;
        let new = self.template().and_then(|template| template.render(&all)).map_err(failed)?;
        if let Some(check) = &self.check {
            let candidate = write_beside(&self.file, new.as_bytes()).map_err(failed)?;
            let checked = check.with("candidate", &candidate.display().to_string()).run().await;
            // Where the check failed, its error says more than one about the candidate would.
            let removed =
                fs::remove_file(&candidate).map_err(|e| format!("{} stays behind: {e}", candidate.display()));
            checked.and(removed).map_err(failed)?;
        }
        replace(&self.file, new.as_bytes()).map_err(failed)?;
        let Err(reason) = self.reread().await else { return Ok(()) };
        let back = match replace(&self.file, &old) {
            Ok(()) => self.reread().await,
            Err(error) => Err(error),
        };
        Err(match back {
            Ok(()) => failed(reason),
            Err(error) => ActuateError::unknown(
                &self.target,
                format!("{reason}; and after the old file was put back: {error}"),
            ),
        })
    }

    async fn restore(&self, texts: &Texts) -> Result<(), ActuateError> {
        let Err(what) = self.stands()? else { return self.write(texts).await };
        let proposal = self.propose(texts).map_err(|e| ActuateError::unreachable(&self.target, e))?;
        Err(ActuateError::Foreign {
            target: self.target.clone(),
            knob: texts.keys().cloned().collect::<Vec<_>>().join(", "),
            owner: format!("somebody else ({what})"),
            proposal: proposal.display().to_string(),
        })
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{} can't be read: {e}", path.display()))
}

/// Puts `bytes` in the place of a file, at once and for good: whoever opens it finds the old ones or the new ones, before a loss of
/// power and after. Owner and mode stay.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let new = write_beside(path, bytes)?;
    let fault = |e: std::io::Error| format!("{} can't be replaced: {e}", path.display());
    fs::rename(&new, path).map_err(fault)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, String> {
    let new = path.with_file_name(format!(".{}.kandela-new", name_of(path)?));
    let write = || {
        let mut file = File::create(&new)?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(fs::Permissions::from_mode(old.mode()))?;
            let own = file.metadata()?;
            if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
                chown(&new, Some(old.uid()), Some(old.gid()))?;
            }
        }
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e: std::io::Error| format!("{} can't be written: {e}", new.display()))?;
    Ok(new)
}

fn name_of(path: &Path) -> Result<String, String> {
    let name = path.file_name().ok_or_else(|| format!("{} is no file", path.display()))?;
    Ok(name.to_string_lossy().into_owned())
}
