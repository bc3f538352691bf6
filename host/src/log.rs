//! Log lines: one record a line, for eyes or for machines.
//!
//! Whatever a client sends may end up in a field, so characters that could end a
//! line, colour a terminal or turn its text around are written as escapes in both
//! forms. A line carries the fields of the spans around it: the request's id.

use std::{
    error::Error as StdError,
    fmt::{self, Write as _},
};

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    EnvFilter, Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{
    config::{Log, LogFormat},
    error::chain,
};

/// Starts logging to standard error. Does nothing where logging has begun already.
pub fn start(settings: &Log) {
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = Lines { format: settings.format, out: std::io::stderr };
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// Writes each event as one line.
struct Lines<W> {
    format: LogFormat,
    out: W,
}

/// The fields of a span or an event, in their order.
#[derive(Clone, Default)]
struct Fields(Map<String, Value>);

impl<S, W, O> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn() -> O + 'static,
    O: std::io::Write,
{
    fn on_new_span(&self, new: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        new.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                for (name, value) in &outer.0 {
                    fields.0.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let (level, target) = (event.metadata().level().as_str(), event.metadata().target());
        let line = match self.format {
            LogFormat::Human => human(&now, level, target, fields.0),
            LogFormat::Json => json(&now, level, target, fields.0),
        };
        // Nobody is left to tell when even the log cannot be written.
        let _ = (self.out)().write_all(line.as_bytes());
    }
}

fn human(now: &str, level: &str, target: &str, mut fields: Map<String, Value>) -> String {
    let message = fields.shift_remove("message");
    let message = message.as_ref().and_then(Value::as_str).unwrap_or_default();
    let mut line = format!("{now} {level:5} {target}: {}", escaped(message, false));
    for (name, value) in fields {
        let value = match value {
            Value::String(text) if is_plain(&text) => text,
            Value::String(text) => format!("\"{}\"", escaped(&text, true)),
            other => other.to_string(),
        };
        // A string takes everything.
        let _ = write!(line, " {name}={value}");
    }
    line.push('\n');
    line
}

fn json(now: &str, level: &str, target: &str, fields: Map<String, Value>) -> String {
    let mut record = Map::new();
    record.insert("time".to_owned(), now.into());
    record.insert("level".to_owned(), level.into());
    record.insert("target".to_owned(), target.into());
    for (name, value) in fields {
        record.entry(name).or_insert(value);
    }
    // JSON's own escapes cover the ASCII controls; ours, the others that matter,
    // which can only stand inside of strings.
    let mut line = escaped(&Value::Object(record).to_string(), false);
    line.push('\n');
    line
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|it| it.is_ascii_graphic() && it != '"' && it != '=')
}

/// The text without characters that do something to what shows it.
fn escaped(text: &str, quoted: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '\\' if quoted => escaped.extend(['\\', letter]),
            it if acts(it) => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(it));
            }
            it => escaped.push(it),
        }
    }
    escaped
}

/// Controls, line ends, marks of writing direction and the byte order mark.
fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
        )
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    /// An error says its own part only, so the whole chain is written.
    fn record_error(&mut self, field: &Field, value: &(dyn StdError + 'static)) {
        self.put(field, chain(value));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, work: impl FnOnce()) -> String {
        let memory = Memory::default();
        let out = memory.clone();
        let lines = Lines { format, out: move || out.clone() };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
        String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
    }

    const EVIL: &str = "a\r\nfake=1\u{1b}[31mred\u{202e}txt\u{2028}\u{85}\u{9b}end\"\\ =\0";

    #[test]
    fn nothing_in_a_field_ends_a_line_or_reaches_the_terminal() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let text = logged(format, || {
                tracing::info!(path = EVIL, "{EVIL}");
                tracing::info!(path = ?EVIL, error = %EVIL, "second");
            });
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(text.chars().all(|it| it == '\n' || !acts(it)), "{text}");
        }
    }

    #[test]
    fn a_json_line_gives_back_what_was_logged() {
        let text = logged(LogFormat::Json, || {
            tracing::warn!(path = EVIL, status = 404_u16, slow = true, duration_ms = 0.5, "done");
        });
        let record: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["path"], EVIL);
        assert_eq!(record["level"], "WARN");
        assert_eq!(record["message"], "done");
        assert_eq!(record["status"], 404);
        assert_eq!(record["slow"], true);
    }

    #[test]
    fn a_line_carries_the_fields_of_its_spans() {
        let text = logged(LogFormat::Human, || {
            let _request = tracing::info_span!("request", request_id = "r1").entered();
            tracing::info!(unit = "web", "kept");
        });
        assert!(text.ends_with("kept unit=web request_id=r1\n"), "{text}");
    }

    #[test]
    fn an_error_is_logged_with_everything_under_it() {
        let error = crate::error::Error::store("reading", std::io::Error::other("disk on fire"));
        let text = logged(LogFormat::Human, || {
            tracing::error!(error = &error as &dyn StdError, "failed");
        });
        assert!(text.contains("the store failed while reading: disk on fire"), "{text}");
    }
}
