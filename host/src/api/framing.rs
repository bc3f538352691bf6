//! Where an HTTP/1.1 message ends, and whether two readers could disagree on it.
//!
//! hyper is strict on most of this already. It lets pass what a proxy in front
//! might read otherwise: a length together with chunks (it takes the chunks), no
//! `Host` or two, and lines that end in a bare LF. Those are refused here, before
//! hyper sees them, so that no request can hide inside another's body.

use axum::http::{StatusCode, Uri};
use percent_encoding::{AsciiSet, percent_encode};

/// What every client of HTTP/2 sends first.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";
/// As many as hyper reads.
const HEADERS_MAX: usize = 100;
/// As long as `http::Uri` takes.
const TARGET_BYTES_MAX: usize = u16::MAX as usize - 1;
/// Chunk extensions mean nothing to us.
const EXTENSION_BYTES_MAX: usize = 1024;
const TRAILER_BYTES_MAX: usize = 8 << 10;

/// What no URI has as it is, and a client may send all the same. What is not ASCII
/// comes with it.
const FOREIGN: AsciiSet = AsciiSet::EMPTY.add(b'"').add(b'#').add(b'<').add(b'>').add(b'`');

/// How the body behind a head is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// A request that goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What to answer.
    pub(super) status: StatusCode,
    /// Why.
    pub(super) why: &'static str,
    /// The method and the target, where they could be read.
    pub(super) line: Option<(String, String)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: &'static str) -> Refusal {
        Refusal { status, why, line: None }
    }

    fn bad(why: &'static str) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, why)
    }
}

/// Finds the end of a head, past its empty line, looking from `from` on.
pub(super) fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(3);
    for (at, _) in bytes.iter().enumerate().skip(from).filter(|(_, it)| **it == b'\n') {
        match &bytes[at + 1..] {
            [b'\n', ..] => return Some(at + 2),
            [b'\r', b'\n', ..] => return Some(at + 3),
            _ => {}
        }
    }
    None
}

/// The head with its target in the letters that a URI has, where it has others. The
/// original takes `<`, `"` or `ä` as they are; here they are written as `%3C` and so on
/// before anything reads them, so that everything behind reads the same.
pub(super) fn encoded(head: &[u8]) -> Option<Vec<u8>> {
    let line = &head[..head.iter().position(|it| *it == b'\r')?];
    let mut words = line.splitn(3, |it| *it == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let odd = |it: &u8| !it.is_ascii() || b"\"#<>`".contains(it);
    if !target.starts_with(b"/") || !version.starts_with(b"HTTP/") || !target.iter().any(odd) {
        return None;
    }
    let target = percent_encode(target, &FOREIGN).to_string();
    let behind = &head[line.len()..];
    Some([method, b" ", target.as_bytes(), b" ", version, behind].concat())
}

/// Reads a whole head and tells how its body is framed.
pub(super) fn read_head(bytes: &[u8]) -> Result<Frame, Refusal> {
    if bytes == HTTP2 {
        return Err(Refusal::new(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "HTTP/2 is not spoken here: use HTTP/1.1",
        ));
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the request has more than 100 headers",
            ));
        }
        Ok(httparse::Status::Partial) | Err(_) => {
            return Err(Refusal::bad("the head of the request is malformed"));
        }
    }
    let line = request.method.zip(request.path);
    check(bytes, &request).map_err(|refusal| {
        let line = line.filter(|(method, target)| {
            *method != "CONNECT" && target.len() <= 1024 && target.parse::<Uri>().is_ok()
        });
        Refusal { line: line.map(|(method, target)| (method.into(), target.into())), ..refusal }
    })
}

fn check(bytes: &[u8], request: &httparse::Request<'_, '_>) -> Result<Frame, Refusal> {
    let bare = |(at, byte): (usize, &u8)| *byte == b'\n' && (at == 0 || bytes[at - 1] != b'\r');
    if bytes.iter().enumerate().any(bare) {
        return Err(Refusal::bad("a line of the head ends without a carriage return"));
    }
    let target = request.path.unwrap_or_default();
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, "the path is too long"));
    }
    if target.parse::<Uri>().is_err() {
        return Err(Refusal::bad("the request's target is malformed"));
    }
    let modern = request.version == Some(1);
    check_host(request, modern)?;
    frame(request, modern)
}

