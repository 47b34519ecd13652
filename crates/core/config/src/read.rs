//! Typed reading of a YAML tree.
//!
//! A reader asks a mapping for the keys that it knows. Whatever was asked for is, by that, a known key; what remains in
//! [`Fields::finish`] is either a key that Prometheus knows and Kandela does not serve, or unknown. Nothing here stops at
//! the first error: a value that can't be read is reported and taken as absent, so one run reports all there is to mend.

use std::cell::RefCell;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{ConfigError, ConfigErrors, Ignored, Place, Problem, Warning};
use crate::source::{Runs, SourceFile};
use crate::units::{parse_duration, parse_size};
use crate::yaml::{self, Entry, Node, Value};

/// More errors than a person would read are not kept.
const MAX_ERRORS: usize = 100;

/// What one run of reading reports.
pub(crate) struct Report {
    file: Arc<str>,
    source: SourceFile,
    errors: RefCell<Vec<ConfigError>>,
    warnings: RefCell<Vec<Warning>>,
}

/// A node, its key path, and where to report what is wrong with it.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    report: &'a Report,
    node: &'a Node,
    /// Where the key stands that this is the value of, or the node itself.
    place: Place,
    path: String,
}

/// A mapping of which keys are being asked for.
pub(crate) struct Fields<'a> {
    item: Item<'a>,
    entries: &'a [Entry],
    asked: Vec<&'static str>,
}

