//! A conversation with the tuner, line by line: each is answered in JSON or refused in JSON, and a refused one changes nothing.
#![no_main]

use kandela_tune::ask_tell::{Conversation, error_line};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Lines after which a conversation says nothing new.
const LINES: usize = 16;

fuzz_target!(|text: &[u8]| {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let mut conversation = Conversation::new();
    for line in text.lines().take(LINES) {
        let was_open = conversation.is_open();
        let answer = match conversation.hear(line) {
            Ok(answer) => answer,
            Err(error) => {
                assert_eq!(conversation.is_open(), was_open);
                Some(error_line(&error))
            }
        };
        if let Some(answer) = answer {
            serde_json::from_str::<Value>(&answer).expect("an answer is JSON");
        }
    }
});
