//! From text to a tree of tags.
//!
//! Scanned as jmustache does, oddities included: a tag that is never closed, or in
//! which another one opens, is text; only sections must balance.

use super::{
    FINDINGS_MAX, NAME_BYTES_MAX, NESTING_MAX,
    finding::{Finding, Span},
    tidy::{Text, tidy},
};

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template<'t> {
    pub(crate) source: &'t str,
    pub(super) nodes: Vec<Node<'t>>,
    /// Warnings.
    pub(crate) findings: Vec<Finding>,
}

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Node<'t> {
    Text(Text<'t>),
    Variable {
        name: Name<'t>,
        raw: bool,
        span: Span,
    },
    Section {
        name: Name<'t>,
        inverted: bool,
        nodes: Vec<Node<'t>>,
        span: Span,
    },
    Partial {
        name: &'t str,
        span: Span,
    },
    /// A comment or a change of delimiters: it leaves nothing but may stand alone
    /// on its line.
    Nothing,
}

/// A name in a tag.
#[derive(Clone, Debug)]
pub(super) struct Name<'t> {
    pub(super) whole: &'t str,
    /// Its parts between dots, where it has any; trailing empty ones do not count.
    pub(super) parts: Vec<&'t str>,
}

impl<'t> Template<'t> {
    /// Parses a template.
    pub(crate) fn parse(source: &'t str) -> Result<Template<'t>, Finding> {
        let mut parser = Parser::new(source);
        parser.run()?;
        if let Some(open) = parser.open.last() {
            let kind = if open.inverted { "Inverted section" } else { "Section" };
            let what = format!("{kind} missing close tag '{}'", open.name.whole);
            return Err(parser.syntax(open.span, what).hint(closing(open.name.whole)));
        }
        let mut nodes = parser.nodes;
        tidy(&mut nodes, true);
        Ok(Template { source, nodes, findings: parser.findings })
    }
}

impl<'t> Name<'t> {
    fn new(whole: &'t str) -> Self {
        let dotted = whole != "." && whole.contains('.');
        let parts = if dotted { whole.trim_end_matches('.').split('.').collect() } else { vec![] };
        Name { whole, parts }
    }
}

/// What opens and closes tags; one or two characters each.
#[derive(Clone, Copy)]
struct Delimiters<'t> {
    open: &'t str,
    close: &'t str,
}

/// A section that is not closed yet.
struct Open<'t> {
    name: Name<'t>,
    inverted: bool,
    span: Span,
    /// What stands before it.
    before: Vec<Node<'t>>,
}

struct Parser<'t> {
    source: &'t str,
    delimiters: Delimiters<'t>,
    /// What stands in the innermost open section.
    nodes: Vec<Node<'t>>,
    open: Vec<Open<'t>>,
    findings: Vec<Finding>,
}

impl<'t> Parser<'t> {
    fn new(source: &'t str) -> Self {
        let delimiters = Delimiters { open: "{{", close: "}}" };
        Parser { source, delimiters, nodes: Vec::new(), open: Vec::new(), findings: Vec::new() }
    }

    fn run(&mut self) -> Result<(), Finding> {
        let mut text_start = 0;
        let mut from = 0;
        while let Some(found) = self.source[from..].find(self.delimiters.open) {
            let start = from + found;
            let inside = start + self.delimiters.open.len();
            match self.end_of_tag(inside) {
                End::Closed(at) => {
                    self.text(text_start, start);
                    let mut end = at + self.delimiters.close.len();
                    self.tag(start, inside, at, &mut end)?;
                    (text_start, from) = (end, end);
                }
                End::Reopened(at) => {
                    self.unclosed(start, at);
                    from = at;
                }
                End::Never => {
                    self.unclosed(start, inside);
                    break;
                }
            }
        }
        self.text(text_start, self.source.len());
        Ok(())
    }

    /// Where the tag that starts at `inside` ends. The first character of the
    /// opening delimiter ends it too, unless it is the first or in a comment.
    fn end_of_tag(&self, inside: usize) -> End {
        let Delimiters { open, close } = self.delimiters;
        let rest = &self.source[inside..];
        let opens = open.chars().next();
        let comment = rest.starts_with('!');
        for (at, c) in rest.char_indices() {
            if rest[at..].starts_with(close) {
                return End::Closed(inside + at);
            }
            if Some(c) == opens && at > 0 && !comment && !close.starts_with(c) {
                return End::Reopened(inside + at);
            }
        }
        End::Never
    }

