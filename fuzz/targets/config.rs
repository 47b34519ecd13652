//! Config files: whatever the text, an answer that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let variable = |name: &str| (name.len() < 8).then(|| name.to_lowercase());
    match kandela_config::parse(text, "fuzz.yaml", &variable) {
        Ok((_, warnings)) => warnings.iter().for_each(|warning| drop(warning.to_string())),
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
