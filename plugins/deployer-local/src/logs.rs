//! What applications have written.

use chandlery_sdk::{
    deployer::{LogLines, LogPage, LogPlace, LogText, LogWant, PluginError},
    process::{Output, ProcessError, StartAt},
};

use crate::{
    host::{Host, Read},
    instance::{Handle, Instance},
    plan,
};

const ENDS_BYTES_MAX: u32 = 256 << 10;
/// Less is not worth a call: it waits for the next one.
const READ_BYTES_MIN: u32 = 1 << 10;
const OUTPUTS: [(&str, Output); 2] = [("stdout", Output::Stdout), ("stderr", Output::Stderr)];

/// One output of an instance, and how far it was read.
struct Source<'a> {
    instance: &'a Instance,
    name: &'static str,
    output: Output,
    position: Option<&'a str>,
}

/// The ends of both outputs of each instance, each below its name.
pub(crate) fn ends(
    host: &impl Host,
    handle: &str,
    instance: Option<&str>,
    limit_bytes: u32,
) -> Result<LogPage, PluginError> {
    let handle = Handle::read(handle)?;
    let wanted: Vec<_> = wanted(&handle, instance).collect();
    let pieces = u32::try_from(wanted.len() * 2).unwrap_or(u32::MAX).max(1);
    let each = limit_bytes.min(ENDS_BYTES_MAX) / pieces;
    let mut text = String::new();
    for it in wanted {
        for (name, output) in OUTPUTS.into_iter().rev() {
            let piece = match host.tail(&it.process, output, each) {
                Ok(piece) => piece,
                Err(ProcessError::NotFound) => String::new(),
                Err(error) => return Err(plan::failure(error)),
            };
            if !piece.is_empty() {
                text += &format!("{name}:\n{piece}\n");
            }
        }
    }
    Ok(LogPage { text, next: None })
}

/// The lines that have come, of each output in its turn.
pub(crate) fn read(
    host: &impl Host,
    handle: &str,
    want: &LogWant,
) -> Result<LogLines, PluginError> {
    let handle = Handle::read(handle)?;
    let sources = sources(&handle, want);
    // Of ends each has its part; what comes is bounded so that none keeps all others out.
    let part = want.limit_bytes / u32::try_from(sources.len()).unwrap_or(u32::MAX).max(1);
    let most = if want.newest { part } else { part.max(want.limit_bytes / 4) };
    let most = most.max(READ_BYTES_MIN);
    let mut left = want.limit_bytes.max(most);
    let mut lines = LogLines { texts: Vec::new(), more: false };
    for it in sources {
        if left < READ_BYTES_MIN && !want.newest {
            lines.more = true;
            break;
        }
        let start = match it.position {
            Some(position) => StartAt::Behind(position.to_owned()),
            None if want.newest => StartAt::Newest,
            None => StartAt::Oldest,
        };
        let max_bytes = if want.newest { most } else { most.min(left) };
        let read = Read { start, max_bytes, unfinished: want.unfinished };
        let piece = match host.read_lines(&it.instance.process, it.output, &read) {
            Ok(piece) => piece,
            // It runs no more, or not yet.
            Err(ProcessError::NotFound) => continue,
            Err(error) => return Err(plan::failure(error)),
        };
        left = left.saturating_sub(u32::try_from(piece.text.len()).unwrap_or(u32::MAX));
        lines.more |= piece.more;
        let place = LogPlace {
            instance: it.instance.id.clone(),
            output: it.name.to_owned(),
            position: piece.next,
        };
        lines.texts.push(LogText { place, text: piece.text, gap: piece.gap });
    }
    Ok(lines)
}

/// What is to be read, in turn: what was read longest ago first, what is new last.
fn sources<'a>(handle: &'a Handle, want: &'a LogWant) -> Vec<Source<'a>> {
    let place_of = |id: &str, name: &str| {
        want.read.iter().position(|it| it.instance == id && it.output == name)
    };
    let mut found = Vec::new();
    for instance in wanted(handle, want.instance.as_deref()) {
        for (name, output) in OUTPUTS {
            let at = place_of(&instance.id, name);
            let position = at.map(|it| want.read[it].position.as_str());
            found.push((at.unwrap_or(usize::MAX), Source { instance, name, output, position }));
        }
    }
    found.sort_by_key(|it| it.0);
    found.into_iter().map(|it| it.1).collect()
}

fn wanted<'a>(handle: &'a Handle, instance: Option<&'a str>) -> impl Iterator<Item = &'a Instance> {
    handle.instances.iter().filter(move |it| instance.is_none_or(|id| id == it.id))
}
