//! The checks of a register, in the original's order and words, and what each
//! part is completed with on the way.
//!
//! The order matters: it decides which message a client sees.

use super::{
    download_url,
    metadata::{
        API_VERSION, Consumer, Dependency, Download, ExecStage, Extension, List, ReleaseMetadata,
        Variable, both_scopes,
    },
    names::{NamespaceName, UnitName},
    release_id::ReleaseId,
    version::{Version, is_unresolved, is_version_or_unresolved},
};
use crate::error::{Error, Result};

const DEPENDENCY_FORMS: &str =
    r#"Expecting either a "[RELEASE_ID]" or "[RELEASE_ID] as [VARIABLE]"."#;

/// How many releases one may depend on, extend, and how many providers it may have.
/// Each is a row of its own beside the release, written while others wait.
const TIES_MAX: usize = 1000;

/// A release whose every part was checked and completed.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The unit.
    pub unit: UnitName,
    /// Its new version.
    pub version: Version,
    /// The whole release.
    pub metadata: ReleaseMetadata,
}

/// Checks and completes a release.
pub(super) fn validate(mut it: ReleaseMetadata) -> Result<Checked> {
    if it.name.is_empty() {
        return Err(Error::invalid("name", "Missing name field in release metadata"));
    }
    let unit = UnitName::parse(&it.name)?;
    if it.version.is_empty() {
        return Err(Error::invalid("version", "Missing version field in release metadata"));
    }
    if it.project.is_empty() {
        it.project = "_".to_owned();
    }
    NamespaceName::parse(&it.project)?;
    check_api_version(it.api_version)?;
    if !is_version_or_unresolved(&it.version) {
        let message = format!("Invalid version string '{}'.", it.version);
        return Err(Error::invalid("version", message));
    }
    each(&mut it.inputs, |it| variable("inputs", it))?;
    each(&mut it.outputs, |it| variable("outputs", it))?;
    check_count("depends", &it.depends)?;
    each(&mut it.depends, dependency)?;
    each(&mut it.consumes, consumer)?;
    each(&mut it.downloads, download)?;
    for (name, stage) in it.stages.iter().flatten() {
        check_stage(name, stage)?;
    }
    check_count("extends", &it.extends)?;
    each(&mut it.extends, extension)?;
    check_count("provides", &it.provides)?;
    if is_unresolved(&it.version) {
        return Err(Error::invalid("version", "Can't add release with unresolved version"));
    }
    let version = Version::parse(&it.version).expect("a version that needs no resolving");
    Ok(Checked { unit, version, metadata: it })
}

fn each<T>(list: &mut List<T>, check: impl Fn(&mut T) -> Result<()>) -> Result<()> {
    list.iter_mut().flatten().try_for_each(check)
}

fn check_count<T>(field: &str, list: &List<T>) -> Result<()> {
    match list.as_ref().map_or(0, Vec::len) {
        count if count > TIES_MAX => Err(Error::invalid(
            field,
            format!(
                "The field '{field}' has {count} elements, but a release may have at most \
                 {TIES_MAX}. Split the release."
            ),
        )),
        _ => Ok(()),
    }
}

fn check_api_version(api_version: i64) -> Result<()> {
    if (1..=API_VERSION).contains(&api_version) {
        return Ok(());
    }
    Err(Error::invalid(
        "api_version",
        format!(
            "The release metadata is compiled with a version of Escape targetting API version \
             v{api_version}, but this build supports up to v{API_VERSION}"
        ),
    ))
}

fn variable(field: &str, it: &mut Variable) -> Result<()> {
    if it.id.is_empty() {
        return Err(Error::invalid(field, "Variable object is missing an 'id'"));
    }
    let id = it.id.trim();
    if !is_identifier(id) {
        return Err(Error::invalid(field, format!("Invalid variable format '{}'", it.id)));
    }
    refuse_previous(field, id)?;
    it.id = id.to_owned();
    fill_scopes(&mut it.scopes);
    Ok(())
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_alphabetic())
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'_')
}

