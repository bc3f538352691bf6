//! Reading a stream that should be an export: entry by entry, never more than one
//! piece of the network's and one JSON entry at once.

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{BLOCK, header, padding};
use crate::error::{Error, Result};

/// A stream, and how far it was read.
pub(super) struct Reader<S> {
    body: S,
    buffer: BytesMut,
    /// Of all that was read, and of what was read before the last header.
    hash: Sha256,
    before: Sha256,
    read_bytes: u64,
    limit_bytes: u64,
}

/// The beginning of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: u64,
}

impl<S: Stream<Item = Result<Bytes>> + Send + Unpin> Reader<S> {
    /// Reads at most `limit_bytes` of a stream.
    pub(super) fn new(body: S, limit_bytes: u64) -> Self {
        let (hash, before) = (Sha256::new(), Sha256::new());
        Reader { body, buffer: BytesMut::new(), hash, before, read_bytes: 0, limit_bytes }
    }

    /// Goes to the next entry. The one before must have been read.
    pub(super) async fn next(&mut self) -> Result<Entry> {
        self.before = self.hash.clone();
        let block = self.take(BLOCK).await?;
        let read = tar::Header::from_byte_slice(&block);
        let name = String::from_utf8(read.path_bytes().into_owned()).ok();
        let entry = name.zip(read.entry_size().ok()).filter(|(name, size)| {
            // One spelling alone: whatever else it may mean, an export has no such header.
            header(name, *size).is_some_and(|it| it[..] == block[..])
        });
        let (name, size) = entry.ok_or_else(|| wrong("a header is not as an export has it"))?;
        Ok(Entry { name, size })
    }

    /// The same, where only this entry can come.
    pub(super) async fn expect(&mut self, name: &str) -> Result<Entry> {
        let entry = self.next().await?;
        entry.is(name)?;
        Ok(entry)
    }

    /// Reads the contents of an entry.
    pub(super) async fn contents(&mut self, entry: &Entry, limit_bytes: u64) -> Result<Bytes> {
        if entry.size > limit_bytes {
            let Entry { name, size } = entry;
            let message = format!("`{name}` has {size} bytes and may have {limit_bytes}");
            return Err(wrong(&message));
        }
        let contents = self.take(entry.size as usize).await?;
        self.fill(entry).await?;
        Ok(contents)
    }

    /// Reads an entry in JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &mut self,
        entry: &Entry,
        limit_bytes: u64,
    ) -> Result<T> {
        let contents = self.contents(entry, limit_bytes).await?;
        serde_json::from_slice(&contents)
            .map_err(|it| wrong(&format!("`{}` cannot be read: {it}", entry.name)))
    }

    /// The contents of an entry, piece by piece. [`Reader::fill`] comes behind them.
    pub(super) fn pieces(
        &mut self,
        entry: &Entry,
    ) -> impl Stream<Item = Result<Bytes>> + Send + use<'_, S> {
        stream::try_unfold((self, entry.size), |(reader, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            reader.need(1).await?;
            let length = left.min(reader.buffer.len() as u64);
            let piece = reader.cut(length as usize);
            Ok(Some((piece, (reader, left - length))))
        })
    }

    /// Reads the zeros behind the contents of an entry.
    pub(super) async fn fill(&mut self, entry: &Entry) -> Result<()> {
        match self.take(padding(entry.size)).await?.iter().all(|it| *it == 0) {
            true => Ok(()),
            false => Err(wrong(&format!("behind `{}` there is something else", entry.name))),
        }
    }

    /// The SHA-256 of all bytes before the entry that was gone to last.
    pub(super) fn sha256_before(&self) -> String {
        hex::encode(self.before.clone().finalize())
    }

    /// Reads the end of the stream: two blocks of zeros and nothing more.
    pub(super) async fn end(&mut self) -> Result<()> {
        let zeros = self.take(2 * BLOCK).await?;
        if zeros.iter().any(|it| *it != 0) || !self.buffer.is_empty() || self.more().await? {
            return Err(wrong("there is something behind the last entry"));
        }
        Ok(())
    }

    /// Reads on over what will not be kept.
    pub(super) async fn skip(&mut self, limit_bytes: u64) {
        let end = self.read_bytes.saturating_add(limit_bytes).min(self.limit_bytes);
        while self.read_bytes < end && matches!(self.more().await, Ok(true)) {
            self.buffer.clear();
        }
    }

    async fn take(&mut self, length: usize) -> Result<Bytes> {
        self.need(length).await?;
        Ok(self.cut(length))
    }

    fn cut(&mut self, length: usize) -> Bytes {
        let bytes = self.buffer.copy_to_bytes(length);
        self.hash.update(&bytes);
        bytes
    }

    async fn need(&mut self, length: usize) -> Result<()> {
        while self.buffer.len() < length {
            if !self.more().await? {
                return Err(wrong("the stream ends before its end"));
            }
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<bool> {
        while let Some(piece) = self.body.next().await {
            let piece = piece.map_err(|it| wrong(&format!("the stream broke off: {it}")))?;
            self.read_bytes += piece.len() as u64;
            if self.read_bytes > self.limit_bytes {
                return Err(Error::TooLarge { what: "import", limit_bytes: self.limit_bytes });
            }
            if !piece.is_empty() {
                self.buffer.extend_from_slice(&piece);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Entry {
    /// Checks that it has this name.
    pub(super) fn is(&self, name: &str) -> Result<()> {
        match self.name == name {
            true => Ok(()),
            false => Err(wrong(&format!("`{}` stands where `{name}` belongs", self.name))),
        }
    }
}

/// Says that a stream is no whole export.
pub(super) fn wrong(why: &str) -> Error {
    Error::invalid("", format!("it is no whole export: {why}"))
}
