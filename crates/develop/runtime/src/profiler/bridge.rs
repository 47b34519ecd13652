//! Spans of the `tracing` crate, counted as operations.

use std::sync::Arc;

use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::TracedProfiler;
use super::emit::TARGET;
use super::future::Entry;
use super::local::{Core, Local};
use super::paths::PathId;
use super::stack::Paused;

/// A layer that counts every span of a program as an operation of a profiler, by the span's name: who already instruments gets
/// profiles for nothing.
///
/// A span belongs within its parent, else within the operation that is open on the thread; guards that begin while it is entered are
/// within it. Its time is from when it is made to when it is closed; in between, what it was not entered for is idle.
/// [`EnvFilter`](https://docs.rs/tracing-subscriber/0.3/tracing_subscriber/filter/struct.EnvFilter.html) or any other filter says
/// which spans count: `ProfilerLayer::new(&profiler).with_filter(…)`. A subscriber has one such layer; of two, the first counts.
///
/// ```
/// use kandela_runtime::profiler::{ProfilerLayer, TracedProfiler};
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let profiler = TracedProfiler::new();
/// let subscriber = tracing_subscriber::registry().with(ProfilerLayer::new(&profiler));
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info_span!("checkout").in_scope(|| drop(profiler.trace("pay")));
/// });
/// assert!(profiler.trace_summary().times(["checkout", "pay"]).is_some());
/// ```
#[derive(Clone)]
pub struct ProfilerLayer {
    core: Arc<Core>,
    _handle: TracedProfiler,
}

/// A span's operation, kept with the span.
struct Operation {
    path: PathId,
    /// None while it goes on a stack or off it; boxed, since it is moved for that.
    entry: Option<Box<Entry>>,
    entered: Option<Entered>,
}

/// Where a span is entered. Of several threads that are in one span at once, the first counts.
struct Entered {
    /// The number of the thread's part of the profiler.
    thread: u64,
    /// Its frame there.
    id: Option<u64>,
    /// How often it is entered there.
    times: usize,
}

impl ProfilerLayer {
    /// Counts for `profiler`.
    pub fn new(profiler: &TracedProfiler) -> ProfilerLayer {
        ProfilerLayer { core: profiler.core.clone(), _handle: profiler.clone() }
    }

    fn path_of_parent<S>(&self, span: &SpanRef<'_, S>, local: &Local) -> PathId
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        let known = span
            .scope()
            .skip(1)
            .find_map(|parent| parent.extensions().get::<Operation>().map(|operation| operation.path));
        let here = local.path();
        match known {
            // A guard that is open within the parent is nearer than the parent.
            Some(parent) if self.core.paths.is_within(here, parent) => here,
            Some(parent) => parent,
            None => here,
        }
    }
}

/// What this profiler shows as spans itself is not counted again.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET
}

impl<S> Layer<S> for ProfilerLayer
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if is_ours(attributes.metadata()) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let local = Local::of(&self.core);
        let within = if attributes.is_root() { PathId::ROOT } else { self.path_of_parent(&span, &local) };
        let path = local.path_of(within, attributes.metadata().name());
        let entry = Entry::new(self.core.clone(), Paused::begun(path, local.now()), None);
        // Another layer of this kind may have been here before: a span is an operation of one profiler.
        let mut extensions = span.extensions_mut();
        if extensions.get_mut::<Operation>().is_none() {
            extensions.insert(Operation { path, entry: Some(Box::new(entry)), entered: None });
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let local = Local::of(&self.core);
        let begin = |operation: &mut Operation| match &mut operation.entered {
            Some(entered) => {
                entered.times += usize::from(entered.thread == local.number());
                None
            }
            None => {
                let entry = operation.entry.take()?;
                operation.entered = Some(Entered { thread: local.number(), id: None, times: 1 });
                Some(entry)
            }
        };
        let Some(mut entry) = on(&span, begin).flatten() else { return };
        let frame = entry.resume(&local);
        on(&span, |operation| {
            operation.entry = Some(entry);
            operation.entered = Some(Entered { thread: local.number(), id: frame, times: 1 });
        });
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let local = Local::of(&self.core);
        let end = |operation: &mut Operation| {
            let entered = operation.entered.as_mut().filter(|entered| entered.thread == local.number())?;
            entered.times -= 1;
            if entered.times > 0 {
                return None;
            }
            entered.id.zip(operation.entry.take())
        };
        let Some((frame, mut entry)) = on(&span, end).flatten() else { return };
        entry.pause(&local, frame);
        on(&span, |operation| {
            operation.entry = Some(entry);
            operation.entered = None;
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let operation = span.extensions_mut().remove::<Operation>();
        if let Some(mut entry) = operation.and_then(|operation| operation.entry) {
            entry.finish_now();
        }
    }
}

/// Does something with a span's operation. The lock on the span's data is held meanwhile, so other layers must not be called.
fn on<S, T>(span: &SpanRef<'_, S>, action: impl FnOnce(&mut Operation) -> T) -> Option<T>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    span.extensions_mut().get_mut::<Operation>().map(action)
}
