//! An autopilot's ledger, one row's JSON a line: whatever rows say, its story and standing are told or refused, and stories are told twice alike.
#![no_main]

use kandela_autopilot::explain::{explain, status};
use kandela_autopilot::ledger::Entry;
use kandela_model::{Epoch, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let row = |(seq, payload): (u64, &str)| Entry {
        seq,
        at: Timestamp::from_millis(1_000 * seq as i64),
        epoch: Epoch(1),
        subject: "shop".to_owned(),
        verdict: None,
        payload: payload.to_owned(),
    };
    let rows: Vec<Entry> = (0..).zip(text.lines()).map(row).collect();
    if let Ok(status) = status(&rows) {
        assert!(serde_json::to_string(&status).is_ok());
        drop(status.to_string());
    }
    for proposal in 0..4 {
        if let Ok(story) = explain(&rows, proposal) {
            assert_eq!(explain(&rows, proposal).ok().map(|story| story.to_string()), Some(story.to_string()));
        }
    }
});