/// Reads the first document of `text` with `read`, which gets the document's root.
pub(crate) fn document<T>(
    file: &str,
    text: &str,
    read: impl FnOnce(Item<'_>) -> T,
) -> Result<(T, Vec<Warning>), ConfigErrors> {
    let report = Report {
        file: file.into(),
        source: SourceFile::new(text),
        errors: RefCell::default(),
        warnings: RefCell::default(),
    };
    let error = |(place, problem)| {
        ConfigErrors(vec![ConfigError { file: file.into(), place, path: String::new(), problem }])
    };
    let document = yaml::load(text).map_err(error)?;
    let nothing = yaml::load("~").map_err(error)?;
    let Some(node) = document.root.as_ref().or(nothing.root.as_ref()) else {
        let problem = Problem::Syntax("the document has no content".to_owned());
        return Err(error((Place { line: 1, column: 1 }, problem)));
    };
    let root = Item { report: &report, node, place: node.place, path: String::new() };
    if let Some(place) = document.second {
        Item { place, ..root.clone() }.warn(Ignored::SecondDocument);
    }
    let value = read(root);
    let mut errors = report.errors.into_inner();
    if errors.is_empty() {
        let mut warnings = report.warnings.into_inner();
        warnings.sort_by_key(|warning| warning.place);
        return Ok((value, warnings));
    }
    errors.sort_by_key(|error| error.place);
    Err(ConfigErrors(errors))
}

impl Report {
    fn is_full(&self) -> bool {
        self.errors.borrow().len() >= MAX_ERRORS
    }
}

impl<'a> Item<'a> {
    /// Reports that this value is wrong.
    pub(crate) fn error(&self, problem: Problem) {
        let Self { report, place, path, .. } = self;
        if report.is_full() {
            return;
        }
        report.errors.borrow_mut().push(ConfigError {
            file: report.file.clone(),
            place: *place,
            path: path.clone(),
            problem,
        });
    }

    /// Reports that this value is wrong, in a sentence.
    pub(crate) fn invalid(&self, message: impl Into<String>) {
        self.error(Problem::Invalid(message.into()));
    }

    /// Reports that this value has no effect.
    pub(crate) fn warn(&self, reason: Ignored) {
        let Self { report, place, path, .. } = self;
        report.warnings.borrow_mut().push(Warning {
            file: report.file.clone(),
            place: *place,
            path: path.clone(),
            reason,
        });
    }

    /// Whether nothing stands here.
    pub(crate) fn is_null(&self) -> bool {
        self.node.is_null()
    }

    fn wrong_kind(&self, expected: &'static str) {
        let found = match &self.node.value {
            _ if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } if text.chars().count() <= 40 => format!("{text:?}"),
            Value::Scalar { .. } => "a long text".to_owned(),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        };
        self.error(Problem::WrongKind { expected, found });
    }

    /// The text of a scalar; null reads as the empty text, as in Prometheus.
    pub(crate) fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            _ if self.is_null() => Some(""),
            Value::Scalar { text, .. } => Some(text),
            Value::Sequence(_) | Value::Mapping(_) => {
                self.wrong_kind("a text");
                None
            }
        }
    }

    /// The text of a scalar, if this is one; nothing is reported.
    pub(crate) fn scalar(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// Where the characters of a scalar stand in the file.
    pub(crate) fn runs(&self) -> Runs {
        match &self.node.value {
            Value::Scalar { text, style, .. } => self.report.source.runs(self.node.place, *style, text),
            Value::Sequence(_) | Value::Mapping(_) => vec![(0, self.node.place)],
        }
    }

    /// The same value, reported on at another place.
    pub(crate) fn at(&self, place: Place) -> Self {
        Self { place, ..self.clone() }
    }

    /// Where this is reported on.
    pub(crate) const fn place(&self) -> Place {
        self.place
    }

    /// The text of a scalar that is not null, through `parse`.
    pub(crate) fn parse<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text().filter(|_| !self.is_null())?;
        parse(text).map_err(|e| self.invalid(e.to_string())).ok()
    }

    /// A boolean in any of YAML 1.1's spellings, which Prometheus accepts.
    pub(crate) fn boolean(&self) -> Option<bool> {
        let word = match &self.node.value {
            _ if self.is_null() => return None,
            Value::Scalar { text, plain: true, .. } => text.as_str(),
            _ => "",
        };
        match word {
            "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
            "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
                Some(false)
            }
            _ => {
                self.wrong_kind("true or false");
                None
            }
        }
    }

    /// A whole number from zero.
    pub(crate) fn count(&self) -> Option<u64> {
        let text = match &self.node.value {
            _ if self.is_null() => return None,
            Value::Scalar { text, plain: true, .. } => text.replace('_', ""),
            _ => String::new(),
        };
        let count = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        if count.is_none() {
            self.wrong_kind("a whole number from zero");
        }
        count
    }

    /// The items of a list; null is the empty list.
    pub(crate) fn items(&self) -> Vec<Item<'a>> {
        let nodes = match &self.node.value {
            _ if self.is_null() => return Vec::new(),
            Value::Sequence(nodes) => nodes,
            Value::Scalar { .. } | Value::Mapping(_) => {
                self.wrong_kind("a list");
                return Vec::new();
            }
        };
        let item = |(i, node): (usize, &'a std::rc::Rc<Node>)| Item {
            report: self.report,
            node,
            place: node.place,
            path: format!("{}[{i}]", self.path),
        };
        nodes.iter().enumerate().map(item).collect()
    }

    /// The keys and values of a mapping whose keys are free; null is the empty mapping.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Item<'a>)> {
        let Some(fields) = self.fields() else { return Vec::new() };
        let entries = fields.entries.iter().map(|entry| (entry.key.as_str(), fields.item.child(entry)));
        entries.collect()
    }

    /// A mapping whose keys will be asked for; null is the empty mapping, anything else is reported.
    pub(crate) fn fields(&self) -> Option<Fields<'a>> {
        let entries: &[Entry] = match &self.node.value {
            _ if self.is_null() => &[],
            Value::Mapping(entries) => entries,
            Value::Scalar { .. } | Value::Sequence(_) => {
                self.wrong_kind("a mapping");
                return None;
            }
        };
        Some(Fields { item: self.clone(), entries, asked: Vec::new() })
    }

    fn child(&self, entry: &'a Entry) -> Item<'a> {
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{}", self.path, entry.key);
        Item { report: self.report, node: &entry.value, place: entry.place, path }
    }
}

