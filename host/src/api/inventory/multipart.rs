//! Multipart bodies, read as they come: never more than one piece of the network's
//! is held, whatever the body looks like.
//!
//! Only what an upload needs: parts one after the other, each with a name, told
//! from plain fields by whether a file name came with it.

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::error::{Error, Result};

/// The headers of one part, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest boundary that RFC 2046 allows.
const BOUNDARY_BYTES_MAX: usize = 70;

/// A multipart body.
pub(super) struct Multipart {
    body: Body,
    buffer: BytesMut,
    // What stands before each part and after the last.
    delimiter: Vec<u8>,
    inside: bool,
    begun: bool,
    ended: bool,
    // What came beside the file so far: other parts, and the heads of all.
    beside_bytes: u64,
}

/// The beginning of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Its name.
    pub(super) name: String,
    /// Whether it is a file: whether it has a file name, whatever that is.
    pub(super) is_file: bool,
}

impl Multipart {
    /// Reads a body as its type says. The refusals are in the original's words.
    pub(super) fn new(headers: &HeaderMap, body: Body) -> Result<Self> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let (kind, parameters) = split_parameters(kind.unwrap_or_default());
        if kind != "multipart/form-data" {
            return Err(refused("request Content-Type isn't multipart/form-data"));
        }
        let boundary = parameters.into_iter().find(|(name, _)| name == "boundary");
        let boundary = boundary.map(|(_, it)| it).filter(|it| !it.is_empty());
        let boundary =
            boundary.ok_or_else(|| refused("no multipart boundary param in Content-Type"))?;
        if boundary.len() > BOUNDARY_BYTES_MAX {
            return Err(refused("the boundary in Content-Type is longer than 70 characters"));
        }
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first boundary may stand at the very start, with no line before it.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        let (inside, begun, ended) = (true, false, false);
        Ok(Multipart { body, buffer, delimiter, inside, begun, ended, beside_bytes: 0 })
    }

    /// Goes to the file in the field `file`, over whatever comes first. No more than
    /// `limit_bytes` of the body may be something else, [`Multipart::finish`] counted.
    pub(super) async fn find_file(&mut self, limit_bytes: u64) -> Result<()> {
        while let Some(head) = self.next_part(limit_bytes).await? {
            if head.is_file && head.name == "file" {
                return Ok(());
            }
        }
        Err(no_file())
    }

    /// Reads to the end, over whatever is left. A body without its end was cut off, and
    /// so was one of which the sender has promised more.
    pub(super) async fn finish(&mut self, limit_bytes: u64) -> Result<()> {
        while self.next_part(limit_bytes).await?.is_some() {}
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|_| no_file())?;
            self.count(frame.data_ref().map_or(0, Bytes::len), limit_bytes)?;
        }
        Ok(())
    }

    /// The next piece of the part that was gone to; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        while self.inside {
            if let Some(at) = find(&self.buffer, &self.delimiter) {
                let piece = self.buffer.split_to(at);
                self.buffer.advance(self.delimiter.len());
                (self.inside, self.begun) = (false, true);
                return Ok(Some(piece.freeze()).filter(|it| !it.is_empty()));
            }
            // What might be the start of a delimiter stays.
            let whole = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            if whole > 0 {
                return Ok(Some(self.buffer.split_to(whole).freeze()));
            }
            self.read_more().await?;
        }
        Ok(None)
    }

    async fn next_part(&mut self, limit_bytes: u64) -> Result<Option<Head>> {
        if self.ended {
            return Ok(None);
        }
        self.skip(limit_bytes).await?;
        while self.buffer.len() < 2 {
            self.read_more().await?;
        }
        if self.buffer.starts_with(b"--") {
            self.ended = true;
            return Ok(None);
        }
        let head = self.read_head(limit_bytes).await?;
        self.inside = true;
        Ok(Some(head))
    }

    async fn skip(&mut self, limit_bytes: u64) -> Result<()> {
        while let Some(piece) = self.chunk().await? {
            self.count(piece.len(), limit_bytes)?;
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize, limit_bytes: u64) -> Result<()> {
        self.beside_bytes += bytes as u64;
        match self.beside_bytes > limit_bytes {
            true => Err(Error::TooLarge { what: "body", limit_bytes }),
            false => Ok(()),
        }
    }

    async fn read_head(&mut self, limit_bytes: u64) -> Result<Head> {
        loop {
            // An empty line ends the head, and may be all there is of it.
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let head = Head::read(&self.buffer.split_to(at));
                self.buffer.advance(4);
                self.count(self.delimiter.len() + at + 4, limit_bytes)?;
                return Ok(head);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(no_file());
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<()> {
        loop {
            let begun = self.begun;
            let cut_off = || if begun { no_file() } else { no_part() };
            let frame = self.body.frame().await.ok_or_else(cut_off)?;
            let frame = frame.map_err(|_| no_file())?;
            if let Some(data) = frame.data_ref().filter(|it| !it.is_empty()) {
                self.buffer.extend_from_slice(data);
                return Ok(());
            }
        }
    }
}

impl Head {
    fn read(bytes: &[u8]) -> Head {
        let text = String::from_utf8_lossy(bytes);
        let lines = text.split("\r\n").filter_map(|it| it.split_once(':'));
        for (name, value) in lines {
            if !name.eq_ignore_ascii_case("content-disposition") {
                continue;
            }
            let (kind, parameters) = split_parameters(value);
            if kind != "form-data" {
                continue;
            }
            let named = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted);
            return Head {
                name: named("name").map(|(_, it)| it.clone()).unwrap_or_default(),
                is_file: named("filename")
                    .or(named("filename*"))
                    .is_some_and(|(_, it)| !it.is_empty()),
            };
        }
        Head::default()
    }
}

/// Says, in the original's words, that there is no whole file in the body.
fn no_file() -> Error {
    Error::invalid("file", "http: no such file")
}

/// Says, in the original's words, that there is nothing that a part begins with.
fn no_part() -> Error {
    Error::invalid("file", "multipart: NextPart: EOF")
}

fn refused(message: &str) -> Error {
    Error::invalid("Content-Type", message)
}

/// Splits `kind; name=value; name="quoted value"`. The kind and the names are made
/// lower-case.
fn split_parameters(text: &str) -> (String, Vec<(String, String)>) {
    let (kind, mut rest) = text.split_once(';').unwrap_or((text, ""));
    let mut parameters = Vec::new();
    while let Some((name, behind)) = rest.split_once('=') {
        let behind = behind.trim_start();
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (value, behind) = behind.split_once(';').unwrap_or((behind, ""));
                (value.trim().to_owned(), behind)
            }
        };
        parameters.push((name.trim_matches([' ', '\t', ';']).to_ascii_lowercase(), value));
        rest = behind;
    }
    (kind.trim().to_ascii_lowercase(), parameters)
}

