//! From a tree of tags and values to text.

use super::{
    FINDINGS_MAX, STEPS_MAX,
    finding::{Finding, Span},
    json::Json,
    lookup::{Context, Found},
    parse::{Name, Node, Template},
    value::{Full, Member, Sink, Value},
};

/// Findings that come with a guess at what was meant.
const SUGGESTIONS_MAX: usize = 10;

/// What templates are rendered with.
pub(crate) struct Job<'v> {
    /// The values: an object.
    pub(crate) values: &'v Json<'v>,
    /// What `-release` and the like stand for: an object.
    pub(crate) facts: &'v Json<'v>,
    /// Whether a value that is not there is an error.
    pub(crate) strict: bool,
    /// Whether `{{x}}` is escaped.
    pub(crate) escape: bool,
    /// The most that all templates may come to.
    pub(crate) output_bytes_max: usize,
}

/// Renders the templates of one job, within its limits.
pub(crate) struct Renderer<'v> {
    job: Job<'v>,
    output_bytes: usize,
    steps: u32,
}

/// A limit of the whole job is reached: nothing more can be rendered.
enum Stop {
    Output,
    Steps,
}

impl From<Full> for Stop {
    fn from(_: Full) -> Stop {
        Stop::Output
    }
}

impl<'v> Renderer<'v> {
    /// Begins a job.
    pub(crate) fn new(job: Job<'v>) -> Self {
        Renderer { job, output_bytes: 0, steps: 0 }
    }

    /// Whether a limit is reached.
    pub(crate) fn exhausted(&self) -> bool {
        self.steps > STEPS_MAX || self.output_bytes > self.job.output_bytes_max
    }

    /// Renders a template, or says all that is wrong with it.
    pub(crate) fn render(&mut self, template: &Template<'_>) -> Result<String, Vec<Finding>> {
        let value = match Member::of(self.job.values) {
            Member::Is(value @ Value::Map(_)) => value,
            _ => return Err(vec![Finding::error("template.values", "values must be an object")]),
        };
        let root = Context { value: Some(value), outer: None, index: 0, first: false, last: false };
        let limit = self.job.output_bytes_max.saturating_sub(self.output_bytes);
        let mut pass = Pass {
            job: &self.job,
            source: template.source,
            steps: self.steps,
            sink: Sink { text: String::with_capacity(template.source.len().min(limit)), limit },
            findings: Vec::new(),
            noted: Vec::new(),
        };
        let outcome = pass.nodes(&template.nodes, &root);
        self.steps = pass.steps;
        self.output_bytes += pass.sink.text.len();
        let Pass { sink, mut findings, .. } = pass;
        match outcome {
            Ok(()) => {}
            Err(Stop::Output) => {
                self.output_bytes = usize::MAX;
                findings.push(self.too_large());
            }
            Err(Stop::Steps) => findings.push(too_long()),
        }
        if findings.is_empty() { Ok(sink.text) } else { Err(findings) }
    }

    fn too_large(&self) -> Finding {
        let limit = self.job.output_bytes_max;
        let what = format!("the templates come to more than the limit of {limit} bytes");
        Finding::error("template.too-large", what)
    }
}

fn too_long() -> Finding {
    let what = format!("the templates need more than the limit of {STEPS_MAX} steps");
    let hint = "lists in sections inside each other multiply: render fewer of them";
    Finding::error("template.too-long", what).hint(hint)
}

/// The rendering of one template.
struct Pass<'p, 'v> {
    job: &'p Job<'v>,
    source: &'p str,
    steps: u32,
    sink: Sink,
    findings: Vec<Finding>,
    /// Where and what of the findings: in another turn of a list it is no news.
    noted: Vec<(usize, &'static str)>,
}

impl<'v> Pass<'_, 'v> {
    fn nodes(&mut self, nodes: &[Node<'_>], context: &Context<'_, 'v>) -> Result<(), Stop> {
        for node in nodes {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(Stop::Steps);
            }
            match node {
                Node::Text(text) => self.sink.put(text.text, false)?,
                Node::Variable { name, raw, span } => self.variable(name, *raw, *span, context)?,
                Node::Section { name, inverted, nodes, span } => {
                    self.section(name, *inverted, nodes, *span, context)?;
                }
                Node::Partial { name, span } => self.partial(name, *span),
                Node::Nothing => {}
            }
        }
        Ok(())
    }

