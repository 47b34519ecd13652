//! A network that outlives the process.

use serde::{Deserialize, Serialize};

use super::normal::Normal;
use super::{Dqn, DqnError, Settings};

/// The version of [`Saved`] that this build writes and reads.
const VERSION: u32 = 1;

/// A network as a value: what it knows and how it learns, but not what it experienced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    version: u32,
    observation_len: usize,
    actions: usize,
    settings: Settings,
    observed: u64,
    normal: Normal,
    online: Vec<f32>,
    target: Vec<f32>,
}

impl Dqn {
    /// The network as a value, for [`Dqn::load`].
    pub fn save(&self) -> Saved {
        Saved {
            version: VERSION,
            observation_len: self.observation_len,
            actions: self.actions,
            settings: self.settings.clone(),
            observed: self.observed,
            normal: self.normal.clone(),
            online: self.online.clone(),
            target: self.target.clone(),
        }
    }

    /// The network that was saved. It acts as it did; it goes on learning once it has experienced enough anew, at the point of its
    /// schedules where it stood.
    ///
    /// # Errors
    /// [`DqnError`], where the value is of another version, or is no whole network.
    pub fn load(saved: Saved, seed: u64) -> Result<Dqn, DqnError> {
        let refuse = |what: String| Err(DqnError::Saved(what));
        if saved.version != VERSION {
            return refuse(format!(
                "it has version {}, this build reads {VERSION}; train anew",
                saved.version
            ));
        }
        let mut dqn = Dqn::new(saved.observation_len, saved.actions, saved.settings, seed)?;
        let weights = dqn.online.len();
        if saved.online.len() != weights || saved.target.len() != weights {
            let (online, target) = (saved.online.len(), saved.target.len());
            return refuse(format!(
                "its settings ask for {weights} weights, and it has {online} and {target}"
            ));
        }
        let moments = [&saved.normal.mean, &saved.normal.squares];
        if moments.iter().any(|moment| moment.len() != saved.observation_len) {
            return refuse(format!("it does not say how to normalise {} numbers", saved.observation_len));
        }
        if moments.into_iter().flatten().any(|number| !number.is_finite())
            || saved.online.iter().chain(&saved.target).any(|weight| !weight.is_finite())
        {
            return refuse("one of its numbers is not finite".to_owned());
        }
        dqn.observed = saved.observed;
        dqn.normal = saved.normal;
        dqn.online = saved.online;
        dqn.target = saved.target;
        Ok(dqn)
    }
}