// Reads up to the closing quote. A backslash takes the next character as it is
// only where that is needed: file names of Windows come with plain ones.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next_if(|(_, it)| matches!(it, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            plain => value.push(plain),
        }
    }
    (value, "")
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    // All that is looked for starts with a carriage return, which is rare.
    while let Some(at) = text[from..].iter().position(|it| *it == wanted[0]) {
        if text[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use proptest::prelude::*;

    use super::*;

    fn headers(kind: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())])
    }

    fn multipart(body: &[u8], piece: usize) -> Multipart {
        let pieces: Vec<_> = body.chunks(piece).map(Bytes::copy_from_slice).collect();
        let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
        Multipart::new(&headers("multipart/form-data; boundary=XX"), body).unwrap()
    }

    async fn file(body: &[u8], piece: usize) -> Result<Vec<u8>> {
        let mut multipart = multipart(body, piece);
        multipart.find_file(1000).await?;
        let mut file = Vec::new();
        while let Some(chunk) = multipart.chunk().await? {
            file.extend(chunk);
        }
        multipart.finish(1000).await?;
        Ok(file)
    }

    fn body(file: &[u8]) -> Vec<u8> {
        let head = b"preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nfile\r\n\
            --XX\r\ncontent-disposition: form-data; filename=\"C:\\a;b\\\"c.tgz\"; name=\"file\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n";
        let tail = b"\r\n--XX\r\nContent-Disposition: form-data; name=\"more\"\r\n\r\n\r\n--XX--\r\nepilogue";
        [&head[..], file, tail].concat()
    }

    #[tokio::test]
    async fn the_file_is_found_among_other_fields() {
        for content in [&b"some bytes"[..], b"", b"\r\n", b"\r\n--X", b"\r\n--Y--\r\n", b"--XX--"] {
            for piece in [1, 2, 3, 7, 1000] {
                assert_eq!(file(&body(content), piece).await.unwrap(), content);
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_is_cut_off_anywhere_has_no_file() {
        let whole = body(b"some bytes");
        let end = whole.len() - b"\r\nepilogue".len();
        for at in 0..end {
            for piece in [1, 1000] {
                let error = file(&whole[..at], piece).await.unwrap_err();
                let begun = at >= b"preamble\r\n--XX".len();
                let expected =
                    if begun { "http: no such file" } else { "multipart: NextPart: EOF" };
                assert_eq!(error.to_string(), expected, "cut at {at}");
            }
        }
        assert!(file(&whole[..end], 1).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_behind_its_last_boundary_was_cut_off() {
        let whole = body(b"some bytes");
        let pieces = [Ok(Bytes::from(whole)), Err(std::io::Error::other("gone"))];
        let body = Body::from_stream(stream::iter(pieces));
        let mut multipart =
            Multipart::new(&headers("multipart/form-data; boundary=XX"), body).unwrap();
        multipart.find_file(1000).await.unwrap();
        let error = multipart.finish(1000).await.unwrap_err();
        assert_eq!(error.to_string(), "http: no such file");
    }

    #[tokio::test]
    async fn other_fields_and_plain_values_are_no_file() {
        for disposition in [
            "form-data; name=\"data\"; filename=\"a\"",
            "form-data; name=\"file\"",
            "attachment; name=\"file\"; filename=\"a\"",
            "form-data; filename=\"a\"",
            "form-data; name=\"file\"; filename=\"\"",
        ] {
            let body = format!("--XX\r\nContent-Disposition: {disposition}\r\n\r\nx\r\n--XX--");
            let error = file(body.as_bytes(), 1000).await.unwrap_err();
            assert_eq!(error.to_string(), "http: no such file", "{disposition}");
        }
        let bare =
            b"--XX\r\nContent-Disposition: form-data; name=file; filename=a.tgz\r\n\r\nx\r\n--XX--";
        assert_eq!(file(bare, 1000).await.unwrap(), b"x");
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused_early() {
        let body = [&b"--XX\r\nContent-Disposition: "[..], &[b'a'; 100_000]].concat();
        assert!(file(&body, 1000).await.is_err());
    }

    #[tokio::test]
    async fn what_is_skipped_is_bounded() {
        let body = [&[b'a'; 5000][..], b"\r\n--XX--"].concat();
        let error = file(&body, 1000).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit_bytes: 1000, .. }), "{error:?}");
    }

    #[tokio::test]
    async fn many_small_parts_are_bounded_together() {
        let part = &b"\r\n--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb"[..];
        let whole = |before: usize, after: usize| {
            let file =
                b"\r\n--XX\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nx";
            [&part.repeat(before)[..], file, &part.repeat(after), b"\r\n--XX--"].concat()
        };
        assert_eq!(file(&whole(3, 3), 1000).await.unwrap(), b"x");
        for (before, after) in [(100, 0), (0, 100), (12, 12)] {
            let error = file(&whole(before, after), 1000).await.unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
        }
    }

    #[test]
    fn the_type_must_be_multipart_with_a_boundary() {
        let refusal = |kind: &str| {
            Multipart::new(&headers(kind), Body::empty()).err().map(|it| it.to_string())
        };
        let other = "request Content-Type isn't multipart/form-data";
        for kind in ["application/json", "multipart/mixed; boundary=a", "", "multipart"] {
            assert_eq!(refusal(kind).as_deref(), Some(other), "{kind}");
        }
        let none = "no multipart boundary param in Content-Type";
        for kind in
            ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; a=b"]
        {
            assert_eq!(refusal(kind).as_deref(), Some(none), "{kind}");
        }
        for kind in ["multipart/form-data; boundary=a", "Multipart/Form-Data;a=b;Boundary=\"a b\""]
        {
            assert_eq!(refusal(kind), None, "{kind}");
        }
        assert!(refusal(&format!("multipart/form-data; boundary={}", "a".repeat(71))).is_some());
        let none = Multipart::new(&HeaderMap::new(), Body::empty());
        assert_eq!(none.err().unwrap().to_string(), other);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_in_any_pieces(
            content in "[\r\n\\-XY]{0,60}".prop_filter("holds no boundary", |it| !it.contains("\r\n--XX")),
            piece in 1usize..20,
        ) {
            // Bytes that end in a part of the delimiter run into the real one.
            let whole = body(content.as_bytes());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert_eq!(runtime.block_on(file(&whole, piece)).unwrap(), content.as_bytes());
        }
    }
}
