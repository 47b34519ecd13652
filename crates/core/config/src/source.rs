//! Where the characters of a scalar stand in its file, whatever YAML made of its quotes, escapes and line breaks.

use saphyr_parser::ScalarStyle;

use crate::error::Place;

/// Runs of a text's characters that stand side by side in the file: the byte where a run begins, and its place.
pub(crate) type Runs = Vec<(usize, Place)>;

/// A file's text, and where its lines begin.
pub(crate) struct SourceFile {
    text: String,
    lines: Vec<usize>,
}

impl SourceFile {
    pub(crate) fn new(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        // A carriage return alone ends a line too, in YAML.
        let bytes = text.as_bytes();
        let ends = |at: &usize| match bytes.get(*at) {
            Some(b'\n') => true,
            Some(b'\r') => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        let lines = std::iter::once(0).chain((0..bytes.len()).filter(ends).map(|at| at + 1)).collect();
        Self { text, lines }
    }

    /// Aligns `text`, a scalar's value, with the scalar in the file, which begins at `start`. Characters that are no blanks
    /// stand in both in the same order. Where they do not, all that is known is where the scalar begins.
    pub(crate) fn runs(&self, start: Place, style: ScalarStyle, text: &str) -> Runs {
        let source = self.at(start);
        source.and_then(|source| aligned(source, style, text)).unwrap_or_else(|| vec![(0, start)])
    }

    fn at(&self, place: Place) -> Option<Source<'_>> {
        let line = self.text.get(*self.lines.get(place.line.checked_sub(1)?)?..)?;
        let at = line.char_indices().nth(place.column.checked_sub(1)?).map_or(line.len(), |(at, _)| at);
        Some(Source { rest: line.get(at..)?, place })
    }
}

/// The place of the byte `offset` of the text that `runs` were made of.
pub(crate) fn place(runs: &Runs, text: &str, offset: usize) -> Option<Place> {
    let at = runs.partition_point(|(begin, _)| *begin <= offset).checked_sub(1)?;
    let (begin, place) = runs.get(at)?;
    let end = offset.min(text.len());
    let before = text.as_bytes().get(*begin..end).unwrap_or_default();
    let characters = before.iter().filter(|byte| !matches!(byte, 0x80..=0xbf)).count();
    Some(Place { line: place.line, column: place.column + characters })
}

fn aligned(mut source: Source<'_>, style: ScalarStyle, text: &str) -> Option<Runs> {
    let start = source.place;
    let has_properties = source.skip_properties();
    match style {
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => drop(source.take()?),
        // A block begins behind its header, unless an anchor or a tag stands before that.
        ScalarStyle::Literal | ScalarStyle::Folded if has_properties => source.skip_while(|c| c != '\n'),
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => {}
    }
    let mut runs: Runs = Vec::new();
    let mut expected: Option<Place> = None;
    for (offset, c) in text.char_indices() {
        if is_blank(c) {
            if let Some(place) = &mut expected {
                place.column += 1;
            }
            continue;
        }
        let (place, found) = source.next_visible(style)?;
        if found != c {
            return None;
        }
        if expected != Some(place) {
            runs.push((offset, place));
        }
        // An escape takes more columns than the character that it stands for.
        let next = Place { line: place.line, column: place.column + 1 };
        expected = (source.place == next).then_some(next);
    }
    match runs.first_mut() {
        Some(first) if first.0 > 0 => runs.insert(0, (0, start)),
        Some(_) => {}
        None => return None,
    }
    Some(runs)
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// What remains of a file, and where that begins.
struct Source<'a> {
    rest: &'a str,
    place: Place,
}

