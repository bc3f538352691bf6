//! Secrets that the operator bound to a plugin by name.
//!
//! They are read when the binding is built, so a call never waits for a disk, and a
//! rotated secret is taken up when the set of plugins is built anew.

use std::{collections::BTreeMap, fmt, fs, io::Read, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    plugins::types::SecretError,
};

/// Which secrets a binding may use, and which it may read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Names usable as `{secret:NAME}` in an HTTP header.
    pub r#use: Vec<String>,
    /// Names that may be read, too.
    pub reveal: Vec<String>,
}

/// The secrets of one binding: only those that its grant names.
#[derive(Clone, Default)]
pub struct Secrets {
    grant: Grant,
    values: Arc<BTreeMap<String, Result<Vec<u8>, String>>>,
}

/// Longer than any key; a file that is larger is not a secret.
const BYTES_MAX: u64 = 64 << 10;

// What is inside never reaches a log by way of `{:?}`.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secrets {
    /// Reads the granted secrets from their sources: `env:VARIABLE` or `file:PATH`.
    /// A source that cannot be read is remembered as such; one that cannot be
    /// understood is an error.
    pub fn read(grant: Option<&Grant>, sources: &BTreeMap<String, String>) -> Result<Secrets> {
        let grant = grant.cloned().unwrap_or_default();
        let mut values = BTreeMap::new();
        for (name, source) in sources {
            let value = read_source(name, source)?;
            if grant.r#use.contains(name) || grant.reveal.contains(name) {
                values.insert(name.clone(), value);
            }
        }
        Ok(Secrets { grant, values: Arc::new(values) })
    }

    /// The granted ones of these secrets.
    pub fn of(grant: Option<&Grant>, all: &BTreeMap<String, String>) -> Secrets {
        let grant = grant.cloned().unwrap_or_default();
        let is_granted = |name: &String| grant.r#use.contains(name) || grant.reveal.contains(name);
        let granted = all.iter().filter(|(name, _)| is_granted(name));
        let values = granted.map(|(name, it)| (name.clone(), Ok(it.clone().into_bytes())));
        Secrets { values: Arc::new(values.collect()), grant }
    }

    /// Hands over a secret that may be read.
    pub fn reveal(&self, name: &str) -> Result<Vec<u8>, SecretError> {
        if !self.grant.reveal.iter().any(|it| it == name) {
            return Err(SecretError::NotGranted);
        }
        match self.values.get(name) {
            None => Err(SecretError::NotFound),
            Some(Err(why)) => Err(SecretError::Unavailable(why.clone())),
            Some(Ok(value)) => Ok(value.clone()),
        }
    }

    /// Fills each `{secret:NAME}` of a text in. The error says which name and why.
    pub(crate) fn fill_in(&self, text: &str) -> Result<Vec<u8>, String> {
        let mut filled = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{secret:") {
            let Some((name, after)) = after.split_once('}') else { break };
            filled.extend_from_slice(before.as_bytes());
            filled.extend_from_slice(self.usable(name)?);
            rest = after;
        }
        filled.extend_from_slice(rest.as_bytes());
        Ok(filled)
    }

    fn usable(&self, name: &str) -> Result<&[u8], String> {
        let granted = [&self.grant.r#use, &self.grant.reveal];
        if !granted.iter().any(|it| it.iter().any(|it| it == name)) {
            return Err(format!("secret `{name}` is not granted: add it to `secrets.use`"));
        }
        match self.values.get(name) {
            None => Err(format!("secret `{name}` has no source")),
            Some(Err(why)) => Err(format!("secret `{name}`: {why}")),
            Some(Ok(value)) => Ok(value),
        }
    }
}

fn read_source(name: &str, source: &str) -> Result<Result<Vec<u8>, String>> {
    if let Some(read) = pointed_at(source) {
        return Ok(read);
    }
    // The text is not repeated: it may be the secret itself, put in the wrong place.
    Err(Error::invalid(
        format!("secrets.{name}"),
        format!("the source of secret `{name}` must be `env:VARIABLE` or `file:PATH`"),
    ))
}

/// What `env:VARIABLE` or `file:PATH` points at, or why that cannot be read; nothing
/// for a text that is neither.
pub(crate) fn pointed_at(source: &str) -> Option<Result<Vec<u8>, String>> {
    if let Some(variable) = source.strip_prefix("env:") {
        let value = std::env::var_os(variable).map(|it| it.into_encoded_bytes());
        return Some(value.ok_or_else(|| format!("variable `{variable}` is not set")));
    }
    source.strip_prefix("file:").map(|path| read_file(Path::new(path)))
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let why = |it: std::io::Error| format!("`{}` cannot be read: {it}", path.display());
    let mut value = Vec::new();
    fs::File::open(path)
        .and_then(|it| it.take(BYTES_MAX + 1).read_to_end(&mut value))
        .map_err(why)?;
    if value.len() as u64 > BYTES_MAX {
        return Err(format!("`{}` is larger than {BYTES_MAX} bytes", path.display()));
    }
    // Editors end a file with a new line; no header may hold one.
    if value.ends_with(b"\n") {
        value.pop();
    }
    if value.ends_with(b"\r") {
        value.pop();
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(r#use: &[&str], reveal: &[&str], sources: &[(&str, &str)]) -> Secrets {
        let owned = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let grant = Grant { r#use: owned(r#use), reveal: owned(reveal) };
        let sources = sources.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Secrets::read(Some(&grant), &sources).unwrap()
    }

    #[test]
    fn nothing_is_revealed_or_filled_in_without_a_grant() {
        let sources = [("key".to_owned(), "env:PATH".to_owned())].into();
        let none = Secrets::read(None, &sources).unwrap();
        assert_eq!(none.reveal("key"), Err(SecretError::NotGranted));
        assert!(none.fill_in("{secret:key}").unwrap_err().contains("not granted"));
        assert_eq!(Secrets::default().reveal("key"), Err(SecretError::NotGranted));
    }

    #[test]
    fn using_a_secret_is_not_reading_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "s3cret\n").unwrap();
        let source = format!("file:{}", file.path().display());
        let used = secrets(&["key"], &[], &[("key", &source)]);
        assert_eq!(used.reveal("key"), Err(SecretError::NotGranted));
        assert_eq!(used.fill_in("Bearer {secret:key}!").unwrap(), b"Bearer s3cret!");
        let read = secrets(&[], &["key"], &[("key", &source)]);
        assert_eq!(read.reveal("key").unwrap(), b"s3cret");
        assert!(!format!("{read:?}").contains("s3cret"));
    }

    #[test]
    fn a_source_that_is_not_there_says_so() {
        let missing =
            secrets(&[], &["a", "b"], &[("a", "file:/no/such/file"), ("b", "env:NO_SUCH_VAR")]);
        assert!(matches!(missing.reveal("a"), Err(SecretError::Unavailable(_))));
        assert!(matches!(missing.reveal("b"), Err(SecretError::Unavailable(_))));
        assert_eq!(secrets(&[], &["c"], &[]).reveal("c"), Err(SecretError::NotFound));
        let odd = [("key".to_owned(), "hunter2".to_owned())].into();
        let error = Secrets::read(None, &odd).unwrap_err().to_string();
        assert!(error.contains("env:VARIABLE") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_brace_that_is_no_secret_is_left_alone() {
        let none = Secrets::default();
        assert_eq!(none.fill_in("{a} {secret:open").unwrap(), b"{a} {secret:open");
    }
}
