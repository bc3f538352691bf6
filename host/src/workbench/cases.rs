//! Cases: what a plugin is called with, what the world answers it, and what it should
//! answer. In TOML; what stands at the top of a file holds for each of its cases that
//! does not say otherwise.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{calls::Call, input::json};
use crate::{
    capabilities::Grants,
    error::{Error, Result},
    plugins::Limits,
};

/// When it is in a case that does not say: 2026-01-01T00:00:00Z.
const NOW_MS: u64 = 1_767_225_600_000;

/// One case, complete.
#[derive(Clone, Debug)]
pub struct Case {
    /// A sentence that is true of the plugin.
    pub name: String,
    /// The folder of its file, which paths in it start from.
    pub(super) folder: PathBuf,
    pub(super) kind: Option<String>,
    pub(super) call: Option<Call>,
    pub(super) settings: Value,
    pub(super) grants: Grants,
    /// The secrets themselves, by name.
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) limits: Limits,
    pub(super) now_ms: u64,
    pub(super) input: Value,
    pub(super) http: Vec<HttpAnswer>,
    pub(super) process: Vec<ProcessAnswer>,
    pub(super) artifacts: BTreeMap<String, Bytes>,
    /// Texts that log lines have to contain, in this order.
    pub(super) log: Vec<String>,
    /// `None` for a call that is only to be shown.
    pub(super) expect: Option<Value>,
}

/// What answers one request. The first that fits and has not answered yet is taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct HttpAnswer {
    /// Any, where absent; so with the next three.
    pub(super) method: Option<String>,
    pub(super) url: Option<toml::Value>,
    /// Those that are named, in lower case.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, toml::Value>,
    /// A text or a wish for one; a table or a list is held against the body as JSON.
    pub(super) body: Option<toml::Value>,
    /// The answer; 200 and nothing where absent.
    #[serde(default)]
    pub(super) answer: Response,
    /// Why there is none: `timeout`, `too-large`, or `{ connect = "refused" }`.
    pub(super) error: Option<toml::Value>,
}

/// What is answered to a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    /// A text as it is; anything else as JSON.
    pub(super) body: Option<toml::Value>,
}

impl Default for Response {
    fn default() -> Response {
        Response { status: 200, headers: BTreeMap::new(), body: None }
    }
}

/// What answers one call of `process`. The first that fits and has not answered yet is
/// taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ProcessAnswer {
    /// `start`, `status`, `stop`, `forget` or `tail`.
    pub(super) call: String,
    /// The process; any where absent.
    pub(super) name: Option<toml::Value>,
    /// What `start` is asked for.
    pub(super) spec: Option<toml::Value>,
    /// The state; for `tail` the text.
    pub(super) answer: Option<toml::Value>,
    /// Why not: `not-found`, `conflict`, `quota`, `{ denied = "…" }`, `{ failed = "…" }`.
    pub(super) error: Option<toml::Value>,
}

/// Bytes, as text or as a file beside the cases.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Bytes {
    Text(String),
    File { file: PathBuf },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    kind: Option<String>,
    settings: Option<toml::Value>,
    #[serde(default)]
    grants: Grants,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    #[serde(default)]
    limits: Limits,
    now: Option<toml::Value>,
    #[serde(default, rename = "case")]
    cases: Vec<WrittenCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenCase {
    name: String,
    kind: Option<String>,
    settings: Option<toml::Value>,
    grants: Option<Grants>,
    secrets: Option<BTreeMap<String, String>>,
    limits: Option<Limits>,
    now: Option<toml::Value>,
    call: Option<Call>,
    #[serde(default)]
    input: toml::Table,
    #[serde(default)]
    http: Vec<HttpAnswer>,
    #[serde(default)]
    process: Vec<ProcessAnswer>,
    #[serde(default)]
    artifacts: BTreeMap<String, Bytes>,
    #[serde(default)]
    log: Vec<String>,
    expect: toml::Value,
}

