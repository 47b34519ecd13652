//! What the `regex` crate takes and RE2 refuses, in RE2's words.

use regex_syntax::ast::{
    self, Ast, Flag, FlagsItemKind, GroupKind, HexLiteralKind, LiteralKind, RepetitionKind,
};

/// The most repetitions, also of a repetition in others.
const MAX_REPEAT: u32 = 1_000;

/// Checks an expression that the crate has read; `text` is what it has read.
pub(super) fn check(expr: &Ast, text: &str) -> Result<(), String> {
    ast::visit(expr, Dialect { text, left: vec![MAX_REPEAT] })
}

struct Dialect<'a> {
    text: &'a str,
    /// How often what is in a repetition may still be repeated, for each repetition around this place.
    left: Vec<u32>,
}

impl Dialect<'_> {
    fn refused<T>(&self, what: &str, from: &ast::Span, through: &ast::Span) -> Result<T, String> {
        let text = self.text.get(from.start.offset..through.end.offset).unwrap_or_default();
        Err(format!("{what}: `{text}`"))
    }

    fn flags(&self, flags: &ast::Flags) -> Result<(), String> {
        let foreign = flags.items.iter().find(|item| {
            let known = [Flag::CaseInsensitive, Flag::MultiLine, Flag::DotMatchesNewLine, Flag::SwapGreed];
            matches!(item.kind, FlagsItemKind::Flag(flag) if !known.contains(&flag))
        });
        foreign.map_or(Ok(()), |item| {
            self.refused("invalid or unsupported Perl syntax", &flags.span, &item.span)
        })
    }

    fn repetition(&mut self, repetition: &ast::Repetition) -> Result<(), String> {
        let op = &repetition.op;
        if let Ast::Repetition(inner) = &*repetition.ast {
            return self.refused("invalid nested repetition operator", &inner.op.span, &op.span);
        }
        let left = self.left.last().copied().unwrap_or(MAX_REPEAT);
        let counts = match &op.kind {
            RepetitionKind::Range(ast::RepetitionRange::Bounded(_, most)) => *most,
            RepetitionKind::Range(
                ast::RepetitionRange::Exactly(count) | ast::RepetitionRange::AtLeast(count),
            ) => *count,
            _ => 1,
        };
        if counts > left {
            return self.refused("invalid repeat count", &op.span, &op.span);
        }
        self.left.push(left.checked_div(counts).unwrap_or(MAX_REPEAT));
        Ok(())
    }

    fn literal(&self, literal: &ast::Literal) -> Result<(), String> {
        match literal.kind {
            LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
            | LiteralKind::HexBrace(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong) => {
                self.refused("invalid escape sequence", &literal.span, &literal.span)
            }
            _ => Ok(()),
        }
    }
}

fn is_word(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl ast::Visitor for Dialect<'_> {
    type Output = ();
    type Err = String;

    fn finish(self) -> Result<(), String> {
        Ok(())
    }

    fn visit_pre(&mut self, expr: &Ast) -> Result<(), String> {
        match expr {
            Ast::Repetition(repetition) => self.repetition(repetition),
            Ast::Flags(flags) => self.flags(&flags.flags),
            // `\b` was written so.
            Ast::Group(group) if matches!(&*group.ast, Ast::Assertion(_)) => Ok(()),
            Ast::Group(group) => match &group.kind {
                GroupKind::NonCapturing(flags) => self.flags(flags),
                GroupKind::CaptureName { name, .. } if !is_word(&name.name) => {
                    self.refused("invalid named capture", &name.span, &name.span)
                }
                _ => Ok(()),
            },
            Ast::Literal(literal) => self.literal(literal),
            _ => Ok(()),
        }
    }

    fn visit_post(&mut self, expr: &Ast) -> Result<(), String> {
        if let Ast::Repetition(_) = expr {
            self.left.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), String> {
        match item {
            ast::ClassSetItem::Literal(literal) => self.literal(literal),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::re2::{Whole, anchored, search};

    #[test]
    fn what_re2_refuses_is_refused_in_its_words() {
        for (pattern, reason) in [
            ("a**", "invalid nested repetition operator: `**`"),
            ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
            ("a*??", "invalid nested repetition operator: `*??`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("(?:a{100}){11}", "invalid repeat count: `{100}`"),
            ("(?x) a", "invalid or unsupported Perl syntax: `x`"),
            ("(?iu:a)", "invalid or unsupported Perl syntax: `iu`"),
            (r"\u0041", r"invalid escape sequence: `\u0041`"),
            (r"[\u{41}]", r"invalid escape sequence: `\u{41}`"),
            ("(?P<a.b>a)", "invalid named capture: `a.b`"),
            ("(?P<é>a)", "invalid named capture: `é`"),
        ] {
            let whole = Whole::new(pattern).map(drop);
            for refused in [anchored(pattern).map(drop), search(pattern).map(drop), whole] {
                let error = refused.expect_err(pattern);
                assert!(error.ends_with(reason), "{pattern}: {error}");
            }
        }
    }

    #[test]
    fn what_re2_takes_is_taken() {
        for pattern in [
            "(?:a*)*",
            "a*?",
            "(?:a{100}){10}",
            "(a{0}){1000}",
            "(?imU-s:a)",
            r"\x{41}\x41",
            r"\bb\B",
            "(?P<a_1>a)",
        ] {
            assert!(anchored(pattern).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn escaped_angles_are_plain() {
        assert!(anchored(r"\<a\>[\<\>]").unwrap().is_match("<a>>"));
    }
}
