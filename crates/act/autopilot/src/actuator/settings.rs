//! Systems that hold settings but no leases.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use kandela_model::{KnobSpec, KnobType, KnobValue};
use kandela_tune::Space;
use kandela_tune::space::Class;

use super::{ActuateError, LONGEST_CALL};

/// What is set for each knob, as the system spells it; none where nothing is set and the system's own default holds.
pub type Texts = BTreeMap<String, Option<String>>;

/// A system whose settings can be read and written, and which keeps what was written until it is written again.
///
/// Only a watchdog writes ([`crate::watchdog`]); anybody may read.
#[async_trait]
pub trait Settings: Send + Sync {
    /// What it is, in words: `PostgreSQL at 127.0.0.1:5432`.
    fn target(&self) -> &str;

    /// Its knobs.
    fn space(&self) -> &Space;

    /// What the setting `name` decides that no search may, whatever a space says.
    fn hard(&self, _name: &str) -> Option<(Class, &'static str)> {
        None
    }

    /// Each knob that is not [hard](Self::hard): the value in force, and what is set for it.
    ///
    /// # Errors
    /// [`ActuateError`], where the system can't be asked, or shows a value that its knob can't have.
    async fn read(&self) -> Result<BTreeMap<String, Reading>, ActuateError>;

    /// Sets all of `texts` or none, and returns once they are in effect.
    ///
    /// # Errors
    /// [`ActuateError`]; every setting is then what it was, unless the error says [`ActuateError::Unknown`].
    async fn write(&self, texts: &Texts) -> Result<(), ActuateError>;

    /// Sets what was set before, by any means there is: the system may be down for what was written last.
    ///
    /// # Errors
    /// [`ActuateError`]; it is then tried again.
    async fn restore(&self, texts: &Texts) -> Result<(), ActuateError> {
        self.write(texts).await
    }

    /// How long a change may take, with the way back where it fails.
    fn longest_change(&self) -> Duration {
        LONGEST_CALL
    }

    /// Takes the system for this process, in a way that shows there, for as long as the process lives; again where that was lost.
    ///
    /// # Errors
    /// [`ActuateError::Held`], with the name of whoever has it.
    async fn claim(&self) -> Result<(), ActuateError> {
        Ok(())
    }

    /// Nobody but this process has claimed the system.
    ///
    /// # Errors
    /// [`ActuateError::Held`], or where the system can't be asked.
    async fn is_free(&self) -> Result<(), ActuateError> {
        Ok(())
    }

    /// Has what is in force now outlast the system's own restart, where that needs anything to be done.
    ///
    /// # Errors
    /// [`ActuateError`].
    async fn keep(&self) -> Result<(), ActuateError> {
        Ok(())
    }

    /// `value` of the knob `name` as the system spells it.
    fn spell(&self, _name: &str, value: &KnobValue) -> String {
        value.to_string()
    }
}

/// How long a change takes at most of which these `commands` are a part, once there and once back.
pub(crate) fn there_and_back(commands: impl IntoIterator<Item = Duration>) -> Duration {
    LONGEST_CALL + 2 * commands.into_iter().sum::<Duration>()
}

/// How one knob stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// In force.
    pub value: KnobValue,
    /// What is set, as the system spells it.
    pub set: Option<String>,
}

/// Reads what a system spells as a value of a knob. Switches may be `on`, `yes`, `true`, `1` and their opposites.
///
/// # Errors
/// Where `text` is nothing of the knob's type. A value out of the knob's range is one all the same: the system has it.
pub(crate) fn parse(target: &str, spec: &KnobSpec, text: &str) -> Result<KnobValue, ActuateError> {
    let text = text.trim();
    let value = match &spec.kind {
        KnobType::Int { .. } => text.parse().ok().map(KnobValue::Int),
        KnobType::Float { .. } => text.parse().ok().filter(|v: &f64| v.is_finite()).map(KnobValue::Float),
        KnobType::Bool => switch(text).map(KnobValue::Bool),
        KnobType::Choice(_) => Some(KnobValue::Choice(text.to_owned())),
    };
    value.ok_or_else(|| {
        ActuateError::refused(
            target,
            &spec.name,
            format!("it stands at {text:?}, and the space has it as {}", spec.kind),
        )
    })
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "1" => Some(true),
        "off" | "no" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// The knob of that name.
///
/// # Errors
/// [`ActuateError::NoKnob`].
pub(crate) fn spec_of<'a>(target: &str, space: &'a Space, name: &str) -> Result<&'a KnobSpec, ActuateError> {
    let found = space.parameter(name).map(|parameter| &parameter.spec);
    found.ok_or_else(|| ActuateError::NoKnob {
        target: target.to_owned(),
        knob: name.to_owned(),
        known: space.parameters().iter().map(|parameter| parameter.spec.name.clone()).collect(),
    })
}

/// Whether a system that shows `shown` may have been given `given`: some show six digits of a real number.
pub(crate) fn alike(given: &KnobValue, shown: &KnobValue) -> bool {
    match (given, shown) {
        (KnobValue::Float(a), KnobValue::Float(b)) => (a - b).abs() <= 1e-5 * a.abs().max(b.abs()),
        _ => given == shown,
    }
}

/// Whether `got`, which a system shows, is what `wanted` asked for: numbers by value, as systems spell them in their own way.
pub(crate) fn same(spec: &KnobSpec, wanted: &str, got: &str) -> bool {
    match (parse("", spec, wanted), parse("", spec, got)) {
        (Ok(KnobValue::Float(a)), Ok(KnobValue::Float(b))) => (a - b).abs() <= 1e-6 * a.abs().max(b.abs()),
        (Ok(KnobValue::Choice(a)), Ok(KnobValue::Choice(b))) => a.eq_ignore_ascii_case(&b),
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