    fn variable(
        &mut self,
        name: &Name<'_>,
        raw: bool,
        span: Span,
        context: &Context<'_, 'v>,
    ) -> Result<(), Stop> {
        let found = context.find(name, self.job.facts, &mut self.steps);
        match found {
            Found::Is(value) => value.print(&mut self.sink, self.job.escape && !raw)?,
            _ if !self.job.strict => {}
            Found::NullContext => self.null_context(name, span),
            Found::Null => self.null(name, span),
            Found::Missing(part) => self.missing(name, part, span, context),
            Found::NoContext(part) => self.no_context(name, part, span),
        }
        Ok(())
    }

    fn section(
        &mut self,
        name: &Name<'_>,
        inverted: bool,
        nodes: &[Node<'_>],
        span: Span,
        context: &Context<'_, 'v>,
    ) -> Result<(), Stop> {
        let value = match context.find(name, self.job.facts, &mut self.steps) {
            Found::Is(value) => Some(value),
            Found::NullContext if self.job.strict => {
                self.null_context(name, span);
                return Ok(());
            }
            _ => None,
        };
        if inverted {
            return if is_empty(value) { self.nodes(nodes, context) } else { Ok(()) };
        }
        match value {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(Value::Bool(true)) => self.nodes(nodes, context),
            Some(Value::List(items)) => {
                self.each(nodes, context, items.len(), |index| match Member::of(&items[index]) {
                    Member::Is(value) => Some(value),
                    _ => None,
                })
            }
            Some(Value::Entries(map)) => self.each(nodes, context, map.len(), |index| {
                let (key, json) = map.entry(index);
                Some(Value::Entry(key, json))
            }),
            Some(value) => {
                let Context { index, first, last, .. } = *context;
                let value = Some(value);
                self.nodes(nodes, &Context { value, outer: Some(context), index, first, last })
            }
        }
    }

    fn each(
        &mut self,
        nodes: &[Node<'_>],
        outer: &Context<'_, 'v>,
        count: usize,
        item: impl Fn(usize) -> Option<Value<'v>>,
    ) -> Result<(), Stop> {
        for index in 0..count {
            // An empty section has no nodes to count.
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(Stop::Steps);
            }
            let context = Context {
                value: item(index),
                outer: Some(outer),
                index: index + 1,
                first: index == 0,
                last: index + 1 == count,
            };
            self.nodes(nodes, &context)?;
        }
        Ok(())
    }

    fn missing(&mut self, name: &Name<'_>, part: &str, span: Span, context: &Context<'_, 'v>) {
        self.note("template.missing-value", span, |line, suggest| {
            let near = if suggest { context.suggest(part) } else { None };
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("give `{}` a value in the package's values", name.whole),
            };
            (format!("No method or field with name '{part}' on line {line}"), hint)
        });
    }

    fn null(&mut self, name: &Name<'_>, span: Span) {
        let name = name.whole;
        self.note("template.null-value", span, |line, _| {
            let hint = format!("give `{name}` a value, or put it in a section `{{{{#{name}}}}}`");
            (format!("No key, method or field with name '{name}' on line {line}"), hint)
        });
    }

    fn no_context(&mut self, name: &Name<'_>, part: &str, span: Span) {
        let name = name.whole;
        self.note("template.missing-context", span, |line, _| {
            let what = format!(
                "Missing context for compound variable '{name}' on line {line}. '{part}' was not \
                 found."
            );
            (what, format!("give `{name}` a value in the package's values"))
        });
    }

    fn null_context(&mut self, name: &Name<'_>, span: Span) {
        self.note("template.null-context", span, |line, _| {
            let what = format!("Null context for variable '{}' on line {line}", name.whole);
            (what, "take the `null` out of the list".to_owned())
        });
    }

    fn partial(&mut self, name: &str, span: Span) {
        self.note("template.partial", span, |line, _| {
            let what = format!("Partials are not supported: '{name}' on line {line}");
            (what, "put its text in its place".to_owned())
        });
    }

    /// Notes a finding: its line, and whether there is still time for suggestions,
    /// give its message and its hint.
    fn note(
        &mut self,
        code: &'static str,
        span: Span,
        say: impl FnOnce(u32, bool) -> (String, String),
    ) {
        let key = (span.start, code);
        if self.noted.len() == FINDINGS_MAX || self.noted.contains(&key) {
            return;
        }
        self.noted.push(key);
        let place = span.place(self.source);
        let (message, hint) = say(place.line, self.noted.len() <= SUGGESTIONS_MAX);
        self.findings.push(Finding::error(code, message).at(place).hint(hint));
    }
}

/// Whether an inverted section stands in for this.
fn is_empty(value: Option<Value<'_>>) -> bool {
    match value {
        None => true,
        Some(Value::Bool(it)) => !it,
        Some(Value::List(items)) => items.is_empty(),
        Some(Value::Entries(map)) => map.len() == 0,
        Some(_) => false,
    }
}
