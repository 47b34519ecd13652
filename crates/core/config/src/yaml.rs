//! YAML text as a tree that knows where each of its nodes stands.
//!
//! Scalars keep their text: what `on` or `1h` means is decided by the key that asks. Aliases share the node that they
//! name, and the tree's size and depth are bounded as if each were written out, so that a few lines of aliases can't ask
//! for gigabytes. Merge keys (`<<`) are resolved here, as Prometheus' YAML library does.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::error::{Place, Problem};

/// The deepest nesting that is read. Prometheus' own keys need ten levels.
const MAX_DEPTH: usize = 64;
/// The most bytes that a document may have with every alias written out.
const MAX_BYTES: usize = 32 << 20;
/// What a node weighs beside its text.
const NODE_BYTES: usize = 32;

/// A node and where it begins.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
    /// Bytes with every alias in it written out.
    weight: usize,
    /// Levels below this node.
    height: usize,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Value {
    /// A scalar; `plain` when it is unquoted, so that `null` may mean null.
    Scalar { text: String, plain: bool, style: ScalarStyle },
    /// A sequence.
    Sequence(Vec<Rc<Node>>),
    /// A mapping in the order of the file; keys are unique.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Rc<Node>,
}

/// The first document of a text.
#[derive(Debug)]
pub(crate) struct Document {
    /// Nothing when the text holds comments and blanks only.
    pub(crate) root: Option<Rc<Node>>,
    /// Where a second document begins, if there is one.
    pub(crate) second: Option<Place>,
}

/// Why a text is no tree, and where.
pub(crate) type LoadError = (Place, Problem);

impl Node {
    /// Whether this is YAML's null, in any of its spellings, or nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true, .. }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Reads the first document of `text`.
pub(crate) fn load(text: &str) -> Result<Document, LoadError> {
    if text.len() > MAX_BYTES {
        return Err((Place { line: 1, column: 1 }, Problem::TooLarge(MAX_BYTES)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut tree = Tree::default();
    let mut document = Document { root: None, second: None };
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| (place(e.marker()), Problem::Syntax(e.info().to_owned())))?;
        let place = place(&span.start);
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents == 2 {
                    document.second = Some(place);
                    break;
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::Alias(anchor) => tree.alias(anchor, place)?,
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = scalar_tag(tag.as_deref(), place)?;
                let plain = style == ScalarStyle::Plain && !quoted;
                let weight = text.len() + NODE_BYTES;
                let value = Value::Scalar { text: text.into_owned(), plain, style };
                tree.add(Rc::new(Node { place, value, weight, height: 0 }), anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq", place)?;
                tree.open(Open { place, anchor, kind: Kind::Sequence(Vec::new()) })?;
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map", place)?;
                tree.open(Open { place, anchor, kind: Kind::Mapping(Vec::new(), None) })?;
            }
            Event::SequenceEnd | Event::MappingEnd => tree.close()?,
        }
    }
    document.root = tree.root;
    Ok(document)
}

/// What has been read of a document so far.
#[derive(Default)]
struct Tree {
    root: Option<Rc<Node>>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    weight: usize,
}

/// A collection whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Rc<Node>>),
    /// The entries, and the key that waits for its value.
    Mapping(Vec<Entry>, Option<(String, Place)>),
}

impl Tree {
    fn open(&mut self, open: Open) -> Result<(), LoadError> {
        if self.open.len() >= MAX_DEPTH {
            return Err((open.place, Problem::TooDeep(MAX_DEPTH)));
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), LoadError> {
        let Some(Open { place, anchor, kind }) = self.open.pop() else { return Ok(()) };
        let value = match kind {
            Kind::Sequence(items) => Value::Sequence(items),
            Kind::Mapping(entries, _) => Value::Mapping(merged(entries)?),
        };
        let children: Vec<&Rc<Node>> = match &value {
            Value::Scalar { .. } => Vec::new(),
            Value::Sequence(items) => items.iter().collect(),
            Value::Mapping(entries) => entries.iter().map(|entry| &entry.value).collect(),
        };
        let height = 1 + children.iter().map(|node| node.height).max().unwrap_or(0);
        let keys = match &value {
            Value::Mapping(entries) => entries.iter().map(|entry| entry.key.len()).sum(),
            _ => 0,
        };
        let weight = NODE_BYTES + keys + children.iter().map(|node| node.weight).sum::<usize>();
        self.add(Rc::new(Node { place, value, weight, height }), anchor)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), LoadError> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            let problem = "an alias names the collection that it stands in".to_owned();
            return Err((place, Problem::Syntax(problem)));
        };
        self.weight += node.weight;
        if self.weight > MAX_BYTES {
            return Err((place, Problem::TooLarge(MAX_BYTES)));
        }
        if self.open.len() + node.height > MAX_DEPTH {
            return Err((place, Problem::TooDeep(MAX_DEPTH)));
        }
        self.place_in_parent(node, place)
    }

    fn add(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), LoadError> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let place = node.place;
        self.place_in_parent(node, place)
    }

    fn place_in_parent(&mut self, node: Rc<Node>, place: Place) -> Result<(), LoadError> {
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::Sequence(items)) => items.push(node),
            Some(Kind::Mapping(entries, waiting)) => match waiting.take() {
                Some((key, key_place)) => {
                    entries.push(Entry { key, place: key_place, value: node });
                }
                None => *waiting = Some((key_text(&node, place)?, place)),
            },
        }
        Ok(())
    }
}

