//! Small work on text.

/// The start of a text, at most `max` bytes of it.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// A property's name as that of a variable: `server.port` is `SERVER_PORT`.
pub(crate) fn variable(property: &str) -> String {
    let plain = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_uppercase() } else { '_' };
    let name: String = property.chars().map(plain).collect();
    match name.starts_with(|it: char| it.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

/// A property's name without what people write differently: `javaOpts`,
/// `java-opts` and `JAVA_OPTS` are one.
pub(crate) fn relaxed(name: &str) -> String {
    name.chars().filter(|it| !matches!(it, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// A setting's name with dashes: `javaOpts` and `JAVA_OPTS` are `java-opts`.
pub(crate) fn kebab(name: &str) -> String {
    let mut text = String::new();
    let mut is_within = false;
    for it in name.chars() {
        if it.is_uppercase() && is_within {
            text.push('-');
        }
        is_within = it.is_lowercase() || it.is_ascii_digit();
        match it {
            '_' => text.push('-'),
            it => text.extend(it.to_lowercase()),
        }
    }
    text
}

/// Mebibytes of `512`, `512m` or `2g`.
pub(crate) fn mebibytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let text = text.strip_suffix('i').unwrap_or(text);
    let (digits, factor) = match text.strip_suffix('g') {
        Some(digits) => (digits, 1024),
        None => (text.strip_suffix('m').unwrap_or(text), 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|it| *it > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_becomes_a_variable() {
        for (property, expected) in
            [("server.port", "SERVER_PORT"), ("a-b_c", "A_B_C"), ("1x", "_1X"), ("größe", "GR__E")]
        {
            assert_eq!(variable(property), expected);
        }
    }

    #[test]
    fn a_name_is_written_with_dashes() {
        for (name, expected) in [
            ("java-opts", "java-opts"),
            ("javaOpts", "java-opts"),
            ("JAVA_OPTS", "java-opts"),
            ("useSpringApplicationJson", "use-spring-application-json"),
            ("3.2.1", "3.2.1"),
        ] {
            assert_eq!(kebab(name), expected);
        }
    }

    #[test]
    fn memory_is_read_with_and_without_a_unit() {
        for (text, expected) in [
            ("512", Some(512)),
            ("512m", Some(512)),
            ("2G", Some(2048)),
            ("1GiB", Some(1024)),
            ("", None),
            ("m", None),
            ("0", None),
            ("-1", None),
            ("1.5g", None),
        ] {
            assert_eq!(mebibytes(text), expected, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shorten("aä", 2), "a…");
        assert_eq!(shorten("aä", 3), "aä");
    }
}
