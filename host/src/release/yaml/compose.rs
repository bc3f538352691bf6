//! Makes values of the parser's events, with a stack of our own: depth costs no
//! stack of the thread, and every limit is checked before something is kept.

use std::{borrow::Cow, collections::HashMap};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};
use serde_json::{Map, Value};

use super::{BYTES_MAX, DEPTH_MAX, Document, NODES_MAX, YamlError, scalar};

const YAML_TAGS: &str = "tag:yaml.org,2002:";

/// Reads one text.
pub struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    root_tag: Option<&'static str>,
    words_as_text: bool,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    documents: Vec<Document>,
    /// The line of the first node of the document that is being read.
    line: usize,
    spent: Cost,
}

/// A list or a map that is not finished.
struct Frame {
    anchor: usize,
    before: Cost,
    /// How deep what it holds is nested already.
    inner: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    Map { map: Map<String, Value>, key: Option<Key> },
}

enum Key {
    Named(String),
    Merge,
}

struct Anchored {
    value: Value,
    cost: Cost,
    depth: usize,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
}

/// A finished node, and whether it is the unquoted word `<<` or a scalar's text.
struct Node {
    value: Value,
    key: Option<Key>,
    /// Lists and maps in each other; 0 for a scalar.
    depth: usize,
}

impl<'a> Reader<'a> {
    /// A reader of `text`.
    pub fn new(text: &'a str) -> Self {
        Reader {
            parser: Parser::new_from_str(text),
            root_tag: None,
            words_as_text: false,
            stack: Vec::new(),
            anchors: HashMap::new(),
            documents: Vec::new(),
            line: 0,
            spent: Cost::default(),
        }
    }

    /// Takes a document whose root has the tag `!!` + `tag`, too.
    pub fn with_root_tag(mut self, tag: &'static str) -> Self {
        self.root_tag = Some(tag);
        self
    }

    /// Leaves `yes`, `off` and the like as the words that they are.
    pub fn with_words_as_text(mut self) -> Self {
        self.words_as_text = true;
        self
    }

    /// Reads a text of one document; null where there is none.
    pub fn single(self) -> Result<Value, YamlError> {
        let mut documents = self.documents()?;
        if let Some(second) = documents.get(1) {
            let message = "a second document begins here: one is allowed".to_owned();
            return Err(YamlError { line: second.line, column: 1, message });
        }
        Ok(documents.pop().map_or(Value::Null, |it| it.value))
    }

