//! The optimiser on standard input and output.

use std::io::{self, BufRead as _, Write as _};

use anyhow::bail;
use kandela_tune::ask_tell::{Conversation, Misunderstood, error_line};

use crate::output::{Outcome, line};

/// Answers lines until there are no more.
///
/// # Errors
/// When the first line is not understood; later lines that are not are answered with what is wrong.
pub(super) fn serve() -> anyhow::Result<Outcome> {
    let mut conversation = Conversation::new();
    for heard in io::stdin().lock().split(b'\n') {
        let Ok(heard) = String::from_utf8(heard?) else {
            say(&error_line(&Misunderstood("a line is text in UTF-8; this one is not".to_owned())));
            continue;
        };
        if heard.trim().is_empty() {
            continue;
        }
        match conversation.hear(&heard) {
            Ok(None) => {}
            Ok(Some(answer)) => say(&answer),
            Err(error) => {
                say(&error_line(&error));
                if !conversation.is_open() {
                    bail!("{error}");
                }
            }
        }
    }
    Ok(Outcome::Done)
}

fn say(text: &str) {
    line(text);
    // What could not be said is told at the end.
    let _ = io::stdout().flush();
}
