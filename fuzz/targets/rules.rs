//! Rule files: whatever the text, an answer that can be shown; every byte of an expression stands somewhere in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match kandela_config::rules::read(text, "fuzz.yaml") {
        Ok((file, warnings)) => {
            warnings.iter().for_each(|warning| drop(warning.to_string()));
            let lines = text.split(['\n', '\r']).count();
            for rule in file.groups.iter().flat_map(|group| &group.rules) {
                let expr = &rule.expr;
                for offset in 0..=expr.text().len() {
                    assert!(expr.place(offset).line <= lines, "{offset} of {:?}", expr.text());
                }
            }
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
