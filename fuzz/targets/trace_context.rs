//! Headers that interceptors read of a request: `traceparent`, `tracestate`, `grpc-timeout`. The first line is one, the rest the other.
#![no_main]

use kandela_runtime::intercept::timeout_header;
use kandela_runtime::trace_context::{LONGEST_STATE, MOST_MEMBERS, SpanContext, TraceParent, TraceState};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|headers: &[u8]| {
    let mut lines = headers.split(|byte| *byte == b'\n');
    let parent = lines.next().unwrap_or_default();
    let states: Vec<&[u8]> = lines.collect();
    if let Ok(context) = SpanContext::parse(parent, states.iter().copied()) {
        assert_eq!(TraceParent::parse(&context.parent.header()), Ok(context.parent));
    }
    if let Some(left) = timeout_header::parse(parent) {
        let again = timeout_header::parse(timeout_header::format(left).as_bytes()).expect("written by us");
        assert!(again <= left && left - again <= left / 10_000);
    }
    if let Ok(state) = TraceState::parse(states) {
        assert!(state.members().count() <= MOST_MEMBERS);
        assert_eq!(TraceState::parse([state.to_string().as_bytes()]), Ok(state.clone()));
        let header = state.header();
        assert!(header.len() <= LONGEST_STATE);
        TraceState::parse([header.as_bytes()]).expect("whole members only");
        if let Some((key, value)) = state.members().last() {
            let moved = state.with(key, value).expect("it was read");
            assert_eq!(moved.members().next(), Some((key, value)));
            assert_eq!(moved.members().count(), state.members().count());
        }
    }
});
