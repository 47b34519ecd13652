//! Regular expressions of selectors: lists, beginnings and automata match what one automaton would.
#![no_main]

use kandela_config::re2::{Whole, anchored};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, text) = input;
    match (anchored(pattern), Whole::new(pattern)) {
        (Ok(one), Ok(whole)) => {
            assert_eq!(whole.is_match(text), one.is_match(text), "{pattern:?} {text:?}");
            for value in whole.values().unwrap_or_default() {
                assert!(one.is_match(value), "{pattern:?} {value:?}");
            }
        }
        (Err(one), Err(whole)) => assert!(!one.is_empty() && !whole.is_empty()),
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => assert!(error.contains("is too large"), "{error}"),
    }
});
