//! What each part of a release is compared by, in the original's names and order.

use serde_json::Value;

use super::{Changes, Compare, Optional, whole};
use crate::inventory::{
    metadata::{
        Consumer, Dependency, Download, Errand, ExecStage, Extension, Provider, ReleaseMetadata,
        Template, Variable,
    },
    release_id::{ReleaseId, Which},
};

impl Compare for ReleaseMetadata {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        let escape_version = (&self.built_with_escape_version, &new.built_with_escape_version);
        changes.member("ApiVersion", &self.api_version, &new.api_version);
        changes.member(
            "BuiltWithCoreVersion",
            &self.built_with_core_version,
            &new.built_with_core_version,
        );
        changes.member("BuiltWithEscapeVersion", escape_version.0, escape_version.1);
        changes.member("Description", &self.description, &new.description);
        changes.member("Files", &self.files, &new.files);
        changes.member("License", &self.license, &new.license);
        changes.member("Logo", &self.logo, &new.logo);
        changes.member("Name", &self.name, &new.name);
        changes.member("Repository", &self.repository, &new.repository);
        changes.member("Branch", &self.branch, &new.branch);
        changes.member("Revision", &self.git_revision, &new.git_revision);
        changes.member("RevisionMessage", &self.revision_message, &new.revision_message);
        changes.member("RevisionAuthor", &self.revision_author, &new.revision_author);
        changes.member("Metadata", &self.metadata, &new.metadata);
        changes.member("Version", &self.version, &new.version);
        changes.member("Generates", &self.generates, &new.generates);
        changes.member("Consumes", &self.consumes, &new.consumes);
        changes.member("Downloads", &self.downloads, &new.downloads);
        changes.member("Depends", &self.depends, &new.depends);
        changes.member("Errands", &self.errands, &new.errands);
        changes.member("Extends", &self.extends, &new.extends);
        changes.member("Inputs", &self.inputs, &new.inputs);
        changes.member("Outputs", &self.outputs, &new.outputs);
        changes.member("Project", &self.project, &new.project);
        changes.member("Provides", &self.provides, &new.provides);
        changes.member("Stages", &self.stages, &new.stages);
        changes.member("Templates", &self.templates, &new.templates);
        changes.member("VariableCtx", &self.variable_context, &new.variable_context);
    }

    fn short(&self) -> Value {
        whole(self)
    }
}

impl Compare for Consumer {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.member("Name", &self.name, &new.name);
        changes.member("Scopes", &self.scopes, &new.scopes);
        changes.member("VariableName", &self.variable, &new.variable);
        changes.member("SkipActivate", &self.skip_activate, &new.skip_activate);
        changes.member("SkipDeactivate", &self.skip_deactivate, &new.skip_deactivate);
    }

    fn short(&self) -> Value {
        self.name.short()
    }
}

impl Compare for Download {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.member("URL", &self.url, &new.url);
        changes.member("Dest", &self.dest, &new.dest);
        changes.member("OverwriteExistingDest", &self.overwrite, &new.overwrite);
        changes.member("IfNotExists", &self.if_not_exists, &new.if_not_exists);
        changes.member("Unpack", &self.unpack, &new.unpack);
        changes.member("Platform", &self.platform, &new.platform);
        changes.member("Arch", &self.arch, &new.arch);
        changes.member("Scopes", &self.scopes, &new.scopes);
    }

    fn short(&self) -> Value {
        whole(self)
    }
}

impl Compare for Dependency {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.member("ReleaseId", &self.release_id, &new.release_id);
        changes.member("Mapping", &self.mapping, &new.mapping);
        changes.member("BuildMapping", &self.build_mapping, &new.build_mapping);
        changes.member("DeployMapping", &self.deploy_mapping, &new.deploy_mapping);
        changes.member("Consumes", &self.consumes, &new.consumes);
        changes.member("DeploymentName", &self.deployment_name, &new.deployment_name);
        changes.member("VariableName", &self.variable, &new.variable);
        changes.member("Scopes", &self.scopes, &new.scopes);
        let (old, new) = (Named::by(&self.release_id), Named::by(&new.release_id));
        changes.member("Project", &old.project, &new.project);
        changes.member("Name", &old.name, &new.name);
        changes.member("Version", &old.version, &new.version);
        changes.member("Tag", &old.tag, &new.tag);
    }

    fn short(&self) -> Value {
        self.release_id.short()
    }
}

/// What a dependency's release id says.
#[derive(Default)]
struct Named {
    project: String,
    name: String,
    version: String,
    tag: String,
}

impl Named {
    fn by(release_id: &str) -> Named {
        let Ok(ReleaseId { project, name, which }) = ReleaseId::parse(release_id) else {
            return Named::default();
        };
        let (version, tag) = match which {
            Which::Latest => ("latest".to_owned(), String::new()),
            Which::Version(version) => (version, String::new()),
            Which::Tag(tag) => (String::new(), tag),
        };
        Named { project, name, version, tag }
    }
}

impl Compare for Extension {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.member("ReleaseId", &self.release_id, &new.release_id);
    }

    fn short(&self) -> Value {
        self.release_id.short()
    }
}

impl Compare for Provider {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.member("Name", &self.name, &new.name);
    }

    fn short(&self) -> Value {
        self.name.short()
    }
}

impl Compare for Errand {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.member("Name", &self.name, &new.name);
        changes.member("Description", &self.description, &new.description);
        changes.member("Script", &self.script, &new.script);
        changes.member("Run", &self.exec_stage, &new.exec_stage);
        changes.member("Inputs", &self.inputs, &new.inputs);
    }

    fn short(&self) -> Value {
        whole(self)
    }
}

impl Compare for Variable {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        let before_dependencies = (&self.eval_before_dependencies, &new.eval_before_dependencies);
        changes.member("Id", &self.id, &new.id);
        changes.member("Type", &self.kind, &new.kind);
        changes.member("Default", &self.default, &new.default);
        changes.member("Description", &self.description, &new.description);
        changes.member("Friendly", &self.friendly, &new.friendly);
        changes.member("Visible", &self.visible, &new.visible);
        changes.member("Options", &self.options, &new.options);
        changes.member("Sensitive", &self.sensitive, &new.sensitive);
        changes.member("Items", &self.items, &new.items);
        changes.member("EvalBeforeDependencies", before_dependencies.0, before_dependencies.1);
        changes.member("Scopes", &self.scopes, &new.scopes);
    }

    fn short(&self) -> Value {
        self.id.short()
    }
}

impl Compare for ExecStage {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.member("Cmd", &self.cmd, &new.cmd);
        changes.member("Args", &self.args, &new.args);
        changes.member("Inline", &self.inline, &new.inline);
        changes.member("RelativeScript", &self.script, &new.script);
    }

    fn short(&self) -> Value {
        whole(self)
    }
}

impl Compare for Template {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.member("File", &self.file, &new.file);
        changes.member("Target", &self.target, &new.target);
        changes.member("Scopes", &self.scopes, &new.scopes);
        changes.member("Mapping", &self.mapping, &new.mapping);
    }

    fn short(&self) -> Value {
        self.file.short()
    }
}

impl Optional for Errand {}
impl Optional for ExecStage {}
impl Optional for Template {}
impl Optional for Variable {}
