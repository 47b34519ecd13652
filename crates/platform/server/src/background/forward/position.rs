//! How far a receiver has taken everything.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

/// Log records under way. The position is the last record before which nothing is under way any more.
#[derive(Clone)]
pub(super) struct Position {
    file: PathBuf,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Records read of which some part is still under way, by sequence.
    open: BTreeMap<u64, usize>,
    read: u64,
    /// What the file says; nothing where there is none.
    saved: Option<u64>,
}

/// A part of a record that is under way until it is settled. One that is dropped unsettled holds the position back, so that
/// the next start sends its record again.
#[must_use]
pub(super) struct Part {
    seq: u64,
    state: Arc<Mutex<State>>,
}

impl Position {
    /// The position in a file; a file that is missing or unreadable stands for `otherwise`.
    pub(super) fn load(file: &Path, otherwise: u64) -> Self {
        let kept = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
        let done = kept.unwrap_or(otherwise);
        let state = State { open: BTreeMap::new(), read: done, saved: kept };
        Self { file: file.to_owned(), state: Arc::new(Mutex::new(state)) }
    }

    /// Every record up to here is done.
    pub(super) fn done(&self) -> u64 {
        let state = self.state.lock();
        state.open.first_key_value().map_or(state.read, |(oldest, _)| oldest - 1)
    }

    /// Notes that a record was read, and gives a part of it to hold while it is under way.
    pub(super) fn begin(&self, seq: u64) -> Part {
        let mut state = self.state.lock();
        state.read = state.read.max(seq);
        *state.open.entry(seq).or_default() += 1;
        Part { seq, state: self.state.clone() }
    }

    /// Writes the position to its file, whole or not at all.
    pub(super) fn save(&self) -> io::Result<()> {
        let done = self.done();
        if self.state.lock().saved == Some(done) {
            return Ok(());
        }
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, done.to_string())?;
        std::fs::rename(&beside, &self.file)?;
        self.state.lock().saved = Some(done);
        Ok(())
    }
}

impl Part {
    /// One more part of the same record.
    pub(super) fn another(&self) -> Self {
        *self.state.lock().open.entry(self.seq).or_default() += 1;
        Self { seq: self.seq, state: self.state.clone() }
    }

    /// The part has been taken, or refused for good.
    pub(super) fn settle(self) {
        let mut state = self.state.lock();
        if let Some(parts) = state.open.get_mut(&self.seq) {
            *parts -= 1;
            if *parts == 0 {
                state.open.remove(&self.seq);
            }
        }
    }
}

/// From which log sequence on each receiver still follows the log.
#[derive(Default)]
pub(crate) struct Followed(Mutex<BTreeMap<String, u64>>);

impl Followed {
    /// Notes that a receiver follows from `seq` on, and gives the earliest of all.
    pub(super) fn advance(&self, receiver: &str, seq: u64) -> u64 {
        let mut from = self.0.lock();
        from.insert(receiver.to_owned(), seq);
        from.values().copied().min().unwrap_or(seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_receiver_began_is_remembered_before_it_took_anything() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("receiver");
        Position::load(&file, 10).save().unwrap();
        assert_eq!(Position::load(&file, 99).done(), 10);
    }

    #[test]
    fn the_position_waits_for_the_slowest_part() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("forward/receiver");
        let position = Position::load(&file, 10);
        assert_eq!(position.done(), 10);
        let eleven = position.begin(11);
        let other_half = eleven.another();
        let twelve = position.begin(12);
        eleven.settle();
        twelve.settle();
        assert_eq!(position.done(), 10);
        other_half.settle();
        assert_eq!(position.done(), 12);
        drop(position.begin(13));
        assert_eq!(position.done(), 12, "what was not settled is sent again");
        position.save().unwrap();
        assert_eq!(Position::load(&file, 0).done(), 12);
    }
}
