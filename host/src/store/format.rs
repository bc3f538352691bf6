//! Which release may open the file.
//!
//! The file tells its own format and the oldest release that reads it, in a
//! record that every release can read. A newer file is refused with the name of
//! the release that it needs; an older one is brought up to date here.

use serde::{Deserialize, Serialize};

use super::view::{Change, Table, View};
use crate::error::{Error, Result};

// "format" -> Format as JSON, without a format byte: this is what says it.
const META: Table = Table("meta");

/// The format that this release writes. Raised when a file that it wrote must not
/// be opened by the releases before it.
const FORMAT: u32 = 1;

/// The oldest release that reads [`FORMAT`].
const NEEDS: &str = "0.1.0";

#[derive(Debug, Serialize, Deserialize)]
struct Format {
    format: u32,
    needs: String,
}

/// Refuses a file that a newer release wrote; marks a new one as ours.
pub(super) fn admit(change: &mut dyn Change) -> Result<()> {
    let Some(found) = find(change)? else {
        let ours = Format { format: FORMAT, needs: NEEDS.to_owned() };
        let json = serde_json::to_vec(&ours).expect("a format is plain data");
        change.put(META, b"format", json);
        return Ok(());
    };
    if found.format > FORMAT {
        return Err(refused(format!(
            "opening it: it has format {}, and this server, version {}, reads up to {FORMAT}: use \
             version {} or newer",
            found.format,
            env!("CARGO_PKG_VERSION"),
            found.needs,
        )));
    }
    Ok(())
}

fn find(view: &dyn View) -> Result<Option<Format>> {
    let Some(json) = view.get(META, b"format")? else {
        return Ok(None);
    };
    let format = serde_json::from_slice(&json)
        .map_err(|it| refused(format!("opening it: its format record cannot be read: {it}")))?;
    Ok(Some(format))
}

fn refused(doing: String) -> Error {
    Error::Store { doing, source: None }
}
