//! Whether a template of an alert can be read: Go's `text/template`, with the functions and variables that Prometheus gives
//! alerts. Nothing is expanded here.
//!
//! Source: <https://pkg.go.dev/text/template>,
//! <https://prometheus.io/docs/prometheus/latest/configuration/template_reference/>.

mod words;

use crate::read::nearest;
use words::{Word, WordKind, Words};

/// How deep parentheses and blocks may nest.
const MAX_DEPTH: usize = 100;

/// What every alert's template may use.
const VARIABLES: [&str; 5] = ["$", "$labels", "$externalLabels", "$externalURL", "$value"];

/// Go's own functions, then Prometheus'.
const FUNCTIONS: [&str; 48] = [
    "and",
    "call",
    "eq",
    "ge",
    "gt",
    "html",
    "index",
    "js",
    "le",
    "len",
    "lt",
    "ne",
    "not",
    "or",
    "print",
    "printf",
    "println",
    "slice",
    "urlquery",
    "args",
    "externalURL",
    "first",
    "graphLink",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "label",
    "match",
    "now",
    "parseDuration",
    "pathPrefix",
    "query",
    "reReplaceAll",
    "safeHtml",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toDuration",
    "toLower",
    "toTime",
    "toUpper",
    "urlQueryEscape",
    "value",
];

/// What is wrong with a template, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) message: String,
}

impl Fault {
    fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }
}

/// Checks a template.
///
/// # Errors
/// The first thing that is wrong, in the words of Go's templates.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    let mut words = Words::new(text);
    let next = words.next()?;
    let variables = VARIABLES.map(str::to_owned).to_vec();
    Checker { words, next, variables, blocks: Vec::new(), depth: 0 }.template()
}

struct Checker<'t> {
    words: Words<'t>,
    next: Word,
    variables: Vec<String>,
    blocks: Vec<Block>,
    depth: usize,
}

/// What `{{end}}` ends.
struct Block {
    kind: BlockKind,
    had_else: bool,
    /// The variables that hold again behind it.
    outer: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    If,
    Range,
    With,
    /// `define` or `block`, which know no variables from outside.
    Template,
}

/// What an operand is: literals do nothing, so a pipeline may not go on with one.
#[derive(PartialEq, Eq)]
enum Operand {
    Literal,
    Executable,
}

type Checked<T = ()> = Result<T, Fault>;

impl<'t> Checker<'t> {
    fn template(mut self) -> Checked {
        while self.next.kind != WordKind::End {
            self.advance()?;
            self.skip_space()?;
            self.action()?;
        }
        if self.blocks.is_empty() { Ok(()) } else { Err(self.fault("unexpected EOF")) }
    }

