//! OpenMetrics 1.0 text.
//!
//! This file is the grammar, in both readings of [`Strictness`]; what the specification demands beyond it is in `rules`.

use std::borrow::Cow;

use kandela_model::{METRIC_NAME, MetricBatch, MetricKind};

use super::cursor::Cursor;
use super::error::{ExpositionError, Fault, Quote};
use super::labels::{LineLabels, Text, unescape};
use super::number::{parse_number, parse_seconds};
use super::rules::{RuledSample, Rules};
use super::sink::{LineExemplar, LineSample, Sink, sort_labels};
use super::{Format, Notes, ParseOptions, Strictness};

pub(super) fn parse(
    body: &[u8],
    options: &ParseOptions,
    batch: &mut MetricBatch,
) -> Result<Notes, ExpositionError> {
    let page = simdutf8::compat::from_utf8(body).map_err(|error| {
        Fault::new(error.valid_up_to(), "bytes that are no UTF-8", "encode the page as UTF-8").locate(body)
    })?;
    let reader = Reader {
        cursor: Cursor::new(page),
        sink: Sink::new(Format::OpenMetrics, options, batch),
        rules: (options.strictness == Strictness::Spec).then(Rules::default),
        labels: LineLabels::default(),
        exemplar_labels: LineLabels::default(),
    };
    reader.read().map_err(|fault| fault.locate(body))
}

struct Reader<'p, 'b> {
    cursor: Cursor<'p>,
    sink: Sink<'p, 'b>,
    /// What the specification demands, where it is insisted on.
    rules: Option<Rules<'p>>,
    labels: LineLabels<'p>,
    exemplar_labels: LineLabels<'p>,
}