/// Reads a file of cases.
pub fn read(path: &Path) -> Result<Vec<Case>> {
    let wrong = |what: String| Error::invalid("cases", format!("`{}`: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|it| wrong(format!("it cannot be read: {it}")))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    parse(&text, folder).map_err(wrong)
}

fn parse(text: &str, folder: &Path) -> std::result::Result<Vec<Case>, String> {
    let mut file: Written = toml::from_str(text).map_err(|it| it.to_string())?;
    let cases = std::mem::take(&mut file.cases);
    if cases.is_empty() {
        return Err("it has no cases: write `[[case]]` with a `name`, an `input` and what to \
                    `expect`"
            .to_owned());
    }
    for (index, case) in cases.iter().enumerate() {
        if cases[..index].iter().any(|it| it.name == case.name) {
            return Err(format!("there are two cases `{}`", case.name));
        }
    }
    cases.into_iter().map(|it| it.complete(&file, folder)).collect()
}

impl WrittenCase {
    fn complete(self, file: &Written, folder: &Path) -> std::result::Result<Case, String> {
        let now = self.now.as_ref().or(file.now.as_ref());
        let now_ms = now.map_or(Ok(NOW_MS), |it| {
            moment(it).ok_or_else(|| {
                format!("case `{}`: `now` is a date with its time, or milliseconds", self.name)
            })
        })?;
        let settings = self.settings.or_else(|| file.settings.clone());
        Ok(Case {
            name: self.name,
            folder: folder.to_owned(),
            kind: self.kind.or_else(|| file.kind.clone()),
            call: self.call,
            settings: settings.map_or_else(|| Value::Object(Default::default()), json),
            grants: self.grants.unwrap_or_else(|| file.grants.clone()),
            secrets: self.secrets.unwrap_or_else(|| file.secrets.clone()),
            limits: self.limits.unwrap_or_else(|| file.limits.clone()),
            now_ms,
            input: json(toml::Value::Table(self.input)),
            http: self.http,
            process: self.process,
            artifacts: self.artifacts,
            log: self.log,
            expect: Some(json(self.expect)),
        })
    }
}

/// A date with its time, in TOML's own form or as text, or milliseconds since the epoch.
fn moment(value: &toml::Value) -> Option<u64> {
    let text = match value {
        toml::Value::Integer(it) => return u64::try_from(*it).ok(),
        toml::Value::Datetime(it) => it.to_string(),
        toml::Value::String(it) => it.clone(),
        _ => return None,
    };
    let text =
        if text.ends_with(['Z', 'z']) || text.contains('+') { text } else { format!("{text}Z") };
    let moment = OffsetDateTime::parse(&text.replacen(' ', "T", 1), &Rfc3339).ok()?;
    u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_at_the_top_holds_where_a_case_says_nothing_else() {
        let text = r#"
            settings = { allowed = ["MIT"] }
            grants = { clock = true }
            now = 2026-02-03T04:05:06Z

            [[case]]
            name = "one"
            input = { action = "x", at = 2026-01-01 }
            expect = "allow"

            [[case]]
            name = "two"
            call = "review"
            settings = {}
            grants = {}
            now = 5
            expect = { deny = { code = "x" } }
        "#;
        let cases = parse(text, Path::new("cases")).unwrap();
        assert_eq!(cases[0].settings, json!({"allowed": ["MIT"]}));
        assert!(cases[0].grants.clock);
        assert_eq!(cases[0].now_ms, 1_770_091_506_000);
        assert_eq!(cases[0].input, json!({"action": "x", "at": "2026-01-01"}));
        assert_eq!(cases[1].settings, json!({}));
        assert!(!cases[1].grants.clock);
        assert_eq!((cases[1].now_ms, cases[1].call), (5, Some(Call::Review)));
        assert_eq!(cases[1].expect, Some(json!({"deny": {"code": "x"}})));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        for (text, part) in [
            ("", "no cases"),
            ("[[case]]\nname = 'x'", "missing field `expect`"),
            ("[[case]]\nname = 'x'\nexpect = 1\ncolour = 'red'", "colour"),
            ("[[case]]\nname = 'x'\nexpect = 1\ncall = 'sing'", "sing"),
            ("[[case]]\nname = 'x'\nexpect = 1\nnow = 'noon'", "`now` is a date"),
            ("[[case]]\nname='x'\nexpect=1\n[[case]]\nname='x'\nexpect=1", "two cases `x`"),
            ("[[case]]\nname = 'x'\nexpect = 1\n[case.grants]\nfly = true", "fly"),
        ] {
            let why = parse(text, Path::new("")).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
