//! Reading a release's metadata from JSON, onto the defaults.

use serde::Deserialize;
use serde_json::Value;

use super::{
    json::{Doc, FromDoc, Misfit, members, whole},
    metadata::{
        Consumer, Dependency, Download, Errand, ExecStage, Extension, Provider, ReleaseMetadata,
        Template, Variable,
    },
};
use crate::error::{Error, Result};

/// Reads a register's body: one JSON value and nothing behind it.
pub(super) fn metadata(body: &[u8]) -> Result<ReleaseMetadata> {
    from_doc(whole(body).map_err(unreadable)?)
}

/// Reads what a before-hook has made of a release.
pub(super) fn amended(object: Value) -> Result<ReleaseMetadata> {
    from_doc(Doc::deserialize(object).map_err(unreadable)?)
}

fn from_doc(doc: Doc) -> Result<ReleaseMetadata> {
    if doc == Doc::Null {
        return Err(Error::invalid("", "Missing release metadata"));
    }
    let mut metadata = ReleaseMetadata::default();
    metadata.read(doc).map_err(unreadable)?;
    Ok(metadata)
}

fn unreadable(why: impl std::fmt::Display) -> Error {
    Error::invalid("", format!("Couldn't unmarshal JSON release metadata: {why}"))
}

/// Reads the elements of a list or map, none of which may be `null`: the original
/// fails on them.
fn no_nulls(doc: Doc) -> Result<Doc, Misfit> {
    let holds_null = match &doc {
        Doc::List(items) => items.contains(&Doc::Null),
        Doc::Object(members) => members.iter().any(|(_, it)| *it == Doc::Null),
        _ => false,
    };
    if holds_null { Err(Misfit::expected("no null element", &Doc::Null)) } else { Ok(doc) }
}

impl FromDoc for ReleaseMetadata {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "api_version" => self.api_version.read(it),
            "built_with_core_version" => self.built_with_core_version.read(it),
            "built_with_escape_version" => self.built_with_escape_version.read(it),
            "description" => self.description.read(it),
            "files" => self.files.read(it),
            "license" => self.license.read(it),
            "logo" => self.logo.read(it),
            "name" => self.name.read(it),
            "repository" => self.repository.read(it),
            "branch" => self.branch.read(it),
            "git_revision" => self.git_revision.read(it),
            "revision_message" => self.revision_message.read(it),
            "revision_author" => self.revision_author.read(it),
            "metadata" => self.metadata.read(it),
            "version" => self.version.read(it),
            "generates" => self.generates.read(it),
            "consumes" => self.consumes.read(no_nulls(it)?),
            "downloads" => self.downloads.read(no_nulls(it)?),
            "depends" => self.depends.read(no_nulls(it)?),
            "errands" => self.errands.read(it),
            "extends" => self.extends.read(no_nulls(it)?),
            "inputs" => self.inputs.read(no_nulls(it)?),
            "outputs" => self.outputs.read(no_nulls(it)?),
            "project" => self.project.read(it),
            "provides" => self.provides.read(no_nulls(it)?),
            "stages" => self.stages.read(no_nulls(it)?),
            "templates" => self.templates.read(it),
            "variable_context" => self.variable_context.read(it),
            _ => Ok(()),
        })
    }
}

impl FromDoc for Consumer {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "name" => self.name.read(it),
            "scopes" => self.scopes.read(it),
            "variable" => self.variable.read(it),
            "skip_activate" => self.skip_activate.read(it),
            "skip_deactivate" => self.skip_deactivate.read(it),
            _ => Ok(()),
        })
    }
}

impl FromDoc for Download {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "url" => self.url.read(it),
            "dest" => self.dest.read(it),
            "overwrite" => self.overwrite.read(it),
            "if_not_exists" => self.if_not_exists.read(it),
            "unpack" => self.unpack.read(it),
            "platform" => self.platform.read(it),
            "arch" => self.arch.read(it),
            "scopes" => self.scopes.read(it),
            _ => Ok(()),
        })
    }
}

impl FromDoc for Dependency {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "release_id" => self.release_id.read(it),
            "mapping" => self.mapping.read(it),
            "build_mapping" => self.build_mapping.read(it),
            "deploy_mapping" => self.deploy_mapping.read(it),
            "consumes" => self.consumes.read(it),
            "deployment_name" => self.deployment_name.read(it),
            "variable" => self.variable.read(it),
            "scopes" => self.scopes.read(it),
            _ => Ok(()),
        })
    }
}

impl FromDoc for Extension {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "release_id" => self.release_id.read(it),
            _ => Ok(()),
        })
    }
}

impl FromDoc for Provider {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "name" => self.name.read(it),
            _ => Ok(()),
        })
    }
}

impl FromDoc for Errand {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "name" => self.name.read(it),
            "description" => self.description.read(it),
            "script" => self.script.read(it),
            "exec_stage" => self.exec_stage.read(it),
            "inputs" => self.inputs.read(it),
            _ => Ok(()),
        })
    }
}

