//! All knobs of a process under their names: what an endpoint such as `GET /knobs` shows and `PUT /knobs` turns.

use std::collections::BTreeMap;
use std::sync::Arc;

use kandela_model::Knob;
use parking_lot::RwLock;

/// Knobs by name. Copies share one set.
#[derive(Clone, Default)]
pub struct Knobs {
    by_name: Arc<RwLock<BTreeMap<String, Arc<dyn Knob>>>>,
}

impl Knobs {
    /// No knobs yet.
    pub fn new() -> Knobs {
        Knobs::default()
    }

    /// Adds `knob`; one that had its name before is gone.
    pub fn add(&self, knob: Arc<dyn Knob>) {
        let name = knob.spec().name.clone();
        self.by_name.write().insert(name, knob);
    }

    /// The knob of that name.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Knob>> {
        self.by_name.read().get(name).cloned()
    }

    /// All knobs, in the order of their names.
    pub fn all(&self) -> Vec<Arc<dyn Knob>> {
        self.by_name.read().values().cloned().collect()
    }
}
