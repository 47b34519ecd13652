//! The labels of the line that is being read, without an allocation a label.

use std::borrow::Cow;

use kandela_model::METRIC_NAME;

use super::cursor::Quoted;

/// Text that stands in the page as it is meant, or that had to be rewritten.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'p> {
    Page(&'p str),
    /// A range of [`LineLabels::rewritten`].
    Rewritten(usize, usize),
}

/// Names and values of one line, the metric's name among them. It is cleared and used again for the next line.
#[derive(Debug, Default)]
pub(super) struct LineLabels<'p> {
    rewritten: String,
    pairs: Vec<(Text<'p>, Text<'p>)>,
}

impl<'p> LineLabels<'p> {
    pub(super) fn clear(&mut self) {
        self.rewritten.clear();
        self.pairs.clear();
    }

    pub(super) fn push(&mut self, name: Text<'p>, value: Text<'p>) {
        self.pairs.push((name, value));
    }

    /// The text that `quoted` means.
    pub(super) fn text(&mut self, quoted: Quoted<'p>) -> Text<'p> {
        if !quoted.escaped {
            return Text::Page(quoted.raw);
        }
        let from = self.rewritten.len();
        unescape_into(&mut self.rewritten, quoted.raw);
        Text::Rewritten(from, self.rewritten.len())
    }

    pub(super) fn resolve(&self, text: Text<'p>) -> &str {
        resolve(&self.rewritten, text)
    }

    /// Brings the labels into ascending order of names; the first name that stands twice, if one does.
    pub(super) fn sort(&mut self) -> Option<&str> {
        let Self { rewritten, pairs } = self;
        let name = |pair: &(Text<'p>, Text<'p>)| -> &str { resolve(rewritten, pair.0) };
        if !pairs.is_sorted_by(|a, b| name(a) <= name(b)) {
            pairs.sort_unstable_by(|a, b| resolve(rewritten, a.0).cmp(resolve(rewritten, b.0)));
        }
        self.pairs.windows(2).find_map(|pair| match pair {
            [a, b] if self.resolve(a.0) == self.resolve(b.0) => Some(self.resolve(a.0)),
            _ => None,
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (self.resolve(*name), self.resolve(*value)))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(n, value)| (n == name).then_some(value))
    }

    pub(super) fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or_default()
    }

    /// Gives the label `name` the value that `write` appends, unless it has it already.
    pub(super) fn rewrite(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        let from = self.rewritten.len();
        write(&mut self.rewritten);
        let to = self.rewritten.len();
        let Self { rewritten, pairs } = self;
        if let Some(pair) = pairs.iter_mut().find(|pair| resolve(rewritten, pair.0) == name) {
            if resolve(rewritten, pair.1) == rewritten.get(from..to).unwrap_or_default() {
                rewritten.truncate(from);
            } else {
                pair.1 = Text::Rewritten(from, to);
            }
        }
    }
}

fn resolve<'a>(rewritten: &'a str, text: Text<'a>) -> &'a str {
    match text {
        Text::Page(text) => text,
        Text::Rewritten(from, to) => rewritten.get(from..to).unwrap_or_default(),
    }
}

/// What the escapes of a label value, a quoted name or an OpenMetrics HELP mean. A backslash before anything but `n`, `"`
/// and `\` stands for itself.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    unescape_into(&mut out, raw);
    Cow::Owned(out)
}

/// What the escapes of a HELP line in text 0.0.4 mean: there a quote needs no backslash, so one before it stays.
pub(super) fn unescape_text_help(raw: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    expand(&mut out, raw, |c| matches!(c, 'n' | '\\'));
    Cow::Owned(out)
}

fn unescape_into(out: &mut String, raw: &str) {
    expand(out, raw, |c| matches!(c, 'n' | '"' | '\\'));
}

fn expand(out: &mut String, raw: &str, known: impl Fn(char) -> bool) {
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(escaped) if known(escaped) => out.push(escaped),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels<'p>(pairs: &[(&'p str, &'p str)]) -> LineLabels<'p> {
        let mut labels = LineLabels::default();
        for (name, value) in pairs {
            labels.push(Text::Page(name), Text::Page(value));
        }
        labels
    }

    #[test]
    fn escapes_mean_what_prometheus_takes_them_for() {
        assert_eq!(unescape(r#"a\"\\n\n\z\"#), "a\"\\n\n\\z\\");
        assert_eq!(unescape_text_help(r#"a\"\\n\n"#), "a\\\"\\n\n");
        assert!(matches!(unescape("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn sorting_finds_the_name_that_stands_twice() {
        assert_eq!(labels(&[("b", "1"), ("a", "2"), ("b", "3")]).sort(), Some("b"));
        let mut shuffled = labels(&[("b", "1"), ("a", "2"), ("__name__", "m")]);
        assert_eq!(shuffled.sort(), None);
        assert_eq!(shuffled.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["__name__", "a", "b"]);
    }

    #[test]
    fn a_rewritten_value_replaces_the_one_of_the_page() {
        let mut labels = labels(&[("__name__", "m"), ("le", "1")]);
        labels.rewrite("le", |out| out.push_str("1.0"));
        assert_eq!(labels.get("le"), Some("1.0"));
        labels.rewrite("le", |out| out.push_str("1.0"));
        assert_eq!(labels.get("le"), Some("1.0"));
        assert_eq!(labels.metric_name(), "m");
    }
}