fn check_host(request: &httparse::Request<'_, '_>, modern: bool) -> Result<(), Refusal> {
    let mut hosts = values(request, "host");
    let Some(host) = hosts.next() else {
        return match modern {
            true => Err(Refusal::bad("the request has no `Host`")),
            false => Ok(()),
        };
    };
    if hosts.next().is_some() {
        return Err(Refusal::bad("the request has more than one `Host`"));
    }
    let proper = |it: &u8| it.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(it);
    match host.iter().all(proper) {
        true => Ok(()),
        false => Err(Refusal::bad("the request's `Host` is malformed")),
    }
}

fn frame(request: &httparse::Request<'_, '_>, modern: bool) -> Result<Frame, Refusal> {
    let mut lengths = values(request, "content-length");
    let mut codings = values(request, "transfer-encoding");
    let (length, coding) = (lengths.next(), codings.next());
    if length.is_some() && coding.is_some() {
        return Err(Refusal::bad("`Content-Length` and `Transfer-Encoding` exclude each other"));
    }
    if lengths.next().is_some() || codings.next().is_some() {
        return Err(Refusal::bad("the length of the body is given more than once"));
    }
    if let Some(coding) = coding {
        return match modern && coding.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            true => Ok(Frame::Chunked),
            false => Err(Refusal::bad("the only `Transfer-Encoding` understood is `chunked`")),
        };
    }
    let Some(length) = length else { return Ok(Frame::Length(0)) };
    let digits = std::str::from_utf8(length.trim_ascii()).ok();
    let digits = digits.filter(|it| it.bytes().all(|it| it.is_ascii_digit()));
    let length = digits.and_then(|it| it.parse().ok());
    length.map(Frame::Length).ok_or(Refusal::bad("the `Content-Length` is not a number"))
}

fn values<'a>(
    request: &'a httparse::Request<'_, '_>,
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> {
    let named = move |it: &&httparse::Header<'_>| it.name.eq_ignore_ascii_case(name);
    request.headers.iter().filter(named).map(|it| it.value)
}

/// Follows a chunked body to its end.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: Chunk,
    /// Of the size, of extensions, or of trailers so far.
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    LineStart,
    Trailer,
    TrailerLf,
    EndLf,
    Over,
}

impl Default for Chunk {
    fn default() -> Self {
        Chunk::Size(0)
    }
}

impl Chunks {
    /// Whether the last chunk and the trailers are through.
    pub(super) fn is_over(&self) -> bool {
        self.state == Chunk::Over
    }