impl<'p> Reader<'p, '_> {
    fn read(mut self) -> Result<Notes, Fault> {
        loop {
            match self.cursor.peek() {
                None => {
                    let advice = "end the page with the line `# EOF`, so that a cut page is noticed";
                    return Err(Fault::new(self.cursor.at(), "the page does not end with # EOF", advice));
                }
                Some(b'#') => {
                    if self.metadata()? {
                        break;
                    }
                }
                Some(_) => self.sample()?,
            }
        }
        self.cursor.eat(b'\n');
        if !self.cursor.is_at_end() {
            let what = format!("{} follows # EOF", self.cursor.upcoming());
            return Err(Fault::new(self.cursor.at(), what, "end the page there"));
        }
        if let Some(rules) = self.rules {
            rules.finish()?;
        }
        self.sink.finish()
    }

    /// Reads a line that starts with `#`; whether it was the last one of the page.
    fn metadata(&mut self) -> Result<bool, Fault> {
        let at = self.cursor.at();
        if self.cursor.eat_word("# EOF") {
            return Ok(true);
        } else if self.cursor.eat_word("# TYPE ") {
            let (family, word) = self.metadata_line(at)?;
            let kind: MetricKind = word.parse().ok().filter(|_| word != "untyped").ok_or_else(|| {
                Fault::new(
                    at,
                    format_args!("{} is no metric type", Quote(word)),
                    "write unknown, gauge, counter, stateset, info, histogram, gaugehistogram or summary",
                )
            })?;
            if let (Some(rules), Cow::Borrowed(family)) = (&mut self.rules, &family) {
                rules.kind(at, family, kind)?;
            }
            self.sink.kind(family, kind);
        } else if self.cursor.eat_word("# HELP ") {
            let (family, help) = self.metadata_line(at)?;
            if let (Some(rules), Cow::Borrowed(family)) = (&mut self.rules, &family) {
                rules.help(at, family, help)?;
            }
            self.sink.help(family, unescape(help));
        } else if self.cursor.eat_word("# UNIT ") {
            let (family, unit) = self.metadata_line(at)?;
            check_unit(at, &family, unit)?;
            if let (Some(rules), Cow::Borrowed(family)) = (&mut self.rules, &family) {
                rules.unit(at, family, unit)?;
            }
            self.sink.unit(family, unit);
        } else {
            let what = format!("{} is neither metadata nor # EOF", self.cursor.upcoming());
            return Err(Fault::new(at, what, "OpenMetrics has no comments; remove the line"));
        }
        Ok(false)
    }

    /// The family and the text of a metadata line.
    fn metadata_line(&mut self, line_at: usize) -> Result<(Cow<'p, str>, &'p str), Fault> {
        let at = self.cursor.at();
        let family = match self.cursor.peek() {
            Some(b'"') if self.rules.is_none() => unescape(self.cursor.quoted(true)?.raw),
            _ => Cow::Borrowed(self.cursor.metric_name()),
        };
        if family.is_empty() {
            let what = format!("{} stands where a metric name belongs", self.cursor.upcoming());
            return Err(Fault::new(at, what, "start names with a letter, _ or :"));
        }
        if !self.cursor.eat(b' ') {
            let what = format!("{} follows the name {}", self.cursor.upcoming(), Quote(&family));
            return Err(Fault::new(self.cursor.at(), what, "write one blank between the name and the text"));
        }
        let text = self.cursor.line();
        if !self.cursor.eat(b'\n') {
            return Err(Fault::new(line_at, "the line has no end", "end each line with a line feed"));
        }
        Ok((family, text))
    }

    fn sample(&mut self) -> Result<(), Fault> {
        let at = self.cursor.at();
        self.labels.clear();
        self.exemplar_labels.clear();
        let name = self.cursor.metric_name();
        if !name.is_empty() {
            self.labels.push(Text::Page(METRIC_NAME), Text::Page(name));
        } else if self.rules.is_some() || self.cursor.peek() != Some(b'{') {
            let what = format!("a line starts with {}", self.cursor.upcoming());
            return Err(Fault::new(
                at,
                what,
                "start it with a metric name or #; empty lines are not allowed",
            ));
        }
        if self.cursor.eat(b'{') {
            let set = LabelSet { strict: self.rules.is_some(), nameless: name.is_empty(), exemplar: false };
            set.read(&mut self.cursor, &mut self.labels, at)?;
        }
        sort_labels(&mut self.labels, at)?;

        let value = self.number("value")?;
        let mut ts_text = None;
        let mut ts = None;
        let mut exemplar = None;
        if self.cursor.peek() == Some(b' ') && !self.exemplar_comes() {
            self.cursor.eat(b' ');
            let ts_at = self.cursor.at();
            let token = self.cursor.token();
            ts = Some(self.seconds(ts_at, token)?);
            ts_text = Some(token);
        }
        if self.exemplar_comes() {
            exemplar = Some(self.exemplar(at)?);
        }
        if !self.cursor.eat(b'\n') {
            let what = format!("{} follows the sample", self.cursor.upcoming());
            let advice = "end the line with a line feed right after the value, timestamp or exemplar";
            return Err(Fault::new(self.cursor.at(), what, advice));
        }

        if let Some(rules) = &mut self.rules {
            rules.sample(&RuledSample {
                at,
                name,
                labels: &self.labels,
                value,
                ts: ts_text,
                exemplar: exemplar.map(|exemplar| (exemplar.value, &self.exemplar_labels)),
            })?;
        }
        let sample = LineSample { at, value, ts };
        let landed = self.sink.sample(&mut self.labels, sample)?;
        if let Some(exemplar) = exemplar {
            self.sink.exemplar(landed, sample, &self.exemplar_labels, exemplar);
        }
        Ok(())
    }

    fn exemplar_comes(&self) -> bool {
        let mut ahead = self.cursor;
        ahead.eat_word(" # {")
    }

    fn exemplar(&mut self, line_at: usize) -> Result<LineExemplar, Fault> {
        self.cursor.eat_word(" # {");
        let set = LabelSet { strict: self.rules.is_some(), nameless: false, exemplar: true };
        set.read(&mut self.cursor, &mut self.exemplar_labels, line_at)?;
        sort_labels(&mut self.exemplar_labels, line_at)?;
        let value = self.number("value of the exemplar")?;
        let mut ts = None;
        if self.cursor.eat(b' ') {
            let at = self.cursor.at();
            let token = self.cursor.token();
            ts = Some(self.seconds(at, token)?);
        }
        Ok(LineExemplar { value, ts })
    }

    /// Reads one blank and a number.
    fn number(&mut self, of: &str) -> Result<f64, Fault> {
        let has_blank = self.cursor.eat(b' ');
        let at = self.cursor.at();
        if !has_blank {
            let what = format!("{} stands where a blank and the {of} belong", self.cursor.upcoming());
            return Err(Fault::new(at, what, "write one blank before the number"));
        }
        let token = self.cursor.token();
        parse_number(token).ok_or_else(|| {
            let what = if token.is_empty() {
                format!("{} stands where the {of} belongs", self.cursor.upcoming())
            } else {
                format!("{} is no number", Quote(token))
            };
            Fault::new(at, what, "give a decimal number, NaN, +Inf or -Inf after exactly one blank")
        })
    }

    fn seconds(&self, at: usize, token: &str) -> Result<kandela_model::Timestamp, Fault> {
        parse_seconds(token).ok_or_else(|| {
            let what = if token.is_empty() {
                format!("{} stands where a timestamp belongs", self.cursor.upcoming())
            } else {
                format!("{} is no timestamp", Quote(token))
            };
            Fault::new(at, what, "give decimal seconds since 1970, and no blank where there is no timestamp")
        })
    }
}

