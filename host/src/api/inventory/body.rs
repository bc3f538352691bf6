//! Reading a JSON body within its limit.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::error::{Error, Result};

/// Reads a whole body of at most `limit_bytes`.
pub(super) async fn read(body: Body, limit_bytes: u64) -> Result<Bytes> {
    let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::TooLarge { what: "body", limit_bytes })
        }
        Err(error) => Err(Error::invalid("", format!("the body broke off: {error}"))),
    }
}