impl Source<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '\n' => self.place = Place { line: self.place.line + 1, column: 1 },
            '\r' if self.peek() != Some('\n') => {
                self.place = Place { line: self.place.line + 1, column: 1 };
            }
            _ => self.place.column += 1,
        }
        Some(c)
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.take();
        }
    }

    /// Skips an anchor and a tag, and tells whether there were any.
    fn skip_properties(&mut self) -> bool {
        let start = self.place;
        while matches!(self.peek(), Some('&' | '!')) {
            self.skip_while(|c| !is_blank(c));
            self.skip_while(is_blank);
        }
        self.place != start
    }

    /// The next character of the scalar that is no blank, and where it stands.
    fn next_visible(&mut self, style: ScalarStyle) -> Option<(Place, char)> {
        loop {
            let place = self.place;
            let c = match (style, self.take()?) {
                (ScalarStyle::DoubleQuoted, '\\') => self.escape()?,
                (ScalarStyle::SingleQuoted, '\'') => self.take()?,
                (_, c) => c,
            };
            if !is_blank(c) {
                return Some((place, c));
            }
        }
    }

    /// What the escape stands for whose backslash is read; a blank where the line goes on in the next.
    fn escape(&mut self) -> Option<char> {
        let digits = match self.take()? {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            'n' | 't' | 'r' | '\n' | '\r' | '\t' | ' ' => return Some(' '),
            '0' => return Some('\0'),
            'a' => return Some('\u{7}'),
            'b' => return Some('\u{8}'),
            'v' => return Some('\u{b}'),
            'f' => return Some('\u{c}'),
            'e' => return Some('\u{1b}'),
            'N' => return Some('\u{85}'),
            '_' => return Some('\u{a0}'),
            'L' => return Some('\u{2028}'),
            'P' => return Some('\u{2029}'),
            c => return Some(c),
        };
        let mut value = 0;
        for _ in 0..digits {
            value = value * 16 + self.take()?.to_digit(16)?;
        }
        char::from_u32(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where `wanted` of the value stands, of a file whose scalar begins behind `start`.
    fn found(
        file: &str,
        start: (usize, usize),
        style: ScalarStyle,
        text: &str,
        wanted: &str,
    ) -> (usize, usize) {
        let start = Place { line: start.0, column: start.1 };
        let runs = SourceFile::new(file).runs(start, style, text);
        let place = place(&runs, text, text.find(wanted).unwrap()).unwrap();
        (place.line, place.column)
    }

    #[test]
    fn lines_of_blocks_and_folded_lines_are_told_apart() {
        let file = "expr: |\n  sum(\n    foo) by\n  (job)\nfor: 5m\n";
        assert_eq!(found(file, (2, 3), ScalarStyle::Literal, "sum(\n  foo) by\n(job)\n", "foo"), (3, 5));
        assert_eq!(found(file, (2, 3), ScalarStyle::Literal, "sum(\n  foo) by\n(job)\n", "job"), (4, 4));
        let file = "expr: >- # why\n  sum(foo)\n  by (job)\n";
        assert_eq!(found(file, (2, 3), ScalarStyle::Folded, "sum(foo) by (job)", "by"), (3, 3));
        let file = "expr: sum(foo)\n  by (job)\n";
        assert_eq!(found(file, (1, 7), ScalarStyle::Plain, "sum(foo) by (job)", "(job"), (2, 6));
    }

    #[test]
    fn quotes_and_escapes_take_columns() {
        let file = "expr: 'a{b=''c''} x'\n";
        assert_eq!(found(file, (1, 7), ScalarStyle::SingleQuoted, "a{b='c'} x", "c"), (1, 14));
        assert_eq!(found(file, (1, 7), ScalarStyle::SingleQuoted, "a{b='c'} x", "x"), (1, 19));
        let file = "expr: \"a{b=\\\"c\\\"} x\"\n";
        assert_eq!(found(file, (1, 7), ScalarStyle::DoubleQuoted, "a{b=\"c\"} x", "x"), (1, 19));
        let file = "expr: &e !!str é == x\n";
        assert_eq!(found(file, (1, 7), ScalarStyle::Plain, "é == x", "x"), (1, 21));
    }

    #[test]
    fn a_carriage_return_ends_a_line() {
        let file = "a: b\rexpr: sum(x)\r  by (y)\r\nfor: 5m\n";
        assert_eq!(found(file, (2, 7), ScalarStyle::Plain, "sum(x) by (y)", "x"), (2, 11));
        assert_eq!(found(file, (2, 7), ScalarStyle::Plain, "sum(x) by (y)", "(y"), (3, 6));
    }

    #[test]
    fn the_end_of_a_text_is_behind_its_last_character() {
        let file = "expr: foo +\n";
        let start = Place { line: 1, column: 7 };
        let runs = SourceFile::new(file).runs(start, ScalarStyle::Plain, "foo +");
        assert_eq!(place(&runs, "foo +", 5), Some(Place { line: 1, column: 12 }));
    }
}