/// Variables that start so are the deployment's own.
fn refuse_previous(field: &str, id: &str) -> Result<()> {
    match id.get(..9) {
        Some(start) if start.eq_ignore_ascii_case("PREVIOUS_") => Err(Error::invalid(
            field,
            format!(
                "Invalid variable format '{id}'. Variable is not allowed to start with 'PREVIOUS_'"
            ),
        )),
        _ => Ok(()),
    }
}

fn dependency(it: &mut Dependency) -> Result<()> {
    let sent = &it.release_id;
    let words: Vec<_> = sent.split(' ').filter(|it| !it.trim().is_empty()).collect();
    let (id, renamed) = match words[..] {
        [id] => (ReleaseId::parse(id)?, None),
        [id, word, name] => (ReleaseId::parse(id)?, Some((word, name))),
        _ => return Err(malformed_dependency(sent, DEPENDENCY_FORMS)),
    };
    if let Some((word, name)) = renamed {
        check_renaming(sent, word, name)?;
    }
    if id.needs_resolving() {
        let message = format!("The dependency '{id}' needs its version resolved.");
        return Err(Error::invalid("depends", message));
    }
    let plain = format!("{}/{}", id.project, id.name);
    if it.variable.is_empty() {
        it.variable = renamed.map_or(plain, |(_, name)| name.trim().to_owned());
    }
    it.deployment_name.clone_from(&it.variable);
    it.release_id = id.to_string();
    it.build_mapping.get_or_insert_default();
    it.deploy_mapping.get_or_insert_default();
    fill_scopes(&mut it.scopes);
    Ok(())
}

fn check_renaming(sent: &str, word: &str, name: &str) -> Result<()> {
    if word != "as" {
        return Err(Error::invalid(
            "depends",
            format!("Unexpected '{word}'; expecting 'as' in '{sent}. {DEPENDENCY_FORMS}'"),
        ));
    }
    if !is_identifier(name.trim()) {
        return Err(malformed_dependency(sent, &format!("Invalid variable format '{name}'")));
    }
    refuse_previous("depends", name.trim())
        .map_err(|it| malformed_dependency(sent, &it.to_string()))
}

fn malformed_dependency(sent: &str, why: &str) -> Error {
    Error::invalid("depends", format!("Malformed dependency string '{sent}'. {why}"))
}

fn consumer(it: &mut Consumer) -> Result<()> {
    if it.name.is_empty() {
        return Err(Error::invalid("consumes", "Missing name for Consumer"));
    }
    if it.variable.is_empty() {
        it.variable.clone_from(&it.name);
    }
    fill_scopes(&mut it.scopes);
    Ok(())
}

fn download(it: &mut Download) -> Result<()> {
    if it.url.is_empty() {
        return Err(Error::invalid("downloads", "Missing URL in download config."));
    }
    if it.dest.is_empty() {
        let message = format!("Missing 'dest' in download config for '{}'", it.url);
        return Err(Error::invalid("downloads", message));
    }
    download_url::check(&it.url)?;
    fill_scopes(&mut it.scopes);
    Ok(())
}

fn check_stage(name: &str, stage: &ExecStage) -> Result<()> {
    let set = [&stage.cmd, &stage.inline, &stage.script].iter().filter(|it| !it.is_empty()).count();
    if set <= 1 {
        return Ok(());
    }
    Err(Error::invalid(
        "stages",
        format!(
            "Found a problem in the '{name}' field: More than one field is set. \
             Please specify only one of script, cmd or inline."
        ),
    ))
}

/// The original keeps a release whose `extends` it cannot read and then fails to
/// start; so it is read first, and not changed.
fn extension(it: &mut Extension) -> Result<()> {
    ReleaseId::parse(&it.release_id).map(drop)
}

