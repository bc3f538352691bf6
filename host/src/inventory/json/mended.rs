//! What is no text inside a text is read as U+FFFD, as the original reads it.

use std::{borrow::Cow, str::Utf8Chunk};

/// A body in which every byte is of some text: a byte that is not, and half of a
/// character that takes two `\u`, are U+FFFD. Outside of texts that is refused like
/// the byte itself.
pub(super) fn mended(body: &[u8]) -> Cow<'_, [u8]> {
    const SIGN: &str = "\u{fffd}";
    let mut text = match std::str::from_utf8(body) {
        Ok(_) => Cow::Borrowed(body),
        Err(_) => {
            let pieces = body.utf8_chunks();
            let mended =
                |it: Utf8Chunk<'_>| [it.valid(), &SIGN.repeat(it.invalid().len())].concat();
            Cow::Owned(pieces.map(mended).collect::<String>().into_bytes())
        }
    };
    for at in lone_halves(&text) {
        text.to_mut()[at..at + 6].copy_from_slice(b"\\ufffd");
    }
    text
}

/// Where a `\u` stands for half of a character, and the other half does not follow.
fn lone_halves(text: &[u8]) -> Vec<usize> {
    let (mut lone, mut at) = (Vec::new(), 0);
    while let Some(next) = text[at..].iter().position(|it| *it == b'\\') {
        at += next;
        at += match (half(&text[at..]), text.get(at + 6..).and_then(half)) {
            (Some(Half::First), Some(Half::Second)) => 12,
            (Some(_), _) => {
                lone.push(at);
                6
            }
            (None, _) => 2.min(text.len() - at),
        };
    }
    lone
}

enum Half {
    First,
    Second,
}

/// The half of a character that a text begins with, as `\u` and four digits.
fn half(text: &[u8]) -> Option<Half> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    match (digits[0].to_ascii_lowercase(), digits[1].to_ascii_lowercase()) {
        _ if !digits.iter().all(u8::is_ascii_hexdigit) => None,
        (b'd', b'8'..=b'9' | b'a'..=b'b') => Some(Half::First),
        (b'd', b'c'..=b'f') => Some(Half::Second),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Doc, whole};

    #[test]
    fn what_is_no_text_is_read_as_the_sign_for_that() {
        let cases: [(&[u8], &str); 12] = [
            (b"\"a\xffb\"", "a\u{fffd}b"),
            // Each byte counts, whatever it could have been the start of.
            (b"\"\xe2\x82\"", "\u{fffd}\u{fffd}"),
            (b"\"\\ud800\"", "\u{fffd}"),
            (b"\"\\uDFFFx\"", "\u{fffd}x"),
            (b"\"\\ud83d\\ude00\"", "\u{1f600}"),
            (b"\"\\ud800\\u0041\"", "\u{fffd}A"),
            (b"\"\\ud800\\ud83d\\ude00\"", "\u{fffd}\u{1f600}"),
            (b"\"\\ud800\\n\"", "\u{fffd}\n"),
            (b"\"\\\\ud800\"", "\\ud800"),
            (b"\"\\\\\\ud800\"", "\\\u{fffd}"),
            (b"\"\\ud7ff\\ue000\"", "\u{d7ff}\u{e000}"),
            ("\"\u{fffd}\u{e4}\"".as_bytes(), "\u{fffd}\u{e4}"),
        ];
        for (sent, text) in cases {
            assert_eq!(whole(sent), Ok(Doc::Text(text.to_owned())), "{}", sent.escape_ascii());
        }
        for sent in [&b"\xff"[..], b"[1,\xff]", b"\"\\ud8", b"\"\\ud8zz\"", b"\\ud800"] {
            assert!(whole(sent).is_err(), "{}", sent.escape_ascii());
        }
    }
}
