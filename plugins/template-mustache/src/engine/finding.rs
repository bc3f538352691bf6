//! What is wrong with a template, and where.

/// Whether a finding stops anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Warning,
    Error,
}

/// One thing that is wrong, with its place in the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Counts from 1; 0 where it has no place.
    pub(crate) line: u32,
    /// Counts from 1, in characters; 0 where it has no place.
    pub(crate) column: u32,
    pub(crate) hint: Option<String>,
}

impl Finding {
    /// An error without a place.
    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Finding { level: Level::Error, code, message, line: 0, column: 0, hint: None }
    }

    /// The same at a tag.
    pub(crate) fn at(mut self, place: Place) -> Self {
        (self.line, self.column) = (place.line, place.column);
        self
    }

    /// The same with a way to mend it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, stopping nothing.
    pub(crate) fn warning(mut self) -> Self {
        self.level = Level::Warning;
        self
    }
}

/// Where a tag stands, as bytes of its template: cheap to keep for each tag, and
/// turned into a [`Place`] only where there is something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Span {
    /// The line that the tag ends on, as jmustache counts, and the column that it
    /// begins at.
    pub(crate) fn place(self, source: &str) -> Place {
        let newlines = source.as_bytes()[..self.end].iter().filter(|it| **it == b'\n').count();
        let line_start = source[..self.start].rfind('\n').map_or(0, |it| it + 1);
        let column = source[line_start..self.start].chars().count() + 1;
        Place { line: newlines as u32 + 1, column: column as u32 }
    }
}