fn fill_scopes(scopes: &mut List<String>) {
    if scopes.as_ref().is_none_or(Vec::is_empty) {
        *scopes = both_scopes();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Checked, validate};
    use crate::{error::Result, inventory::decode};

    fn checked(fields: Value) -> Result<Checked> {
        let mut release = json!({ "name": "app", "version": "0.0.1" });
        for (name, value) in fields.as_object().unwrap() {
            release[name] = value.clone();
        }
        validate(decode::metadata(release.to_string().as_bytes())?)
    }

    #[track_caller]
    fn refused(fields: Value, expected: &str) {
        assert_eq!(checked(fields).unwrap_err().to_string(), expected);
    }

    #[track_caller]
    fn completed(fields: Value) -> Value {
        serde_json::to_value(checked(fields).unwrap().metadata).unwrap()
    }

    #[test]
    fn names_versions_and_projects_are_checked_in_order() {
        refused(json!({ "name": "" , "version": "" }), "Missing name field in release metadata");
        refused(json!({ "name": "Bad", "version": "" }), "Invalid name 'Bad'");
        refused(json!({ "name": "list" }), "The name 'list' is a protected variable.");
        refused(
            json!({ "version": "", "project": "X" }),
            "Missing version field in release metadata",
        );
        refused(json!({ "project": "X", "api_version": 16 }), "Invalid name 'X'");
        for wrong in [-1, 0, 16] {
            let expected = format!(
                "The release metadata is compiled with a version of Escape targetting API version \
                 v{wrong}, but this build supports up to v15"
            );
            refused(json!({ "api_version": wrong, "version": "x" }), &expected);
        }
        refused(json!({ "version": "v1" }), "Invalid version string 'v1'.");
        assert_eq!(completed(json!({ "project": "" }))["project"], "_");
    }

    #[test]
    fn an_unresolved_version_is_refused_last() {
        let last = "Can't add release with unresolved version";
        for version in ["latest", "@", "1.@"] {
            refused(json!({ "version": version }), last);
            refused(json!({ "version": version, "consumes": [{}] }), "Missing name for Consumer");
        }
    }

    #[test]
    fn variables_need_an_identifier() {
        for field in ["inputs", "outputs"] {
            let with = |id: &str| json!({ field: [{ "id": id }] });
            refused(with(""), "Variable object is missing an 'id'");
            for id in ["1a", "a b", "$a", "-a", "_a", "a.b", " ", "ä"] {
                refused(with(id), &format!("Invalid variable format '{id}'"));
            }
            for start in ["PREVIOUS_", "previous_", "Previous_"] {
                let expected = format!(
                    "Invalid variable format '{start}x'. Variable is not allowed to start with 'PREVIOUS_'"
                );
                refused(with(&format!("{start}x")), &expected);
            }
            let variable = &completed(with("  a-B_9 "))[field][0];
            let expected = json!({
                "id": "a-B_9", "type": "", "visible": false, "items": null,
                "eval_before_dependencies": false, "scopes": ["build", "deploy"],
            });
            assert_eq!(variable, &expected);
        }
        refused(
            json!({ "inputs": [{ "id": "1" }], "depends": [{}] }),
            "Invalid variable format '1'",
        );
    }

    #[test]
    fn dependencies_are_refused_in_the_originals_words() {
        let depends = |id: &str| json!({ "depends": [{ "release_id": id }] });
        let forms = super::DEPENDENCY_FORMS;
        for id in ["", " ", "a-v1 as", "a-v1 as b c"] {
            refused(depends(id), &format!("Malformed dependency string '{id}'. {forms}"));
        }
        let expected = format!("Unexpected 'is'; expecting 'as' in 'a-v1 is b. {forms}'");
        refused(depends("a-v1 is b"), &expected);
        refused(depends("name"), "Invalid release format: name.");
        let expected = "Invalid version string in release ID 'name-x': 'x' is not a valid version.";
        refused(depends("name-x"), expected);
        for (id, echoed) in [
            ("p/n-latest", "p/n-latest"),
            ("n-@", "_/n-latest"),
            ("p/n-v1.@", "p/n-v1.@"),
            ("p/n:live", "p/n:live"),
        ] {
            refused(depends(id), &format!("The dependency '{echoed}' needs its version resolved."));
        }
        let expected = "Malformed dependency string 'a-v1 as 1'. Invalid variable format '1'";
        refused(depends("a-v1 as 1"), expected);
    }

    #[test]
    fn dependencies_are_completed() {
        let first =
            |dependency: Value| completed(json!({ "depends": [dependency] }))["depends"][0].clone();
        assert_eq!(
            first(json!({ "release_id": "lib-v1.0", "deployment_name": "mine" })),
            json!({
                "release_id": "_/lib-v1.0", "mapping": null, "build_mapping": {},
                "deploy_mapping": {}, "consumes": null, "deployment_name": "_/lib",
                "variable": "_/lib", "scopes": ["build", "deploy"],
            })
        );
        let renamed = first(json!({ "release_id": "  p/lib-v1.0   as  db " }));
        assert_eq!(renamed["release_id"], "p/lib-v1.0");
        assert_eq!(
            (&renamed["variable"], &renamed["deployment_name"]),
            (&json!("db"), &json!("db"))
        );
        let sent = first(json!({
            "release_id": "p/lib-v1.0 as db", "variable": "own", "scopes": ["build"],
            "mapping": { "a": 1.50 },
        }));
        assert_eq!((&sent["variable"], &sent["deployment_name"]), (&json!("own"), &json!("own")));
        assert_eq!(sent["scopes"], json!(["build"]));
        assert_eq!(sent["mapping"].to_string(), r#"{"a":1.5}"#);
    }

    #[test]
    fn consumers_downloads_and_stages_are_checked_and_completed() {
        refused(json!({ "consumes": [{ "name": "" }] }), "Missing name for Consumer");
        let consumer =
            &completed(json!({ "consumes": [{ "name": "db", "scopes": [] }] }))["consumes"][0];
        assert_eq!(
            consumer,
            &json!({
                "name": "db", "scopes": ["build", "deploy"], "variable": "db",
                "skip_activate": false, "skip_deactivate": false,
            })
        );
        let download =
            |url: &str, dest: &str| json!({ "downloads": [{ "url": url, "dest": dest }] });
        refused(download("", "x"), "Missing URL in download config.");
        refused(download("http://a", ""), "Missing 'dest' in download config for 'http://a'");
        refused(download("a/b", "x"), "Missing URL scheme in download config 'a/b'");
        let kept = &completed(download("https://a/b?c=d", "x"))["downloads"][0];
        assert_eq!(kept["scopes"], json!(["build", "deploy"]));
        assert_eq!(kept["if_not_exists"], json!(null));
        refused(
            json!({ "stages": { "build": { "cmd": "a", "inline": "b" } } }),
            "Found a problem in the 'build' field: More than one field is set. \
             Please specify only one of script, cmd or inline.",
        );
        let stages =
            &completed(json!({ "stages": { "build": { "script": "a" }, "test": {} } }))["stages"];
        assert_eq!(stages, &json!({ "build": { "script": "a" }, "test": {} }));
    }

    #[test]
    fn ties_to_others_are_limited() {
        type Form = fn(usize) -> Value;
        let some = |count: usize, form: Form| (0..count).map(form).collect::<Value>();
        let forms: [(&str, Form); 3] = [
            ("depends", |it| json!({ "release_id": format!("l{it}x-v1") })),
            ("extends", |it| json!({ "release_id": format!("l{it}x-v1") })),
            ("provides", |it| json!({ "name": it.to_string() })),
        ];
        for (field, form) in forms {
            completed(json!({ field: some(1000, form) }));
            let expected = format!(
                "The field '{field}' has 1001 elements, but a release may have at most 1000. \
                 Split the release."
            );
            refused(json!({ field: some(1001, form) }), &expected);
        }
    }

    #[test]
    fn extensions_must_be_readable_and_are_not_changed() {
        let extends = |id: &str| json!({ "extends": [{ "release_id": id }] });
        refused(extends("nonsense"), "Invalid release format: nonsense.");
        assert_eq!(completed(extends("n-v1"))["extends"][0]["release_id"], "n-v1");
    }
}
