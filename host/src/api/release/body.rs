//! Reads JSON bodies, within limits.
//!
//! An upload carries a whole package in base64, so it is held in memory. [`Room`]
//! bounds what all uploads hold together: it is taken as the bytes come, and who finds
//! none waits a while in line.

use std::{fmt, sync::OnceLock, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, header},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use serde::{
    Deserializer,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};
use serde_path_to_error::{Path, Segment};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer::Failure;
use crate::error::Error;

/// Room is given in pieces of this size.
const PIECE_BYTES: u64 = 64 << 10;
/// How long an upload waits for room.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Java writes base64 with padding, people often without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The memory that bodies of uploads may take, all together: as much as the
/// largest one alone.
pub(super) struct Room {
    pieces: OnceLock<Semaphore>,
    wait_max: Duration,
}

impl Default for Room {
    fn default() -> Self {
        Room { pieces: OnceLock::new(), wait_max: WAIT_MAX }
    }
}

/// A body, and the room that it takes until this is dropped.
#[derive(Debug)]
pub(super) struct Held<'a> {
    pub(super) bytes: Bytes,
    _room: Option<SemaphorePermit<'a>>,
}

impl Room {
    /// Reads a JSON body of at most `limit_bytes` to its end, as there is room for it.
    pub(super) async fn read(
        &self,
        request: Request,
        what: &'static str,
        limit_bytes: u64,
    ) -> Result<Held<'_>, Failure> {
        gather(Some(self), request, what, limit_bytes).await
    }

    /// Makes what is held enough for `size` bytes.
    async fn grow<'a>(
        &'a self,
        held: &mut Option<SemaphorePermit<'a>>,
        size: u64,
        limit_bytes: u64,
    ) -> Result<(), Failure> {
        let pieces = |bytes: u64| u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        let room = self.pieces.get_or_init(|| Semaphore::new(pieces(limit_bytes) as usize));
        let has = held.as_ref().map_or(0, SemaphorePermit::num_permits);
        let missing = pieces(size).saturating_sub(u32::try_from(has).unwrap_or(u32::MAX));
        if missing == 0 {
            return Ok(());
        }
        match tokio::time::timeout(self.wait_max, room.acquire_many(missing)).await {
            Ok(Ok(more)) => {
                match held {
                    Some(held) => held.merge(more),
                    None => *held = Some(more),
                }
                Ok(())
            }
            _ => Err(Error::Busy { what: "package uploads", retry_after: WAIT_MAX }.into()),
        }
    }
}

/// Reads a JSON body of at most `limit_bytes` to its end.
pub(super) async fn read(
    request: Request,
    what: &'static str,
    limit_bytes: u64,
) -> Result<Bytes, Failure> {
    gather(None, request, what, limit_bytes).await.map(|it| it.bytes)
}

/// Reads a body as it comes and, where there is a room, as that has room for it.
async fn gather<'a>(
    room: Option<&'a Room>,
    request: Request,
    what: &'static str,
    limit_bytes: u64,
) -> Result<Held<'a>, Failure> {
    let mut body = expected(request, what, limit_bytes)?;
    let mut bytes = BytesMut::new();
    let mut held = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| cut_off())?.into_data() else { continue };
        let size = bytes.len() as u64 + data.len() as u64;
        if size > limit_bytes {
            return Err(Error::TooLarge { what, limit_bytes }.into());
        }
        if let Some(room) = room {
            room.grow(&mut held, size, limit_bytes).await?;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes: not_empty(bytes.freeze())?, _room: held })
}

/// The body of a request, if its head promises JSON of that size at the most.
fn expected(request: Request, what: &'static str, limit_bytes: u64) -> Result<Body, Failure> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = String::from_utf8_lossy(kind.map_or(b"", |it| it.as_bytes())).into_owned();
    if !is_json(&kind) {
        return Err(Failure::media_type(&kind));
    }
    match length(request.headers()).is_some_and(|it| it > limit_bytes) {
        true => Err(Error::TooLarge { what, limit_bytes }.into()),
        false => Ok(request.into_body()),
    }
}

fn not_empty(bytes: Bytes) -> Result<Bytes, Failure> {
    match bytes.is_empty() {
        true => Err(Failure::unreadable("Required request body is missing")),
        false => Ok(bytes),
    }
}

fn cut_off() -> Failure {
    Failure::unreadable("the body of the request ended too early")
}

/// Makes a request of the bytes of a body, which must be an object.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    // Left to itself, serde takes a list for a struct, too.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Failure::unreadable("the body must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut json)
        .map_err(|it| wrong(place(it.path()), it.inner()))?;
    json.end().map_err(|it| wrong(String::new(), &it))?;
    Ok(read)
}