/// A unit is the last part of the family's name.
fn check_unit(at: usize, family: &str, unit: &str) -> Result<(), Fault> {
    let suffixed = family.strip_suffix(unit).is_some_and(|before| before.ends_with('_'));
    if unit.is_empty() || suffixed {
        return Ok(());
    }
    let what = format!("unit {} is no suffix of the name {}", Quote(unit), Quote(family));
    Err(Fault::new(at, what, "end the family's name with an underscore and the unit"))
}

/// How a label set is to be read.
struct LabelSet {
    strict: bool,
    /// Whether the metric's name has to stand in it.
    nameless: bool,
    exemplar: bool,
}

impl LabelSet {
    /// Reads what follows an opening brace, up to the closing one.
    fn read<'p>(
        mut self,
        cursor: &mut Cursor<'p>,
        labels: &mut LineLabels<'p>,
        line_at: usize,
    ) -> Result<(), Fault> {
        let mut may_close = true;
        while !(may_close && cursor.eat(b'}')) {
            let at = cursor.at();
            let name = match cursor.peek() {
                Some(b'"') if !self.strict => {
                    let quoted = cursor.quoted(true)?;
                    let text = labels.text(quoted);
                    if matches!(cursor.peek(), Some(b',' | b'}')) {
                        if !self.nameless || self.exemplar || quoted.raw.is_empty() {
                            let what = format!("{} stands where a label belongs", Quote(quoted.raw));
                            return Err(Fault::new(
                                at,
                                what,
                                "name the metric once, and give labels a value",
                            ));
                        }
                        self.nameless = false;
                        labels.push(Text::Page(METRIC_NAME), text);
                        cursor.eat(b',');
                        continue;
                    }
                    text
                }
                _ => Text::Page(cursor.label_name()),
            };
            if labels.resolve(name).is_empty() {
                let what = format!("{} stands where a label belongs", cursor.upcoming());
                return Err(Fault::new(
                    at,
                    what,
                    "write labels as name=\"value\", with no blank and no extra comma",
                ));
            }
            if !cursor.eat(b'=') || cursor.peek() != Some(b'"') {
                let what = format!("label {} has no quoted value", Quote(labels.resolve(name)));
                return Err(Fault::new(at, what, "write labels as name=\"value\""));
            }
            let value = cursor.quoted(false)?;
            let value = labels.text(value);
            labels.push(name, value);
            if cursor.eat(b',') {
                may_close = !self.strict;
            } else if cursor.peek() != Some(b'}') {
                let what = format!("{} stands where a comma or a brace belongs", cursor.upcoming());
                return Err(Fault::new(cursor.at(), what, "separate labels by commas and close the brace"));
            } else {
                may_close = true;
            }
        }
        if self.nameless {
            let advice = "name the metric: {\"name\"} or name{}";
            return Err(Fault::new(line_at, "a sample has no metric name", advice));
        }
        Ok(())
    }
}
