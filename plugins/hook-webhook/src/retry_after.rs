//! The `Retry-After` header: seconds, or a moment.

use chandlery_sdk::http::Response;

/// How long the answer asks to wait, in milliseconds.
pub(crate) fn retry_after_ms(response: &Response, now_ms: u64) -> Option<u32> {
    let header = response.headers.iter().find(|it| it.key.eq_ignore_ascii_case("retry-after"))?;
    let text = header.value.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1000),
        Err(_) => moment_ms(text)?.saturating_sub(now_ms),
    };
    Some(u32::try_from(wait).unwrap_or(u32::MAX))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as milliseconds since the Unix epoch.
fn moment_ms(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = text.split_once(", ")?;
    let [day, month, year, time, "GMT"] = date.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let [hour, minute, second] = time.split(':').collect::<Vec<_>>()[..] else { return None };
    let number = |text: &str, max: u64| text.parse::<u64>().ok().filter(|it| *it <= max);
    let month = MONTHS.iter().position(|it| *it == month)? as u64 + 1;
    let days = days_since_epoch(number(year, 9999)?, month, number(day, 31)?)?;
    let seconds = number(hour, 23)? * 3600 + number(minute, 59)? * 60 + number(second, 60)?;
    Some((days * 86_400 + seconds) * 1000)
}

/// Days from 1970-01-01 in the Gregorian calendar; years are counted from March so
/// that the leap day comes last.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day.checked_sub(1)?;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use chandlery_sdk::types::Label;

    use super::*;

    #[test]
    fn seconds_and_moments_are_understood() {
        let check = |value: &str, expected: Option<u32>| {
            let headers = vec![Label::new("retry-after", value)];
            let response = Response { status: 503, headers, body: Vec::new() };
            assert_eq!(retry_after_ms(&response, 784_111_770_000), expected, "{value}");
        };
        check("120", Some(120_000));
        check(" 0 ", Some(0));
        check("99999999999999", Some(u32::MAX));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(7_000));
        check("Sun, 06 Nov 1994 08:49:20 GMT", Some(0));
        check("Thu, 29 Feb 1996 00:00:00 GMT", Some(u32::MAX));
        for nonsense in ["soon", "-1", "", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 00 Jan 1970"] {
            check(nonsense, None);
        }
    }

    #[test]
    fn days_are_counted_over_leap_years() {
        for (date, days) in [
            ((1970, 1, 1), 0),
            ((1970, 12, 31), 364),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2026, 11, 22), 20_779),
        ] {
            assert_eq!(days_since_epoch(date.0, date.1, date.2), Some(days), "{date:?}");
        }
    }
}
