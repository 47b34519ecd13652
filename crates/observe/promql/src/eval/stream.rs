//! Series that are computed one after the other, by as many threads as want to.
//!
//! A selector, and what changes each of its series for itself, is a stream: nobody holds all its columns. Whoever consumes it
//! folds each column away or keeps it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use kandela_model::Labels;

use super::annotations::{Annotations, Note};
use super::control::Control;
use super::value::{Column, Grid, Series};
use super::{Evaluated, failed};
use crate::ast::Span;

/// Columns of series, each computed when it is asked for.
pub(super) trait Stream: Sync {
    fn len(&self) -> usize;

    /// The labels of series `index`.
    fn labels(&self, index: usize) -> &Labels;

    /// Whether the name of series `index` is to go from the result.
    fn drops_name(&self, index: usize) -> bool;

    /// What computes columns on one thread.
    fn worker(&self) -> Box<dyn Worker + '_>;
}

/// Computes columns on one thread.
pub(super) trait Worker {
    /// Puts the values of series `index` into `column`, which is empty; whether there are any.
    fn fill(&mut self, index: usize, column: &mut Column, notes: &mut Annotations) -> Evaluated<bool>;
}

/// What a consumer of a stream runs under.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) control: &'a Control,
    pub(super) grid: Grid,
    pub(super) threads: usize,
}

/// Pieces of a stream for each thread, so that a slow one does not keep the others waiting.
const PIECES: usize = 4;
/// Columns times steps below which another thread costs more than it brings.
const WORTH_A_THREAD: usize = 20_000;
/// What reading a series costs at least, in steps.
const READING: usize = 100;

impl Run<'_> {
    /// Folds the columns of `stream`, piece by piece: `make` begins a piece, `take` adds a column that has a value. Gives the
    /// pieces in the order of the stream, so that the answer does not depend on which thread was faster.
    pub(super) fn fold<T: Send>(
        self,
        stream: &dyn Stream,
        notes: &mut Annotations,
        make: impl Fn() -> T + Sync,
        take: impl Fn(&mut T, usize, &mut Column) -> Evaluated<()> + Sync,
    ) -> Evaluated<Vec<T>> {
        let (len, steps) = (stream.len(), self.grid.count);
        self.control.room_for(steps)?;
        let threads = self.threads.min(len * (steps + READING) / WORTH_A_THREAD).max(1);
        let piece = if threads == 1 { len } else { len.div_ceil(threads * PIECES) }.max(1);
        let next = AtomicUsize::new(0);
        let work = || -> Evaluated<(Annotations, Vec<(usize, T)>)> {
            let mut worker = stream.worker();
            let mut column = Column::new(steps);
            let (mut notes, mut done) = (Annotations::default(), Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let start = number.saturating_mul(piece);
                if start >= len {
                    return Ok((notes, done));
                }
                let mut folded = make();
                for index in start..len.min(start + piece) {
                    self.control.check()?;
                    if worker.fill(index, &mut column, &mut notes)? {
                        take(&mut folded, index, &mut column)?;
                        column.clear();
                    }
                }
                done.push((number, folded));
            }
        };
        let mut pieces = Vec::new();
        let mut gather = |(of_thread, done): (Annotations, Vec<(usize, T)>)| {
            notes.extend(of_thread);
            pieces.extend(done);
        };
        if threads == 1 {
            gather(work()?);
        } else {
            let (first, others) = std::thread::scope(|scope| {
                let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
                let first = work();
                (first, others.into_iter().map(|other| other.join()).collect::<Vec<_>>())
            });
            gather(first?);
            for other in others {
                match other {
                    Ok(done) => gather(done?),
                    Err(_) => return failed("a thread of the query ended before its time"),
                }
            }
        }
        pieces.sort_by_key(|(number, _)| *number);
        Ok(pieces.into_iter().map(|(_, folded)| folded).collect())
    }

    /// All columns that have a value, in the order of the stream.
    pub(super) fn collect(self, stream: &dyn Stream, notes: &mut Annotations) -> Evaluated<Vec<Series>> {
        let pieces = self.fold(stream, notes, Vec::new, |kept: &mut Vec<Series>, index, column| {
            let held = column.held();
            self.control.hold(held.samples, held.bytes)?;
            let column = std::mem::replace(column, Column::new(self.grid.count));
            kept.push(Series {
                labels: stream.labels(index).clone(),
                drop_name: stream.drops_name(index),
                column,
            });
            Ok(())
        })?;
        Ok(pieces.into_iter().flatten().collect())
    }
}

/// Series that are there already.
pub(super) struct There(pub(super) Vec<Series>);

static NO_LABELS: LazyLock<Labels> = LazyLock::new(Labels::default);

impl Stream for There {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.0.get(index).map_or(&NO_LABELS, |one| &one.labels)
    }

    fn drops_name(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|one| one.drop_name)
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(self)
    }
}

impl Worker for &There {
    fn fill(&mut self, index: usize, column: &mut Column, _: &mut Annotations) -> Evaluated<bool> {
        let Some(one) = self.0.get(index) else { return Ok(false) };
        column.clone_from(one);
        Ok(true)
    }
}

/// What becomes of a column; whether anything is left.
pub(super) type Change<'a> = Box<dyn Fn(&mut Column, &mut Annotations) -> bool + Sync + 'a>;

/// A stream whose every column is changed.
pub(super) struct Changed<'a> {
    pub(super) inner: Box<dyn Stream + 'a>,
    pub(super) drops_name: bool,
    pub(super) change: Change<'a>,
}

impl Stream for Changed<'_> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.labels(index)
    }

    fn drops_name(&self, index: usize) -> bool {
        self.drops_name || self.inner.drops_name(index)
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(Changer { inner: self.inner.worker(), change: &self.change })
    }
}

struct Changer<'a> {
    inner: Box<dyn Worker + 'a>,
    change: &'a Change<'a>,
}

impl Worker for Changer<'_> {
    fn fill(&mut self, index: usize, column: &mut Column, notes: &mut Annotations) -> Evaluated<bool> {
        if !self.inner.fill(index, column, notes)? {
            return Ok(false);
        }
        let left = (self.change)(column, notes);
        if !left {
            column.clear();
        }
        Ok(left)
    }
}

/// Notes a function's remarks at its place.
pub(super) fn note_all(notes: &mut Annotations, told: Vec<Note>, span: Span) {
    told.into_iter().for_each(|note| notes.add(note, span));
}
