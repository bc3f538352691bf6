//! Times as the Inventory writes them: RFC 3339, in UTC, whole seconds.

use std::time::SystemTime;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Writes a time.
pub(super) fn rfc3339(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at).replace_nanosecond(0).expect("0 is a nanosecond");
    at.format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn times_have_whole_seconds() {
        let at = UNIX_EPOCH + Duration::from_millis(1_795_322_804_999);
        assert_eq!(super::rfc3339(at), "2026-11-22T04:46:44Z");
    }
}