impl<'a> Fields<'a> {
    /// The mapping itself, to report on.
    pub(crate) fn whole(&self) -> &Item<'a> {
        &self.item
    }

    /// The value of `key`, if the key stands there, be it null.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.asked.push(key);
        self.peek(key)
    }

    /// [`Fields::get`], where null is as good as absent.
    pub(crate) fn get_set(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.get(key).filter(|item| !item.is_null())
    }

    /// The value of `key`, which some other reader asks for.
    pub(crate) fn peek(&self, key: &str) -> Option<Item<'a>> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| self.item.child(entry))
    }

    /// A text; null is the empty text.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        self.get(key)?.text().map(str::to_owned)
    }

    /// A text that is not empty.
    pub(crate) fn word(&mut self, key: &'static str) -> Option<String> {
        self.text(key).filter(|text| !text.is_empty())
    }

    /// A text through `parse`.
    pub(crate) fn parse<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.get(key)?.parse(parse)
    }

    /// [`Fields::parse`], where the empty text is as good as absent.
    pub(crate) fn parse_word<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let item = self.get(key)?;
        let text = item.text().filter(|text| !text.is_empty())?;
        parse(text).map_err(|message| item.invalid(message)).ok()
    }

    /// A boolean, or `default` where the key is absent.
    pub(crate) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.get(key).and_then(|item| item.boolean()).unwrap_or(default)
    }

    /// A whole number from zero.
    pub(crate) fn count(&mut self, key: &'static str) -> Option<u64> {
        self.get(key)?.count()
    }

    /// A limit: a whole number, where zero and absence mean that there is none.
    pub(crate) fn limit(&mut self, key: &'static str) -> Option<u64> {
        self.count(key).filter(|limit| *limit > 0)
    }

    /// A size in bytes, where zero and absence mean that there is none.
    pub(crate) fn size_limit(&mut self, key: &'static str) -> Option<u64> {
        self.parse(key, parse_size).filter(|limit| *limit > 0)
    }

    /// A duration.
    pub(crate) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.parse(key, parse_duration)
    }

    /// A duration above zero; Prometheus takes zero as absent.
    pub(crate) fn period(&mut self, key: &'static str) -> Option<Duration> {
        self.duration(key).filter(|duration| !duration.is_zero())
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let items = self.get(key).map(|item| item.items()).unwrap_or_default();
        items.iter().filter_map(|item| item.text().map(str::to_owned)).collect()
    }

    /// A list of mappings, each read by `read`; an item that is null is an error, as in Prometheus.
    pub(crate) fn list<T>(&mut self, key: &'static str, mut read: impl FnMut(Fields<'a>) -> T) -> Vec<T> {
        let items = self.get(key).map(|item| item.items()).unwrap_or_default();
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            if item.is_null() {
                item.wrong_kind("a mapping");
            } else {
                values.extend(item.fields().map(&mut read));
            }
        }
        values
    }

    /// A mapping, read by `read` where the key is present and not null.
    pub(crate) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(Fields<'a>) -> T) -> Option<T> {
        self.get_set(key)?.fields().map(read)
    }

    /// Reports that a required key is missing.
    pub(crate) fn missing(&self, key: &'static str) {
        self.item.error(Problem::MissingKey(key));
    }

    /// Ends the reading: warns of each remaining key in `not_served`, and refuses the others.
    pub(crate) fn finish(self, not_served: &[&str]) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.asked.contains(&key) {
                continue;
            }
            let child = self.item.child(entry);
            if not_served.contains(&key) {
                child.warn(Ignored::NotServed);
                continue;
            }
            if self.item.report.is_full() {
                return;
            }
            let known = self.asked.iter().chain(not_served).copied();
            let nearest = nearest(key, known).map(str::to_owned);
            self.item_at(&child).error(Problem::UnknownKey { key: key.to_owned(), nearest });
        }
    }

    /// The mapping's path at the place of one of its keys: the message already names the key.
    fn item_at(&self, child: &Item<'a>) -> Item<'a> {
        Item { place: child.place, ..self.item.clone() }
    }
}

/// The known key that is spelt most like `key`, unless none is close enough to be meant.
pub(crate) fn nearest<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // The distance costs the product of the lengths; a key this long is no slip of the pen.
    if key.len() > 100 {
        return None;
    }
    let allowed = (key.chars().count() / 3).max(1) + 1;
    known
        .map(|candidate| (strsim::damerau_levenshtein(key, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}
