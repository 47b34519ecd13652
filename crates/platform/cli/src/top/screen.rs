//! The terminal, taken for as long as something lives in it, and given back as it was.

use std::io::{self, IsTerminal as _, Stdout, Write as _};

use anyhow::Context as _;
use ratatui::backend::TermionBackend;
use ratatui::termion::cursor;
use ratatui::termion::event::Key as Pressed;
use ratatui::termion::input::TermRead as _;
use ratatui::termion::raw::{IntoRawMode as _, RawTerminal};
use ratatui::termion::screen::{AlternateScreen, IntoAlternateScreen as _, ToMainScreen};
use ratatui::{Frame, Terminal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Whether there is a terminal to draw on, and one that keys come from.
pub(crate) fn is_possible() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// To end.
    Quit,
    /// To have the picture stand still, or live again.
    Hold,
    /// Something else: the picture is drawn anew.
    Other,
}

/// A terminal that is drawn on. Dropped, it is as it was.
pub(crate) struct Screen {
    terminal: Terminal<TermionBackend<AlternateScreen<RawTerminal<Stdout>>>>,
    keys: UnboundedReceiver<Key>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Where there is none that can be taken.
    pub(crate) fn open() -> anyhow::Result<Screen> {
        let raw = io::stdout().into_raw_mode().context("taking the terminal")?;
        let screen = raw.into_alternate_screen().context("taking the terminal")?;
        let terminal = Terminal::new(TermionBackend::new(screen)).context("taking the terminal")?;
        tell_panics_on_the_main_screen();
        let (sender, keys) = unbounded_channel();
        // Reading a terminal blocks. The thread ends with the process, or with its last key.
        std::thread::spawn(move || {
            for pressed in io::stdin().keys() {
                let key = pressed.map_or(Key::Quit, meaning);
                if sender.send(key).is_err() {
                    return;
                }
            }
        });
        Ok(Screen { terminal, keys })
    }

    /// Draws all of it.
    ///
    /// # Errors
    /// Where the terminal takes nothing.
    pub(crate) fn draw(&mut self, with: impl FnOnce(&mut Frame<'_>)) -> anyhow::Result<()> {
        self.terminal.draw(with).context("drawing on the terminal")?;
        Ok(())
    }

    /// The next key.
    pub(crate) async fn key(&mut self) -> Key {
        self.keys.recv().await.unwrap_or(Key::Quit)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Leaving the other screen and raw mode is done by who holds them.
        let _ = self.terminal.show_cursor();
    }
}

/// What a panic says would be wiped away with the other screen.
fn tell_panics_on_the_main_screen() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let _ = write!(io::stdout(), "{ToMainScreen}{}", cursor::Show).and_then(|()| io::stdout().flush());
        before(panic);
    }));
}

fn meaning(pressed: Pressed) -> Key {
    match pressed {
        Pressed::Char('q') | Pressed::Esc | Pressed::Ctrl('c' | 'd') => Key::Quit,
        Pressed::Char(' ') => Key::Hold,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_wants_out_gets_out() {
        for pressed in [Pressed::Char('q'), Pressed::Esc, Pressed::Ctrl('c')] {
            assert_eq!(meaning(pressed), Key::Quit);
        }
        assert_eq!((meaning(Pressed::Char(' ')), meaning(Pressed::Char('x'))), (Key::Hold, Key::Other));
    }
}