    fn text(&self) -> &'t str {
        self.words.text.get(self.next.span.clone()).unwrap_or_default()
    }

    fn advance(&mut self) -> Checked {
        self.next = self.words.next()?;
        Ok(())
    }

    fn skip_space(&mut self) -> Checked {
        while self.next.kind == WordKind::Space {
            self.advance()?;
        }
        Ok(())
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.next.span.start, message)
    }

    fn unexpected(&self, context: &str) -> Fault {
        let shown = match self.next.kind {
            WordKind::End => "EOF".to_owned(),
            WordKind::Keyword => format!("<{}>", self.text()),
            _ => format!("{:?}", self.text()),
        };
        self.fault(format!("unexpected {shown} in {context}"))
    }

    /// What stands between `{{` and `}}`, with the closing one.
    fn action(&mut self) -> Checked {
        if self.next.kind != WordKind::Keyword {
            self.pipeline("command")?;
            return self.close("command");
        }
        match self.text() {
            "if" => self.begin(BlockKind::If, "if"),
            "range" => self.begin(BlockKind::Range, "range"),
            "with" => self.begin(BlockKind::With, "with"),
            "else" => self.other(),
            "end" => self.end(),
            word @ ("break" | "continue") => {
                if !self.blocks.iter().any(|block| block.kind == BlockKind::Range) {
                    return Err(self.fault(format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                self.advance()?;
                self.close(word)
            }
            "template" => {
                self.template_name("template clause")?;
                if self.next.kind != WordKind::Close {
                    self.pipeline("template clause")?;
                }
                self.close("template clause")
            }
            "block" => {
                self.template_name("block clause")?;
                self.pipeline("block clause")?;
                self.close("block clause")?;
                self.open_template()
            }
            "define" if self.blocks.is_empty() => {
                self.template_name("define clause")?;
                self.close("define clause")?;
                self.open_template()
            }
            _ => Err(self.unexpected("command")),
        }
    }

    fn close(&mut self, context: &str) -> Checked {
        self.skip_space()?;
        if self.next.kind == WordKind::Close { self.advance() } else { Err(self.unexpected(context)) }
    }

    fn push(&mut self, kind: BlockKind, outer: Vec<String>) -> Checked {
        if self.blocks.len() >= MAX_DEPTH {
            return Err(self.fault(format!("blocks nest deeper than {MAX_DEPTH} levels")));
        }
        self.blocks.push(Block { kind, had_else: false, outer });
        Ok(())
    }

    fn begin(&mut self, kind: BlockKind, word: &str) -> Checked {
        self.push(kind, self.variables.clone())?;
        self.advance()?;
        self.pipeline(word)?;
        self.close(word)
    }

    fn open_template(&mut self) -> Checked {
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        self.push(BlockKind::Template, outer)
    }

    fn other(&mut self) -> Checked {
        let unexpected = self.fault("unexpected {{else}}");
        self.advance()?;
        self.skip_space()?;
        let word = if self.next.kind == WordKind::Keyword { self.text() } else { "" };
        match self.blocks.last_mut() {
            Some(Block { had_else: true, .. }) => {
                return Err(Fault { message: "expected end; found {{else}}".to_owned(), ..unexpected });
            }
            None | Some(Block { kind: BlockKind::Template, .. }) => return Err(unexpected),
            Some(block) => {
                // `{{else if}}` goes on in the same block.
                let goes_on = matches!((block.kind, word), (BlockKind::If, "if") | (BlockKind::With, "with"));
                block.had_else = !goes_on;
                if goes_on {
                    self.advance()?;
                    self.pipeline(word)?;
                }
            }
        }
        self.close("else")
    }

    fn end(&mut self) -> Checked {
        let Some(block) = self.blocks.pop() else { return Err(self.fault("unexpected {{end}}")) };
        self.variables = block.outer;
        self.advance()?;
        self.close("end")
    }

    /// The quoted name behind `template`, `define` or `block`.
    fn template_name(&mut self, context: &str) -> Checked {
        self.advance()?;
        self.skip_space()?;
        if self.next.kind != WordKind::String {
            return Err(self.unexpected(context));
        }
        self.string()?;
        self.skip_space()
    }

    /// `$x := command | command`, up to what ends it.
    fn pipeline(&mut self, context: &str) -> Checked {
        if self.depth >= MAX_DEPTH {
            return Err(self.fault(format!("parentheses nest deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let first_of_command = self.declarations(context)?;
        let mut commands = 0;
        if let Some(first) = first_of_command {
            self.command(Some(first))?;
            commands += 1;
        }
        loop {
            self.skip_space()?;
            match self.next.kind {
                WordKind::Close | WordKind::RightParen => break,
                WordKind::End
                | WordKind::Open
                | WordKind::Space
                | WordKind::Keyword
                | WordKind::Declare
                | WordKind::Assign
                | WordKind::Pipe
                | WordKind::Other => return Err(self.unexpected(context)),
                _ => {
                    let start = self.next.span.start;
                    commands += 1;
                    if self.command(None)? == Operand::Literal && commands > 1 {
                        let message = format!("non executable command in pipeline stage {commands}");
                        return Err(Fault::new(start, message));
                    }
                }
            }
        }
        self.depth -= 1;
        if commands == 0 { Err(self.fault(format!("missing value for {context}"))) } else { Ok(()) }
    }

    /// Reads the variables that a pipeline sets; gives a variable that turned out to begin its first command.
    fn declarations(&mut self, context: &str) -> Checked<Option<Word>> {
        let mut declared = 0;
        loop {
            self.skip_space()?;
            if self.next.kind != WordKind::Variable {
                return Ok(None);
            }
            let (variable, name) = (self.next.clone(), self.text());
            self.advance()?;
            // A field behind a variable belongs to it; a blank ends it.
            let adjacent = self.next.kind;
            if adjacent == WordKind::Space {
                let mut ahead = self.words.clone();
                let mut next = ahead.next()?;
                while next.kind == WordKind::Space {
                    next = ahead.next()?;
                }
                if !self.sets(&next) {
                    return Ok(Some(variable));
                }
                self.skip_space()?;
            }
            match self.next.kind {
                WordKind::Declare | WordKind::Assign => {
                    self.variables.push(name.to_owned());
                    self.advance()?;
                    return Ok(None);
                }
                WordKind::Other if self.text() == "," => {
                    declared += 1;
                    if context != "range" || declared > 1 {
                        return Err(self.fault(format!("too many declarations in {context}")));
                    }
                    self.variables.push(name.to_owned());
                    self.advance()?;
                    self.skip_space()?;
                    if self.next.kind != WordKind::Variable {
                        return Err(self.fault("range can only initialize variables"));
                    }
                }
                _ => return Ok(Some(variable)),
            }
        }
    }

    fn sets(&self, word: &Word) -> bool {
        let text = self.words.text.get(word.span.clone()).unwrap_or_default();
        matches!(word.kind, WordKind::Declare | WordKind::Assign) || text == ","
    }

    /// Operands with blanks between, and the pipe behind them; gives what the first is.
    fn command(&mut self, first: Option<Word>) -> Checked<Operand> {
        let mut leading = None;
        if let Some(variable) = first {
            self.check_variable(&variable)?;
            self.fields(&Operand::Executable, "")?;
            leading = Some(Operand::Executable);
        }
        loop {
            if leading.is_none() || self.next.kind == WordKind::Space {
                self.skip_space()?;
                if let Some(operand) = self.operand()? {
                    leading.get_or_insert(operand);
                }
            }
            match self.next.kind {
                WordKind::Space => {}
                WordKind::Pipe => {
                    self.advance()?;
                    break;
                }
                WordKind::Close | WordKind::RightParen => break,
                _ => return Err(self.unexpected("operand")),
            }
        }
        leading.ok_or_else(|| self.fault("empty command"))
    }

    /// A term and the fields behind it, if one stands here.
    fn operand(&mut self) -> Checked<Option<Operand>> {
        let text = self.text();
        let operand = match self.next.kind {
            WordKind::Identifier => {
                self.check_function()?;
                Operand::Executable
            }
            WordKind::Variable => {
                let variable = self.next.clone();
                self.check_variable(&variable)?;
                Operand::Executable
            }
            WordKind::Field => Operand::Executable,
            WordKind::Dot | WordKind::Nil | WordKind::Bool | WordKind::Number => Operand::Literal,
            WordKind::Character | WordKind::String => {
                self.string()?;
                self.fields(&Operand::Literal, text)?;
                return Ok(Some(Operand::Literal));
            }
            WordKind::LeftParen => {
                self.advance()?;
                self.pipeline("parenthesized pipeline")?;
                if self.next.kind != WordKind::RightParen {
                    return Err(self.unexpected("parenthesized pipeline"));
                }
                Operand::Executable
            }
            _ => return Ok(None),
        };
        self.advance()?;
        self.fields(&operand, text)?;
        Ok(Some(operand))
    }

    fn fields(&mut self, of: &Operand, text: &str) -> Checked {
        if self.next.kind == WordKind::Field && *of == Operand::Literal {
            return Err(self.fault(format!("unexpected . after term {text:?}")));
        }
        while self.next.kind == WordKind::Field {
            self.advance()?;
        }
        Ok(())
    }

    fn check_variable(&self, variable: &Word) -> Checked {
        let name = self.words.text.get(variable.span.clone()).unwrap_or_default();
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        let known = self.variables.iter().map(String::as_str);
        let hint = hint(name, known);
        Err(Fault::new(variable.span.start, format!("undefined variable {name:?}{hint}")))
    }

    fn check_function(&self) -> Checked {
        let name = self.text();
        if FUNCTIONS.contains(&name) {
            return Ok(());
        }
        Err(self.fault(format!("function {name:?} not defined{}", hint(name, FUNCTIONS.iter().copied()))))
    }

    /// A string or character, whose escapes must be Go's.
    fn string(&mut self) -> Checked {
        let text = self.text();
        let quote = text.chars().next().unwrap_or('`');
        let mut rest = text.chars().skip(1);
        let mut characters = 0;
        while let Some(c) = rest.next().filter(|c| *c != quote) {
            characters += 1;
            let digits = match c {
                '\\' if quote != '`' => rest.next().and_then(|escape| digits_of(escape, quote)),
                _ => Some((0, 10)),
            };
            let valid = digits.is_some_and(|(digits, radix)| {
                (0..digits).all(|_| rest.next().is_some_and(|digit| digit.is_digit(radix)))
            });
            if !valid {
                return Err(self.fault("invalid syntax"));
            }
        }
        if quote == '\'' && characters != 1 {
            return Err(self.fault(format!("malformed character constant: {text}")));
        }
        self.advance()
    }
}

/// How many digits of which base follow the escape of this character; nothing where there is no such escape.
fn digits_of(escape: char, quote: char) -> Option<(usize, u32)> {
    match escape {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => Some((0, 10)),
        c if c == quote => Some((0, 10)),
        'x' => Some((2, 16)),
        'u' => Some((4, 16)),
        'U' => Some((8, 16)),
        '0'..='7' => Some((2, 8)),
        _ => None,
    }
}

fn hint<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    nearest(name, known).map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_alerts_are_read() {
        for text in [
            "",
            "no action, one } and one {",
            "{{ $labels.instance }} of {{$labels.job}} is at {{ $value | humanize }}",
            "{{- if gt $value 5.0 -}} high {{- else if eq $value 1.0 }} one {{ else }} low {{ end }}",
            "{{ with query \"up{job='x'}\" }}{{ . | first | value | printf \"%.2f\" }}{{ end }}",
            "{{ range $i, $s := query `up` }}{{ if $s }}{{ continue }}{{ end }}{{ $i }}{{ .Labels.job }}{{ end }}",
            "{{ range query \"up\" }}{{ .Value }}{{ break }}{{ else }}none{{ end }}",
            "{{ $x := 1 }}{{ $x = 2 }}{{ printf \"%d\\n\" $x }}",
            "{{/* a comment }} */}}{{ (index $labels \"a b\") | reReplaceAll \"(.*):.*\" \"$1\" }}",
            "{{ define \"t\" }}{{ . }}{{ end }}{{ template \"t\" $labels }}{{ block \"b\" . }}x{{ end }}",
            "{{ .Labels.x }}{{ $.Value }}{{ (first (query \"up\")).Value }}{{ humanize 0x1F }}{{ eq 'a' 'b' }}",
            "{{ $labels\n  .x }}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said_with_its_place() {
        for (text, offset, message) in [
            ("a {{ $labels.x", 14, "unclosed action"),
            ("{{ $value | humanise }}", 12, "function \"humanise\" not defined; did you mean \"humanize\"?"),
            ("{{ $label.x }}", 3, "undefined variable \"$label\"; did you mean \"$labels\"?"),
            ("{{ }}", 3, "missing value for command"),
            ("{{ $value } }}", 10, "unexpected \"}\" in operand"),
            ("{{ if true }}", 13, "unexpected EOF"),
            ("{{ end }}", 3, "unexpected {{end}}"),
            ("{{ else }}", 3, "unexpected {{else}}"),
            ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", 23, "expected end; found {{else}}"),
            ("{{ if }}x{{ end }}", 6, "missing value for if"),
            ("{{ \"x }}", 3, "unterminated quoted string"),
            ("{{ \"\\q\" }}", 3, "invalid syntax"),
            ("{{ (print 1 }}", 12, "unclosed left paren"),
            ("{{ print 1) }}", 10, "unexpected right paren"),
            ("{{ print 1 | 2 }}", 13, "non executable command in pipeline stage 2"),
            ("{{ $x+1 }}", 5, "bad character U+002B '+'"),
            ("{{ 1x }}", 3, "bad number syntax: \"1x\""),
            ("{{ break }}", 3, "{{break}} outside {{range}}"),
            ("{{/* x", 0, "unclosed comment"),
            ("{{ 1 .x }}{{ \"a\".x }}", 16, "unexpected . after term \"\\\"a\\\"\""),
            ("{{ template x }}", 12, "unexpected \"x\" in template clause"),
            ("{{ range $a, $b, $c := . }}{{ end }}", 15, "too many declarations in range"),
        ] {
            assert_eq!(check(text), Err(Fault::new(offset, message)), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(check(&format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000))).is_err());
        assert!(check(&"{{ if 1 }}".repeat(5_000)).is_err());
    }
}