fn key_text(node: &Node, place: Place) -> Result<String, LoadError> {
    match &node.value {
        Value::Scalar { text, .. } => Ok(text.clone()),
        Value::Sequence(_) | Value::Mapping(_) => {
            let found = "a collection".to_owned();
            Err((place, Problem::WrongKind { expected: "a plain key", found }))
        }
    }
}

/// Entries with `<<` replaced by what it names: own keys win over merged ones, earlier merged ones over later.
fn merged(entries: Vec<Entry>) -> Result<Vec<Entry>, LoadError> {
    let mut lines: HashMap<String, usize> = HashMap::new();
    let (merges, mut own): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.key == "<<");
    for Entry { key, place, .. } in &own {
        if let Some(first) = lines.insert(key.clone(), place.line) {
            return Err((*place, Problem::DuplicateKey { key: key.clone(), first }));
        }
    }
    for Entry { place, value, .. } in merges {
        let sources: Vec<Rc<Node>> = match &value.value {
            Value::Sequence(items) => items.clone(),
            Value::Mapping(_) | Value::Scalar { .. } => vec![value],
        };
        for source in sources {
            let Value::Mapping(inherited) = &source.value else {
                let found = "something else".to_owned();
                let expected = "a mapping, or a list of mappings, to merge";
                return Err((place, Problem::WrongKind { expected, found }));
            };
            for entry in inherited {
                if lines.insert(entry.key.clone(), entry.place.line).is_none() {
                    own.push(entry.clone());
                }
            }
        }
    }
    Ok(own)
}

/// Whether a scalar's tag says that it is text; an unknown tag is an error, since ignoring it would change the meaning.
fn scalar_tag(tag: Option<&Tag>, place: Place) -> Result<bool, LoadError> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "str" => Ok(true),
            "bool" | "int" | "float" | "null" => Ok(false),
            _ => Err((place, unknown_tag(tag))),
        },
        // `!` alone says that the scalar is text.
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(true),
        Some(tag) => Err((place, unknown_tag(tag))),
    }
}

fn collection_tag(tag: Option<&Tag>, kind: &str, place: Place) -> Result<(), LoadError> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == kind) => Err((place, unknown_tag(tag))),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag) -> Problem {
    let handle = if tag.is_yaml_core_schema() { "!!" } else { tag.handle.as_str() };
    Problem::Syntax(format!("tag {handle}{} is not known here; remove it", tag.suffix))
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Problem {
        load(text).unwrap_err().1
    }

    fn entries(text: &str) -> Vec<(String, String)> {
        let root = load(text).unwrap().root.unwrap();
        let Value::Mapping(entries) = &root.value else { panic!("{root:?}") };
        let text = |node: &Node| match &node.value {
            Value::Scalar { text, .. } => text.clone(),
            other => format!("{other:?}"),
        };
        entries.iter().map(|entry| (entry.key.clone(), text(&entry.value))).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn a_key_that_stands_twice_names_the_line_of_the_first() {
        let error = load("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(error.0, Place { line: 3, column: 1 });
        assert_eq!(error.1, Problem::DuplicateKey { key: "a".into(), first: 1 });
    }

    #[test]
    fn a_billion_laughs_are_refused() {
        let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for i in 1..12 {
            let row = vec![format!("*a{}", i - 1); 9].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{row}]\n"));
        }
        assert_eq!(problem(&text), Problem::TooLarge(MAX_BYTES));
    }

    #[test]
    fn one_long_scalar_named_often_is_refused() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(64));
        assert_eq!(problem(&text), Problem::TooLarge(MAX_BYTES));
    }

    #[test]
    fn deep_nesting_is_refused_with_aliases_and_without() {
        assert_eq!(problem(&format!("{}x{}", "[".repeat(100), "]".repeat(100))), Problem::TooDeep(MAX_DEPTH));
        let mut text = "a0: &a0 [x]\n".to_owned();
        for i in 1..80 {
            text.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
        }
        assert_eq!(problem(&text), Problem::TooDeep(MAX_DEPTH));
    }

    #[test]
    fn an_alias_to_its_own_collection_is_refused() {
        assert!(matches!(problem("a: &a [*a]"), Problem::Syntax(_)));
    }

    #[test]
    fn a_merge_key_gives_what_the_mapping_does_not_say_itself() {
        let text = "base: &base {x: '1', y: '2'}\nuse:\n  <<: *base\n  y: '3'\n";
        let root = load(text).unwrap().root.unwrap();
        let Value::Mapping(top) = &root.value else { panic!() };
        let Value::Mapping(used) = &top[1].value.value else { panic!() };
        let keys: Vec<&str> = used.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["y", "x"]);
    }

    #[test]
    fn a_tag_that_is_not_yaml_s_own_is_refused() {
        assert!(matches!(problem("a: !vault secret"), Problem::Syntax(_)));
        assert_eq!(entries("a: !!str 12"), [pair("a", "12")]);
        assert_eq!(entries("a: ! 12"), [pair("a", "12")]);
    }

    #[test]
    fn a_second_document_is_noticed() {
        let document = load("a: 1\n---\nb: 2\n").unwrap();
        assert_eq!(document.second.map(|place| place.line), Some(2));
        assert!(load("---\na: 1\n").unwrap().second.is_none());
        assert!(load("# nothing\n").unwrap().root.is_none());
    }
}
