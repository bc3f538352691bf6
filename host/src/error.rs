//! What can go wrong, said without HTTP.
//!
//! A variant for each thing that a *caller* could do about it. Each API family
//! turns an [`Error`] into a status and a body in its own `answer` module, and
//! nowhere else.

use std::{error, fmt, time::Duration};

/// The result of every operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What lies under an [`Error`].
pub type Source = Box<dyn error::Error + Send + Sync + 'static>;

/// An operation's failure.
#[derive(Debug)]
pub enum Error {
    /// The request is understood and cannot be right: fix it and try again.
    Invalid {
        /// The offending field, as the caller spells it; empty where the whole is wrong.
        field: String,
        /// What is wrong with it and what would be right.
        message: String,
    },
    /// The thing named does not exist, or the caller may not know that it does.
    NotFound {
        /// The kind of thing: "namespace", "unit", "release", "package".
        what: &'static str,
        /// Its name, as the caller gave it.
        name: String,
    },
    /// Something with that name is already there.
    AlreadyExists {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The state of things does not allow it now; the sentence says why.
    Conflict(String),
    /// Another operation holds it: wait for its end, and try again.
    Held {
        /// That it is not to be had now.
        message: String,
        /// Who holds it, for what and since when.
        by: String,
    },
    /// It is needed, or not ours to delete; the sentence says so.
    Undeletable(String),
    /// There is nothing to do: what is asked for is there already; the sentence says so.
    Unchanged(String),
    /// The thing is not as the caller expects it to be; the sentence says so.
    Outdated(String),
    /// It was there once, and is kept no longer; the sentence says what to ask for.
    Gone(String),
    /// The policy said no; the sentence may be shown.
    Denied(String),
    /// A before-hook said no.
    Refused {
        /// The binding that refused.
        hook: String,
        /// Machine-readable, the hook's own: `quota.exceeded`.
        code: String,
        /// The hook's sentence, shown to the caller as it is.
        message: String,
    },
    /// More bytes than a limit allows.
    TooLarge {
        /// What is too large: "package", "body".
        what: &'static str,
        /// The limit.
        limit_bytes: u64,
    },
    /// Too much at once: the same request may work later.
    Busy {
        /// What there is too much of.
        what: &'static str,
        /// When to come back.
        retry_after: Duration,
    },
    /// A plugin trapped, ran out of something, or answered nonsense.
    Plugin {
        /// The binding's name.
        plugin: String,
        /// What happened, naming the limit if it was one.
        message: String,
        /// What lies under it.
        source: Option<Source>,
    },
    /// The store or the disk failed: never the caller's fault.
    Store {
        /// What was being done.
        doing: String,
        /// What lies under it.
        source: Option<Source>,
    },
    /// A bug or a broken environment.
    Internal(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid { message, .. }
            | Error::Conflict(message)
            | Error::Undeletable(message)
            | Error::Unchanged(message)
            | Error::Outdated(message)
            | Error::Gone(message) => f.write_str(message),
            Error::Held { message, by } => write!(f, "{message}: {by}"),
            Error::NotFound { what, name } => write!(f, "{what} `{name}` does not exist"),
            Error::AlreadyExists { what, name } => write!(f, "{what} `{name}` already exists"),
            Error::Denied(why) => f.write_str(why),
            Error::Refused { message, .. } => f.write_str(message),
            Error::TooLarge { what, limit_bytes } => {
                write!(f, "the {what} is larger than the limit of {limit_bytes} bytes")
            }
            Error::Busy { what, .. } => write!(f, "too many {what} at once, try again"),
            Error::Plugin { plugin, message, .. } => write!(f, "plugin `{plugin}`: {message}"),
            Error::Store { doing, .. } => write!(f, "the store failed while {doing}"),
            Error::Internal(what) => f.write_str(what),
        }
    }
}

// Each message says its own part only; the log walks `source()` for the rest.
impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::Plugin { source, .. } | Error::Store { source, .. } => {
                source.as_deref().map(|it| it as &(dyn error::Error + 'static))
            }
            _ => None,
        }
    }
}

/// What an error says, and what each error under it says, for the log.
pub fn chain(error: &dyn error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

impl Error {
    /// An [`Error::Invalid`] of a field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Invalid { field: field.into(), message: message.into() }
    }

    /// An [`Error::NotFound`].
    pub fn not_found(what: &'static str, name: impl Into<String>) -> Self {
        Error::NotFound { what, name: name.into() }
    }

    /// An [`Error::Store`] with what lies under it.
    pub fn store(doing: impl Into<String>, source: impl Into<Source>) -> Self {
        Error::Store { doing: doing.into(), source: Some(source.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_says_what_each_error_says() {
        let disk = std::io::Error::other("the disk is full");
        let error = Error::store("committing", Error::store("writing a page", disk));
        assert_eq!(
            chain(&error),
            "the store failed while committing: the store failed while writing a page: the disk \
             is full"
        );
    }
}