    /// Reads all documents.
    pub fn documents(mut self) -> Result<Vec<Document>, YamlError> {
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next.map_err(unreadable)?;
            self.event(event, span.start)?;
        }
        Ok(self.documents)
    }

    fn event(&mut self, event: Event<'_>, at: Marker) -> Result<(), YamlError> {
        if self.stack.is_empty() && self.line == 0 && !matches!(event, Event::DocumentStart(_)) {
            self.line = at.line();
        }
        match event {
            // An anchor is known in its own document only.
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.line = 0;
            }
            Event::Alias(anchor) => {
                let Some(Anchored { cost, depth, .. }) = self.anchors.get(&anchor) else {
                    return Err(error(at, "an alias to nothing that is finished in this document"));
                };
                let (cost, depth) = (*cost, *depth);
                if self.stack.len() + depth > DEPTH_MAX {
                    return Err(too_deep(at));
                }
                self.spend(cost, at)?;
                let value = self.anchors[&anchor].value.clone();
                let key = value.as_str().map(|it| Key::Named(it.to_owned()));
                self.finished(Node { value, key, depth }, 0, Cost::default(), at)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let before = self.spent;
                self.spend(Cost { nodes: 1, bytes: text.len() }, at)?;
                let value = self.scalar(&text, style, tag.as_deref(), at)?;
                let merge = &*text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let key = if merge { Key::Merge } else { Key::Named(text.into_owned()) };
                self.finished(Node { value, key: Some(key), depth: 0 }, anchor, before, at)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag, "seq", at)?;
                self.open(anchor, Kind::List(Vec::new()), at)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag, "map", at)?;
                self.open(anchor, Kind::Map { map: Map::new(), key: None }, at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => (),
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, kind: Kind, at: Marker) -> Result<(), YamlError> {
        if self.stack.len() == DEPTH_MAX {
            return Err(too_deep(at));
        }
        let before = self.spent;
        self.spend(Cost { nodes: 1, bytes: 0 }, at)?;
        self.stack.push(Frame { anchor, before, inner: 0, kind });
        Ok(())
    }

    fn close(&mut self, at: Marker) -> Result<(), YamlError> {
        let Some(Frame { anchor, before, inner, kind }) = self.stack.pop() else {
            return Err(error(at, "an end without a beginning"));
        };
        let value = match kind {
            Kind::List(items) => Value::Array(items),
            Kind::Map { map, .. } => Value::Object(map),
        };
        self.finished(Node { value, key: None, depth: inner + 1 }, anchor, before, at)
    }

    /// Puts a finished node where it belongs.
    fn finished(
        &mut self,
        node: Node,
        anchor: usize,
        before: Cost,
        at: Marker,
    ) -> Result<(), YamlError> {
        if anchor != 0 {
            let cost = Cost {
                nodes: self.spent.nodes - before.nodes,
                bytes: self.spent.bytes - before.bytes,
            };
            // The copy that is kept is paid for, as an alias would be.
            self.spend(cost, at)?;
            self.anchors
                .insert(anchor, Anchored { value: node.value.clone(), cost, depth: node.depth });
        }
        if let Some(frame) = self.stack.last_mut() {
            frame.inner = frame.inner.max(node.depth);
        }
        match self.stack.last_mut().map(|it| &mut it.kind) {
            None => self.documents.push(Document { value: node.value, line: self.line }),
            Some(Kind::List(items)) => items.push(node.value),
            Some(Kind::Map { map, key }) => match key.take() {
                None => *key = Some(key_of(node, at)?),
                Some(Key::Named(name)) => {
                    map.insert(name, node.value);
                }
                Some(Key::Merge) => merge(map, node.value, at)?,
            },
        }
        Ok(())
    }

    fn spend(&mut self, cost: Cost, at: Marker) -> Result<(), YamlError> {
        self.spent.nodes += cost.nodes;
        self.spent.bytes += cost.bytes;
        if self.spent.nodes > NODES_MAX {
            return Err(error(at, format!("more than {NODES_MAX} values, aliases expanded")));
        }
        if self.spent.bytes > BYTES_MAX {
            return Err(error(at, format!("more than {BYTES_MAX} bytes, aliases expanded")));
        }
        Ok(())
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: Marker,
    ) -> Result<Value, YamlError> {
        let Some(tag) = tag else {
            let plain = style == ScalarStyle::Plain;
            let word = self.words_as_text && scalar::boolean(text).is_some();
            return Ok(match plain && !word {
                true => scalar::resolve(text),
                false => Value::String(text.to_owned()),
            });
        };
        match (tag.handle.as_str(), tag.suffix.as_str()) {
            (YAML_TAGS, "str") | ("", "!") | ("!", "") => Ok(Value::String(text.to_owned())),
            (YAML_TAGS, "null") => Ok(Value::Null),
            (YAML_TAGS, "bool") => match scalar::boolean(text) {
                Some(it) => Ok(Value::Bool(it)),
                None => Err(error(at, format!("`{text}` is no boolean"))),
            },
            (YAML_TAGS, "int" | "float" | "timestamp") => match scalar::resolve(text) {
                it @ (Value::Number(_) | Value::String(_)) => Ok(it),
                _ => Err(error(at, format!("`{text}` is no {}", tag.suffix))),
            },
            _ => Err(unknown(tag, at)),
        }
    }

    fn check_tag(&self, tag: Option<Cow<'_, Tag>>, own: &str, at: Marker) -> Result<(), YamlError> {
        let Some(tag) = tag else { return Ok(()) };
        let yaml = tag.handle == YAML_TAGS;
        let root = self.stack.is_empty() && self.root_tag.is_some_and(|it| tag.suffix == it);
        if yaml && (tag.suffix == own || root) { Ok(()) } else { Err(unknown(&tag, at)) }
    }
}

fn too_deep(at: Marker) -> YamlError {
    error(at, format!("more than {DEPTH_MAX} lists and maps in each other, aliases expanded"))
}

fn key_of(node: Node, at: Marker) -> Result<Key, YamlError> {
    node.key.ok_or_else(|| error(at, "a list or a map cannot be a key"))
}

/// What `<<` brings: keys that the map does not have yet, from one map or from
/// several, of which the first wins.
fn merge(into: &mut Map<String, Value>, from: Value, at: Marker) -> Result<(), YamlError> {
    let maps = match from {
        Value::Array(items) => items,
        it => vec![it],
    };
    for map in maps {
        let Value::Object(map) = map else {
            return Err(error(at, "`<<` needs a map or a list of maps"));
        };
        for (key, value) in map {
            into.entry(key).or_insert(value);
        }
    }
    Ok(())
}

fn unknown(tag: &Tag, at: Marker) -> YamlError {
    let name = match tag.handle.as_str() {
        YAML_TAGS => format!("!!{}", tag.suffix),
        handle => format!("{handle}{}", tag.suffix),
    };
    error(at, format!("the tag `{name}` is not known here"))
}

fn error(at: Marker, message: impl Into<String>) -> YamlError {
    YamlError { line: at.line(), column: at.col() + 1, message: message.into() }
}

fn unreadable(source: ScanError) -> YamlError {
    error(*source.marker(), source.info())
}