    fn tag(
        &mut self,
        start: usize,
        inside: usize,
        at: usize,
        end: &mut usize,
    ) -> Result<(), Finding> {
        let source = self.source;
        let text = &source[inside..at];
        let span = Span { start, end: at };
        if let Some(change) = text.strip_prefix('=') {
            return self.change_delimiters(change, span);
        }
        let plain = (self.delimiters.open, self.delimiters.close) == ("{{", "}}");
        if plain && let Some(name) = text.strip_prefix('{') {
            let Some(after) = source[*end..].strip_prefix('}') else {
                let got = source[*end..].chars().next().map(String::from).unwrap_or_default();
                let what = format!("Invalid triple-mustache tag: {{{{{text}}}}}{got}");
                return Err(self.syntax(span, what).hint("close it with `}}}`"));
            };
            *end = source.len() - after.len();
            return self.variable(trim(name), true, span);
        }

        let tag = trim(text);
        let Some(kind) = tag.chars().next() else {
            return Err(self.syntax(span, "Tag without a name".to_owned()));
        };
        let name = trim(&tag[kind.len_utf8()..]);
        match kind {
            '!' => self.nodes.push(Node::Nothing),
            '>' => self.nodes.push(Node::Partial { name, span }),
            '#' => self.open(name, false, span)?,
            '^' => self.open(name, true, span)?,
            '/' => self.close(name, span)?,
            '&' => self.variable(name, true, span)?,
            _ => self.variable(tag, false, span)?,
        }
        Ok(())
    }

    fn variable(&mut self, name: &'t str, raw: bool, span: Span) -> Result<(), Finding> {
        let name = self.name(name, span)?;
        self.nodes.push(Node::Variable { name, raw, span });
        Ok(())
    }

    fn open(&mut self, name: &'t str, inverted: bool, span: Span) -> Result<(), Finding> {
        let name = self.name(name, span)?;
        if self.open.len() == NESTING_MAX {
            let what = format!("sections are nested deeper than {NESTING_MAX}");
            return Err(Finding::error("template.too-deep", what).at(span.place(self.source)));
        }
        let before = std::mem::take(&mut self.nodes);
        self.open.push(Open { name, inverted, span, before });
        Ok(())
    }

    fn close(&mut self, name: &'t str, span: Span) -> Result<(), Finding> {
        let Some(open) = self.open.pop() else {
            let what = format!("Section close tag with no open tag '{name}'");
            return Err(self.syntax(span, what));
        };
        if open.name.whole != name {
            let opened = open.name.whole;
            let what = format!("Section close tag with mismatched open tag '{name}' != '{opened}'");
            return Err(self.syntax(span, what).hint(closing(opened)));
        }
        let mut nodes = std::mem::replace(&mut self.nodes, open.before);
        tidy(&mut nodes, false);
        let Open { name, inverted, span, .. } = open;
        self.nodes.push(Node::Section { name, inverted, nodes, span });
        Ok(())
    }

    fn change_delimiters(&mut self, change: &'t str, span: Span) -> Result<(), Finding> {
        let pair = change.strip_suffix('=').unwrap_or(change);
        let mut words = pair.split_whitespace();
        let fits = |it: &&str| it.chars().count() <= 2;
        match (words.next().filter(fits), words.next().filter(fits), words.next()) {
            (Some(open), Some(close), None) => self.delimiters = Delimiters { open, close },
            _ => {
                let what = format!(
                    "Invalid delimiter configuration '{pair}'. Must be of the form {{{{=1 2=}}}} \
                     or {{{{=12 34=}}}} where 1, 2, 3 and 4 are delimiter chars."
                );
                return Err(self.syntax(span, what));
            }
        }
        self.nodes.push(Node::Nothing);
        Ok(())
    }

    fn name(&self, name: &'t str, span: Span) -> Result<Name<'t>, Finding> {
        if name.is_empty() {
            return Err(self.syntax(span, "Tag without a name".to_owned()));
        }
        if name.contains(['\n', '\r']) {
            return Err(self.syntax(span, format!("Invalid tag name: contains newline '{name}'")));
        }
        if name.len() > NAME_BYTES_MAX {
            let what = format!("Invalid tag name: longer than {NAME_BYTES_MAX} bytes");
            return Err(self.syntax(span, what));
        }
        Ok(Name::new(name))
    }

    fn text(&mut self, start: usize, end: usize) {
        if start < end {
            let first = self.nodes.is_empty() && self.open.is_empty();
            self.nodes.push(Node::Text(Text::new(&self.source[start..end], first)));
        }
    }

    fn unclosed(&mut self, start: usize, end: usize) {
        if self.findings.len() == FINDINGS_MAX {
            return;
        }
        let Delimiters { open, close } = self.delimiters;
        let what = format!("this `{open}` is not closed with `{close}` and is kept as text");
        let place = Span { start, end }.place(self.source);
        self.findings.push(Finding::error("template.unclosed-tag", what).warning().at(place));
    }

    fn syntax(&self, span: Span, what: String) -> Finding {
        let place = span.place(self.source);
        Finding::error("template.syntax", format!("{what} @ line {}", place.line)).at(place)
    }
}

/// How a tag ends.
enum End {
    /// Properly, here.
    Closed(usize),
    /// By what may be another tag, here.
    Reopened(usize),
    /// Not at all.
    Never,
}

fn closing(name: &str) -> String {
    format!("close it with `{{{{/{name}}}}}`")
}

/// Takes off blanks and control characters, as Java does.
fn trim(text: &str) -> &str {
    text.trim_matches(|it| it <= ' ')
}