impl FromDoc for Variable {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "id" => self.id.read(it),
            "type" => self.kind.read(it),
            "default" => self.default.read(it),
            "description" => self.description.read(it),
            "friendly" => self.friendly.read(it),
            "visible" => self.visible.read(it),
            "options" => self.options.read(it),
            "sensitive" => self.sensitive.read(it),
            "items" => self.items.read(it),
            "eval_before_dependencies" => self.eval_before_dependencies.read(it),
            "scopes" => self.scopes.read(it),
            _ => Ok(()),
        })
    }
}

impl FromDoc for ExecStage {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "cmd" => self.cmd.read(it),
            "args" => self.args.read(it),
            "inline" => self.inline.read(it),
            "script" => self.script.read(it),
            _ => Ok(()),
        })
    }
}

impl FromDoc for Template {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "file" => self.file.read(it),
            "target" => self.target.read(it),
            "scopes" => self.scopes.read(it),
            "mapping" => self.mapping.read(it),
            _ => Ok(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ReleaseMetadata, metadata};

    fn read(body: &str) -> ReleaseMetadata {
        metadata(body.as_bytes()).unwrap_or_else(|it| panic!("{body}: {it}"))
    }

    #[test]
    fn what_is_not_sent_has_its_default() {
        assert_eq!(read("{}"), ReleaseMetadata::default());
        assert_eq!(read("{}").downloads, None);
        assert_eq!(read(r#"{"unknown": [1]}"#), ReleaseMetadata::default());
    }

    #[test]
    fn keys_match_without_regard_to_case_and_the_last_wins() {
        assert_eq!(read(r#"{"NAME": "a", "name": "b", "Name": "c"}"#).name, "c");
        let depends = read(r#"{"Depends": [{"Release_ID": "x"}]}"#).depends.unwrap();
        assert_eq!(depends[0].release_id, "x");
        assert_eq!(read(r#"{"files": {"A": "1", "a": "2"}}"#).files.unwrap().len(), 2);
    }

    #[test]
    fn null_for_a_scalar_keeps_the_default() {
        let body = r#"{"api_version": null, "project": null, "name": "ab", "name": null}"#;
        let read = read(body);
        assert_eq!((read.api_version, &*read.project, &*read.name), (15, "_", "ab"));
    }

    #[test]
    fn null_for_a_list_or_map_is_kept_as_null() {
        let lists =
            ["consumes", "depends", "extends", "inputs", "outputs", "provides", "templates"];
        let maps = ["files", "metadata", "errands", "stages", "variable_context"];
        for field in lists.into_iter().chain(maps) {
            let read = read(&json!({ field: null }).to_string());
            let written = serde_json::to_value(&read).unwrap();
            assert_eq!(written[field], json!(null), "{field}");
        }
        assert!(read(r#"{"generates": null}"#).generates.is_empty());
    }

    #[test]
    fn what_is_no_release_is_refused() {
        let bodies = [
            "",
            " ",
            "{",
            "[]",
            "12",
            "\"x\"",
            "{} {}",
            "{} trailing",
            "{'a': 1}",
            r#"{"name": 1}"#,
            r#"{"name": {}}"#,
            r#"{"api_version": "15"}"#,
            r#"{"api_version": 15.0}"#,
            r#"{"api_version": 1e1}"#,
            r#"{"api_version": 99999999999999999999}"#,
            r#"{"files": []}"#,
            r#"{"files": {"a": 1}}"#,
            r#"{"depends": {}}"#,
            r#"{"depends": ["a-v1"]}"#,
            r#"{"depends": [null]}"#,
            r#"{"extends": [null]}"#,
            r#"{"inputs": [null]}"#,
            r#"{"outputs": [null]}"#,
            r#"{"consumes": [null]}"#,
            r#"{"provides": [null]}"#,
            r#"{"downloads": [null]}"#,
            r#"{"stages": {"build": null}}"#,
            r#"{"stages": {"build": "x"}}"#,
            r#"{"inputs": [{"visible": "yes"}]}"#,
            r#"{"inputs": [{"default": 1e999}]}"#,
            &"[".repeat(100_000),
            &r#"{"a":"#.repeat(100_000),
        ];
        for body in bodies {
            let message = metadata(body.as_bytes()).unwrap_err().to_string();
            let expected = "Couldn't unmarshal JSON release metadata: ";
            assert!(message.starts_with(expected), "{body:.40}: {message}");
        }
        assert_eq!(metadata(b"null").unwrap_err().to_string(), "Missing release metadata");
    }

    #[test]
    fn errands_and_templates_may_hold_null() {
        let read = read(r#"{"errands": {"a": null}, "templates": [null]}"#);
        assert_eq!(read.errands.unwrap()["a"], None);
        assert_eq!(read.templates.unwrap(), [None]);
    }

    #[test]
    fn a_misfit_names_its_place() {
        let message = metadata(br#"{"depends": [{"mapping": 3}]}"#).unwrap_err().to_string();
        assert!(
            message.ends_with("expected an object, got a number in field 'depends.[0].mapping'")
        );
    }
}
