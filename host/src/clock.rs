//! The time, as records and wires count it.

use std::time::{SystemTime, UNIX_EPOCH};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since the Unix epoch; 0 where the machine's clock stands before it.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time as our own endpoints show it: RFC 3339, in UTC, to the millisecond.
pub(crate) fn shown(at_ms: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
    let text = at.ok().and_then(|it| it.format(&Rfc3339).ok());
    text.unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_shown_to_the_millisecond() {
        assert_eq!(super::shown(1_795_322_804_999), "2026-11-22T04:46:44.999Z");
        assert_eq!(super::shown(u64::MAX), "1970-01-01T00:00:00Z");
    }
}
