//! Reading a page from front to back: names, quoted strings, tokens.

use super::error::{Fault, Quote};

const METRIC_START: u8 = 1;
const METRIC: u8 = 2;
const LABEL_START: u8 = 4;
const LABEL: u8 = 8;

/// Which of the four classes above each byte belongs to.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => METRIC_START | METRIC | LABEL_START | LABEL,
            b':' => METRIC_START | METRIC,
            b'0'..=b'9' => METRIC | LABEL,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// A quoted string without its quotes, as the page has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'p> {
    pub(super) raw: &'p str,
    /// Whether a backslash is in it.
    pub(super) escaped: bool,
}

/// A place in a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'p> {
    page: &'p str,
    at: usize,
}

impl<'p> Cursor<'p> {
    pub(super) fn new(page: &'p str) -> Self {
        Self { page, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.page.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.page.as_bytes().get(self.at).copied()
    }

    /// Reads `byte` if it comes next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Reads `word` if it comes next.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// Reads blanks and tabs; whether there were any.
    pub(super) fn skip_blanks(&mut self) -> bool {
        let from = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at > from
    }

    /// The metric name that comes next; empty where none does.
    pub(super) fn metric_name(&mut self) -> &'p str {
        self.run(METRIC_START, METRIC)
    }

    /// The label name that comes next; empty where none does.
    pub(super) fn label_name(&mut self) -> &'p str {
        self.run(LABEL_START, LABEL)
    }

    fn run(&mut self, first: u8, later: u8) -> &'p str {
        let rest = self.rest();
        let len = match rest.first() {
            Some(&byte) if is(byte, first) => {
                rest.iter().position(|&byte| !is(byte, later)).unwrap_or(rest.len())
            }
            _ => 0,
        };
        self.take(len)
    }

    /// What stands before the next blank or line end.
    pub(super) fn token(&mut self) -> &'p str {
        let rest = self.rest();
        self.take(rest.iter().position(|&byte| matches!(byte, b' ' | b'\n')).unwrap_or(rest.len()))
    }

    /// What stands before the next blank, tab, brace or line end.
    pub(super) fn loose_token(&mut self) -> &'p str {
        let rest = self.rest();
        let end = rest.iter().position(|&byte| matches!(byte, b' ' | b'\t' | b'\n' | b'{'));
        self.take(end.unwrap_or(rest.len()))
    }

    /// What stands before the next line end, which stays unread.
    pub(super) fn line(&mut self) -> &'p str {
        let rest = self.rest();
        self.take(memchr::memchr(b'\n', rest).unwrap_or(rest.len()))
    }

    /// The quoted string whose opening quote comes next. Text 0.0.4 lets strings run over line ends (`multiline`).
    pub(super) fn quoted(&mut self, multiline: bool) -> Result<Quoted<'p>, Fault> {
        const ADVICE: &str =
            "end it with a double quote, and write a line feed as \\n and a backslash as \\\\";
        let start = self.at;
        self.at += 1;
        let inside = self.rest();
        let mut escaped = false;
        let mut len = 0;
        loop {
            match inside.get(len) {
                Some(b'"') => break,
                Some(b'\\') if !matches!(inside.get(len + 1), None | Some(b'\n')) => {
                    escaped = true;
                    len += 2;
                }
                Some(b'\n') if !multiline => return Err(Fault::new(start, "unfinished string", ADVICE)),
                None | Some(b'\\') => return Err(Fault::new(start, "unfinished string", ADVICE)),
                Some(_) => len += 1,
            }
        }
        let raw = self.take(len);
        self.at += 1;
        Ok(Quoted { raw, escaped })
    }

    /// What comes next, as an error quotes it.
    pub(super) fn upcoming(&self) -> String {
        let mut ahead = *self;
        match (ahead.line(), self.is_at_end()) {
            (_, true) => "the end of the page".to_owned(),
            ("", false) => "a line end".to_owned(),
            (line, false) => Quote(line).to_string(),
        }
    }

    fn rest(&self) -> &'p [u8] {
        self.page.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, len: usize) -> &'p str {
        let taken = self.page.get(self.at..self.at + len).unwrap_or_default();
        self.at += len;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_where_its_characters_do() {
        let mut cursor = Cursor::new("a:b_1{x");
        assert_eq!(cursor.metric_name(), "a:b_1");
        assert!(cursor.eat(b'{'));
        assert_eq!(cursor.label_name(), "x");
        assert!(cursor.is_at_end());
        assert_eq!(Cursor::new("1a").metric_name(), "");
        assert_eq!(Cursor::new(":a").label_name(), "");
    }

    #[test]
    fn a_quoted_string_knows_whether_it_is_escaped() {
        let plain = Cursor::new("\"añ\" 1").quoted(false).unwrap();
        assert_eq!((plain.raw, plain.escaped), ("añ", false));
        let escaped = Cursor::new(r#""a\"ñ\\" 1"#).quoted(false).unwrap();
        assert_eq!((escaped.raw, escaped.escaped), (r#"a\"ñ\\"#, true));
    }

    #[test]
    fn a_string_without_end_is_a_fault_at_its_start() {
        for page in ["\"a", "\"a\\", "\"a\n\"", "\"a\\\n\"", "\""] {
            assert!(Cursor::new(page).quoted(false).is_err(), "{page:?}");
        }
        assert_eq!(Cursor::new("\"a\n\"").quoted(true).unwrap().raw, "a\n");
    }
}
