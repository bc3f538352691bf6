//! Lists that are answered while they are read, a page at a time, so that their
//! length costs no memory.

use std::future::Future;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::Serialize;

use super::answer::{Answer, json};
use crate::{
    error::{Error, Result},
    inventory::wire,
};

/// Some rows, as JSON with commas between, and where to go on.
pub(super) struct Rows<C> {
    text: Vec<u8>,
    next: Option<C>,
    opening: Option<&'static [u8]>,
}

impl<C> Rows<C> {
    /// Joins rows. Without `next` they are the last.
    pub(super) fn new(rows: impl IntoIterator<Item = Vec<u8>>, next: Option<C>) -> Self {
        let text = rows.into_iter().collect::<Vec<_>>().join(&b',');
        Rows { text, next, opening: None }
    }

    /// Puts another list behind the one before: `opening` ends that and begins this.
    /// For all pages but the first.
    pub(super) fn behind(self, opening: &'static [u8]) -> Self {
        Rows { opening: Some(opening), ..self }
    }

    /// The text to write where the list has rows already or not, and whether it has
    /// some then.
    fn joined(&self, begun: bool) -> (Vec<u8>, bool) {
        let begun = begun && self.opening.is_none();
        let comma: &[u8] = if begun && !self.text.is_empty() { b"," } else { b"" };
        let text = [self.opening.unwrap_or_default(), comma, &self.text].concat();
        (text, begun || !self.text.is_empty())
    }
}

/// Answers `head`, the rows of all pages, and `tail`. A failure on the first page
/// is the answer; a later one breaks the answer off.
pub(super) async fn listing<C, P, F>(head: Vec<u8>, page: P, tail: Vec<u8>) -> Answer
where
    C: Send + 'static,
    P: Fn(Option<C>) -> F + Send + 'static,
    F: Future<Output = Result<Rows<C>>> + Send + 'static,
{
    let first = page(None).await?;
    let (text, begun) = first.joined(false);
    let text = [head, text].concat();
    let Some(next) = first.next else {
        return Ok(json([text, tail].concat()));
    };
    let more = stream::try_unfold((Some(next), begun, page), |(next, begun, page)| async move {
        let Some(next) = next else { return Ok(None) };
        let rows = page(Some(next)).await?;
        let (text, begun) = rows.joined(begun);
        Ok::<_, Error>(Some((Bytes::from(text), (rows.next, begun, page))))
    });
    let ends = |text: Vec<u8>| stream::iter([Ok(Bytes::from(text))]);
    Ok(json(Body::from_stream(ends(text).chain(more).chain(ends(tail)))))
}

/// A row of a list that is an object: its name and its value.
pub(super) fn member(name: &str, value: &impl Serialize) -> Vec<u8> {
    [wire::json(&name), b":".to_vec(), wire::json(value)].concat()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn listed(pages: &'static [&'static [&'static str]]) -> String {
        let page = move |at: Option<usize>| async move {
            let at = at.unwrap_or(0);
            let next = Some(at + 1).filter(|it| *it < pages.len());
            Ok(Rows::new(pages[at].iter().map(|it| it.as_bytes().to_vec()), next))
        };
        let answer = listing(b"[".to_vec(), page, b"]\n".to_vec()).await.unwrap();
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn pages_are_joined_as_one_list() {
        assert_eq!(listed(&[&[]]).await, "[]\n");
        assert_eq!(listed(&[&["1", "2"]]).await, "[1,2]\n");
        assert_eq!(listed(&[&["1", "2"], &["3"]]).await, "[1,2,3]\n");
        assert_eq!(listed(&[&["1", "2"], &[]]).await, "[1,2]\n");
        assert_eq!(listed(&[&[], &["1"], &[], &[], &["2"]]).await, "[1,2]\n");
    }

    #[tokio::test]
    async fn a_list_can_follow_another() {
        let page = |at: Option<usize>| async move {
            Ok(match at {
                None => Rows::new([b"1".to_vec()], Some(1)),
                Some(1) => Rows::new([b"2".to_vec()], Some(2)),
                Some(2) => Rows::new([b"3".to_vec()], Some(3)).behind(b"],["),
                Some(3) => Rows::new([b"4".to_vec()], Some(4)),
                Some(4) => Rows::new([], Some(5)).behind(b"],["),
                Some(_) => Rows::new([b"5".to_vec()], None),
            })
        };
        let answer = listing(b"[".to_vec(), page, b"]".to_vec()).await.unwrap();
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        assert_eq!(&bytes[..], b"[1,2],[3,4],[5]");
    }

    #[tokio::test]
    async fn a_failure_on_the_first_page_is_the_answer() {
        let page = |_: Option<()>| async { Err(Error::not_found("namespace", "a")) };
        assert!(listing(Vec::new(), page, Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn a_later_failure_breaks_the_answer_off() {
        let page = |at: Option<()>| async move {
            match at {
                None => Ok(Rows::new([b"1".to_vec()], Some(()))),
                Some(()) => Err(Error::Internal("gone".into())),
            }
        };
        let answer = listing(Vec::new(), page, Vec::new()).await.unwrap();
        assert!(to_bytes(answer.into_body(), usize::MAX).await.is_err());
    }
}