fn wrong(place: String, error: &serde_json::Error) -> Failure {
    Failure::unreadable(format!("the body is not the JSON it should be: {place}{error}"))
}

/// The field that is wrong, to stand before what is wrong with it.
fn place(path: &Path) -> String {
    match path.iter().next() {
        None | Some(Segment::Unknown) => String::new(),
        Some(_) => format!("`{path}`: "),
    }
}

/// Reads bytes out of JSON: base64, or an array of numbers as Java writes them.
pub(super) fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Bytes>, D::Error> {
    from.deserialize_any(BytesVisitor)
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Option<Bytes>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes in base64")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let bytes = BASE64.decode(text).map_err(|it| E::custom(format!("base64: {it}")))?;
        Ok(Some(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Self::Value, A::Error> {
        let mut bytes = Vec::new();
        while let Some(number) = numbers.next_element::<i16>()? {
            if !(-128..=255).contains(&number) {
                return Err(A::Error::custom(format!("{number} is not a byte")));
            }
            bytes.push(number as u8);
        }
        Ok(Some(bytes.into()))
    }
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct File {
        #[serde(default, deserialize_with = "super::bytes")]
        bytes: Option<Bytes>,
    }

    fn read_bytes(json: &str) -> Result<Option<Bytes>, Failure> {
        parse::<File>(json.as_bytes()).map(|it| it.bytes)
    }

    #[test]
    fn bytes_come_as_base64_or_as_numbers() {
        for json in [r#"{"bytes":"/wE="}"#, r#"{"bytes":"/wE"}"#, r#"{"bytes":"\u002fwE="}"#] {
            assert_eq!(read_bytes(json).unwrap().unwrap(), &b"\xff\x01"[..], "{json}");
        }
        for json in [r#"{"bytes":[255,1]}"#, r#"{"bytes":[-1,1]}"#] {
            assert_eq!(read_bytes(json).unwrap().unwrap(), &b"\xff\x01"[..], "{json}");
        }
        assert_eq!(read_bytes(r#"{"bytes":null}"#).unwrap(), None);
        assert_eq!(read_bytes("{}").unwrap(), None);
    }

    #[test]
    fn what_is_no_bytes_is_refused() {
        for json in [
            r#"{"bytes":"a$b"}"#,
            r#"{"bytes":1}"#,
            r#"{"bytes":{}}"#,
            r#"{"bytes":[256]}"#,
            r#"{"bytes":[-129]}"#,
            r#"{"bytes":[1.5]}"#,
            r#"{"bytes":["a"]}"#,
            r#"{"bytes":"/wE="#,
            r#"{"bytes":"/wE="}{}"#,
        ] {
            assert!(read_bytes(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_kind_of_json_is_json() {
        for kind in
            ["application/json", "Application/JSON;charset=UTF-8", "application/hal+json ; a=b"]
        {
            assert!(is_json(kind), "{kind}");
        }
        for kind in ["", "text/plain", "application/jsonx", "text/json", "multipart/form-data"] {
            assert!(!is_json(kind), "{kind}");
        }
    }

    fn request(body: Body) -> Request {
        Request::builder().header("content-type", "application/json").body(body).unwrap()
    }

    fn body(pieces: u64) -> Body {
        Body::from(vec![b' '; (pieces * PIECE_BYTES) as usize])
    }

    #[tokio::test]
    async fn uploads_share_the_room_that_there_is() {
        let room = Room { wait_max: Duration::from_millis(5), ..Room::default() };
        let limit = 4 * PIECE_BYTES;
        let read = |body: Body| room.read(request(body), "package", limit);

        let first = read(body(3)).await.unwrap();
        let second = read(Body::from("{}")).await.unwrap();
        assert_eq!((first.bytes.len() as u64, &second.bytes[..]), (3 * PIECE_BYTES, &b"{}"[..]));
        assert!(read(Body::from("{}")).await.is_err());
        drop(second);
        assert!(read(body(2)).await.is_err());
        assert!(read(body(1)).await.is_ok());
        drop(first);

        assert!(read(body(4)).await.is_ok());
        assert!(read(body(5)).await.is_err());
        assert!(read(Body::empty()).await.is_err());
        assert!(read(body(4)).await.is_ok());
    }

    #[tokio::test]
    async fn what_has_not_come_takes_no_room() {
        let room = Room { wait_max: Duration::from_millis(5), ..Room::default() };
        let limit = 4 * PIECE_BYTES;
        let mut slow = request(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()));
        slow.headers_mut().insert(header::CONTENT_LENGTH, limit.into());
        let mut slow = Box::pin(room.read(slow, "package", limit));
        assert!(futures::poll!(&mut slow).is_pending());

        assert!(room.read(request(body(4)), "package", limit).await.is_ok());
    }
}