    /// Reads on and tells how many of the bytes belong to this body.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && !self.is_over() {
            if let Chunk::Data(left) = self.state {
                let taken = left.min((bytes.len() - at) as u64);
                at += taken as usize;
                self.state = if taken == left { Chunk::DataCr } else { Chunk::Data(left - taken) };
                continue;
            }
            self.state = self.step(bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<Chunk, Malformed> {
        self.bytes += 1;
        let next = match (self.state, byte) {
            (Chunk::Size(size), digit) if digit.is_ascii_hexdigit() => {
                let digit = char::from(digit).to_digit(16).unwrap_or_default();
                let size = size.checked_mul(16).ok_or(Malformed)? + u64::from(digit);
                return if self.bytes <= 16 { Ok(Chunk::Size(size)) } else { Err(Malformed) };
            }
            (Chunk::Size(_), _) if self.bytes == 1 => return Err(Malformed),
            (Chunk::Size(size), b'\r') => Chunk::SizeLf(size),
            (Chunk::Size(size), b';') => Chunk::Extension(size),
            (Chunk::Extension(size), b'\r') => Chunk::SizeLf(size),
            (Chunk::Extension(_), b'\n' | 0) => return Err(Malformed),
            (it @ Chunk::Extension(_), _) if self.bytes <= EXTENSION_BYTES_MAX => return Ok(it),
            (Chunk::SizeLf(0), b'\n') => Chunk::LineStart,
            (Chunk::SizeLf(size), b'\n') => Chunk::Data(size),
            (Chunk::DataCr, b'\r') => Chunk::DataLf,
            (Chunk::DataLf, b'\n') => Chunk::Size(0),
            (Chunk::LineStart, b'\r') => Chunk::EndLf,
            (Chunk::Trailer, b'\r') => return Ok(Chunk::TrailerLf),
            (Chunk::LineStart | Chunk::Trailer, it)
                if it != b'\n' && it != 0 && self.bytes <= TRAILER_BYTES_MAX =>
            {
                return Ok(Chunk::Trailer);
            }
            (Chunk::TrailerLf, b'\n') => return Ok(Chunk::LineStart),
            (Chunk::EndLf, b'\n') => Chunk::Over,
            _ => return Err(Malformed),
        };
        self.bytes = 0;
        Ok(next)
    }
}

/// A chunked body that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<Frame, (u16, &'static str)> {
        let head = head.replace('\n', "\r\n");
        read_head(head.as_bytes()).map_err(|it| (it.status.as_u16(), it.why))
    }

    #[track_caller]
    fn refused(head: &str, status: u16, why: &str) {
        let (was, said) = read(head).unwrap_err();
        assert_eq!(was, status, "{said}");
        assert!(said.contains(why), "{said}");
    }

    #[test]
    fn the_frame_of_a_body_follows_from_its_head() {
        assert_eq!(read("GET / HTTP/1.1\nHost: a\n\n"), Ok(Frame::Length(0)));
        assert_eq!(read("GET / HTTP/1.0\n\n"), Ok(Frame::Length(0)));
        assert_eq!(read("PUT / HTTP/1.1\nHost: a\nContent-Length: 12\n\n"), Ok(Frame::Length(12)));
        assert_eq!(
            read("PUT / HTTP/1.1\nHost: [::1]:80\ntransfer-encoding: Chunked\n\n"),
            Ok(Frame::Chunked)
        );
    }

    #[test]
    fn two_readers_never_disagree_on_the_length() {
        let with = |headers: &str| format!("POST / HTTP/1.1\nHost: a\n{headers}\n\n");
        let both = "exclude each other";
        refused(&with("Content-Length: 4\nTransfer-Encoding: chunked"), 400, both);
        refused(&with("Transfer-Encoding: chunked\nContent-Length: 4"), 400, both);
        refused(&with("Content-Length: 4\nTransfer-Encoding: identity"), 400, both);
        refused(&with("Content-Length: 4\nContent-Length: 4"), 400, "more than once");
        refused(&with("Transfer-Encoding: chunked\nTransfer-Encoding: x"), 400, "more than once");
        for length in ["+4", "-4", "4, 4", "0x4", "", "4 4", "99999999999999999999"] {
            refused(&with(&format!("Content-Length: {length}")), 400, "not a number");
        }
        for coding in ["gzip, chunked", "identity", "chunked, chunked", "xchunked", "chunked;q=1"] {
            refused(&with(&format!("Transfer-Encoding: {coding}")), 400, "understood");
        }
        refused("POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n", 400, "understood");
        refused(&with("Transfer-Encoding : chunked"), 400, "malformed");
        refused(&with("Folded: a\n b"), 400, "malformed");
    }

    #[test]
    fn there_is_one_host() {
        refused("GET / HTTP/1.1\n\n", 400, "no `Host`");
        refused("GET / HTTP/1.1\nHost: a\nhost: b\n\n", 400, "more than one `Host`");
        refused("GET / HTTP/1.0\nHost: a\nHost: a\n\n", 400, "more than one `Host`");
        refused("GET / HTTP/1.1\nHost: a b\n\n", 400, "`Host` is malformed");
        refused("GET / HTTP/1.1\nHost: a/\"<\n\n", 400, "`Host` is malformed");
    }

    #[test]
    fn a_head_has_its_limits() {
        let many = "a: b\n".repeat(101);
        refused(&format!("GET / HTTP/1.1\nHost: a\n{many}\n"), 431, "100 headers");
        let long = "x".repeat(70_000);
        refused(&format!("GET /{long} HTTP/1.1\nHost: a\n\n"), 414, "too long");
        refused("GET / HTTP/9.9\nHost: a\n\n", 400, "malformed");
        refused("nonsense\n\n", 400, "malformed");
        refused("PRI * HTTP/2.0\n\n", 505, "use HTTP/1.1");
    }

    #[test]
    fn a_line_ends_in_two_bytes() {
        let refusal = read_head(b"GET / HTTP/1.1\nHost: a\r\n\r\n").unwrap_err();
        assert!(refusal.why.contains("carriage return"));
        assert_eq!(refusal.line, Some(("GET".into(), "/".into())));
    }

    #[test]
    fn a_target_is_brought_into_the_letters_of_a_uri() {
        let encode = |line: &str| {
            let head = encoded(format!("{line}\r\nHost: \"<a>\"\r\n\r\n").as_bytes())?;
            let head = String::from_utf8(head).unwrap();
            Some(head.strip_suffix("\r\nHost: \"<a>\"\r\n\r\n").unwrap().to_owned())
        };
        for (sent, read) in [
            ("GET /a?b=<c> HTTP/1.1", "GET /a?b=%3Cc%3E HTTP/1.1"),
            ("GET /\"a`#b HTTP/1.1", "GET /%22a%60%23b HTTP/1.1"),
            ("GET /\u{e4}?\u{e4} HTTP/1.1", "GET /%C3%A4?%C3%A4 HTTP/1.1"),
        ] {
            assert_eq!(encode(sent).as_deref(), Some(read));
            assert!(read.split(' ').nth(1).unwrap().parse::<Uri>().is_ok());
        }
        for kept in ["GET /a?b=%3C HTTP/1.1", "GET /< b HTTP/1.1", "GET < HTTP/1.1", "GET /<", ""] {
            assert_eq!(encode(kept), None, "{kept}");
        }
        assert_eq!(encoded(b"GET /\xff HTTP/1.1\r\n\r\n").unwrap(), b"GET /%FF HTTP/1.1\r\n\r\n");
        assert_eq!(encoded(b"no line"), None);
    }

    #[test]
    fn the_end_of_a_head_is_found_wherever_the_pieces_were_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\r\n\r\n";
        for from in 0..28 {
            assert_eq!(head_end(head, from), Some(27), "{from}");
        }
        assert_eq!(head_end(&head[..26], 0), None);
        assert_eq!(head_end(b"a\n\nb", 0), Some(3));
    }

    fn chunks(text: &str) -> Result<Option<usize>, Malformed> {
        let bytes = text.replace('\n', "\r\n");
        let (mut whole, mut single) = (Chunks::default(), Chunks::default());
        let end = whole.advance(bytes.as_bytes());
        let mut taken = 0;
        for byte in bytes.bytes() {
            match single.advance(&[byte]) {
                Ok(it) => taken += it,
                Err(it) => {
                    assert_eq!(end, Err(Malformed), "{text:?}");
                    return Err(it);
                }
            }
        }
        assert_eq!(end, Ok(taken), "byte by byte it is the same: {text:?}");
        Ok(whole.is_over().then_some(taken))
    }

    #[test]
    fn a_chunked_body_is_followed_to_its_end() {
        assert_eq!(chunks("0\n\nGET"), Ok(Some(5)));
        assert_eq!(chunks("3\nabc\n0\n\nGET /"), Ok(Some(13)));
        assert_eq!(chunks("A;x=\"y\"\n0123456789\n0\nTrailer: x\n\nmore"), Ok(Some(38)));
        assert_eq!(chunks("3\nabc\n"), Ok(None));
    }

    #[test]
    fn what_is_no_chunk_is_seen() {
        for text in ["\n", "g\n", "3 \nabc\n", "3\nabcd\n", "11111111111111111\n", "-1\n", "0x3\n"]
        {
            assert_eq!(chunks(text), Err(Malformed), "{text:?}");
        }
        assert_eq!(Chunks::default().advance(b"3\nabc"), Err(Malformed));
        let trailer = format!("0\n{}\n\n", "t".repeat(9000));
        assert_eq!(chunks(&trailer), Err(Malformed));
    }
}
