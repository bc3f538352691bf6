//! What differs between the applications of two manifests, one by one.
//!
//! All documents of both sides are looked at, and applications are matched by their
//! name, whichever sub-package they come from. How many instances there are is no
//! difference: that is scaled, and carried over.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use super::manifest::Application;
use crate::error::{Error, Result};

/// The deployment property that says how many instances an application has.
pub const COUNT: &str = "spring.cloud.deployer.count";

/// What differs between two manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Difference {
    /// Each application of either side: those of the new one in its order, then those
    /// that it has no more.
    pub applications: Vec<ApplicationDifference>,
}

/// What differs in one application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApplicationDifference {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub change: Change,
    /// Where it differs, in the order of the fields' names; for an application that
    /// is added or removed, all that it has.
    pub fields: Vec<FieldDifference>,
}

/// What becomes of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ApplicationChange)]
pub enum Change {
    /// The old manifest has none of that name.
    Added,
    /// The new manifest has none of that name.
    Removed,
    /// It is in both and differs.
    Changed,
    /// It is the same in both.
    Unchanged,
}

/// One field with its two texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldDifference {
    /// Its place in the manifest: `spec.version`, `spec.applicationProperties.a.b`.
    pub field: String,
    /// What the old manifest says; null where it says nothing.
    pub was: Option<String>,
    /// What the new manifest says; null where it says nothing.
    pub becomes: Option<String>,
}

/// Which applications are started anew although they do not differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forced {
    /// Whether any are.
    pub force: bool,
    /// Only these; all where empty.
    pub names: Vec<String>,
}

/// What differs between the applications `old` and `new`.
pub fn between(old: &[Application], new: &[Application]) -> Difference {
    let of = |name: &str, side: &[Application]| {
        side.iter().find(|it| it.name == name).map(fields).unwrap_or_default()
    };
    let is_in = |name: &str, side: &[Application]| side.iter().any(|it| it.name == name);
    let removed = old.iter().filter(|it| !is_in(&it.name, new));
    let applications = new.iter().chain(removed).map(|it| {
        let fields = differing(of(&it.name, old), of(&it.name, new));
        let change = match (is_in(&it.name, old), is_in(&it.name, new)) {
            (false, _) => Change::Added,
            (_, false) => Change::Removed,
            _ if fields.is_empty() => Change::Unchanged,
            _ => Change::Changed,
        };
        ApplicationDifference { name: it.name.clone(), change, fields }
    });
    Difference { applications: applications.collect() }
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.applications.iter().all(|it| it.change == Change::Unchanged)
    }

    /// The applications of the new manifest that are to be started: those that are
    /// new or differ, and those that are forced. A forced name that the new manifest
    /// does not have is an error.
    pub fn to_deploy(&self, forced: &Forced) -> Result<BTreeSet<String>> {
        let names = self.named(|it| it != Change::Removed);
        if let Some(lost) = forced.names.iter().find(|it| forced.force && !names.contains(*it)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return Err(Error::Conflict(format!(
                "Did not find existing application name [{lost}] in list of replacing \
                 applications [{}].",
                names.join(",")
            )));
        }
        let mut wanted = self.named(|it| matches!(it, Change::Added | Change::Changed));
        match forced.force {
            true if forced.names.is_empty() => wanted = names,
            true => wanted.extend(forced.names.iter().cloned()),
            false => {}
        }
        Ok(wanted)
    }

    /// The applications that become that.
    pub fn named(&self, wanted: impl Fn(Change) -> bool) -> BTreeSet<String> {
        let found = self.applications.iter().filter(|it| wanted(it.change));
        found.map(|it| it.name.clone()).collect()
    }

    /// Where they differ, in a line, as in `log: spec.version; time: added`. Without the
    /// texts: there may be secrets among them.
    pub fn summary(&self) -> String {
        let parts = self.applications.iter().filter_map(|it| match it.change {
            Change::Unchanged => None,
            Change::Added => Some(format!("{}: added", it.name)),
            Change::Removed => Some(format!("{}: removed", it.name)),
            Change::Changed => {
                let fields: Vec<String> = it.fields.iter().map(|it| it.field.clone()).collect();
                Some(format!("{}: {}", it.name, fields.join(", ")))
            }
        });
        parts.collect::<Vec<_>>().join("; ")
    }
}

/// All that is compared of an application, by its place in the manifest.
fn fields(application: &Application) -> BTreeMap<String, String> {
    let Application { api_version, kind, metadata, resource, version, .. } = application;
    let mut fields = BTreeMap::from([
        ("apiVersion".to_owned(), api_version.trim().to_owned()),
        ("kind".to_owned(), kind.trim().to_owned()),
        ("spec.resource".to_owned(), resource.trim().to_owned()),
    ]);
    fields.extend(version.iter().map(|it| ("spec.version".to_owned(), it.trim().to_owned())));
    let deployment = application.deployment_properties.iter().filter(|(key, _)| key != COUNT);
    let below =
        |part: &str, (key, value): &(String, String)| (format!("{part}.{key}"), value.clone());
    fields.extend(metadata.iter().map(|it| below("metadata", it)));
    let properties = application.application_properties.iter();
    fields.extend(properties.map(|it| below("spec.applicationProperties", it)));
    fields.extend(deployment.map(|it| below("spec.deploymentProperties", it)));
    fields
}

fn differing(
    mut old: BTreeMap<String, String>,
    new: BTreeMap<String, String>,
) -> Vec<FieldDifference> {
    let mut found: Vec<FieldDifference> = Vec::new();
    for (field, becomes) in new {
        let was = old.remove(&field);
        if was.as_ref() != Some(&becomes) {
            found.push(FieldDifference { field, was, becomes: Some(becomes) });
        }
    }
    found.extend(old.into_iter().map(|(field, was)| FieldDifference {
        field,
        was: Some(was),
        becomes: None,
    }));
    found.sort_by(|one, other| one.field.cmp(&other.field));
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::release::manifest;

    fn app(name: &str, version: &str, properties: &str, deployment: &str) -> Application {
        let text = format!(
            "apiVersion: v1\nkind: SpringBootApp\nmetadata: {{name: {name}}}\nspec:\n  \
             resource: maven://a:b\n  version: {version}\n  applicationProperties: {properties}\n  \
             deploymentProperties: {deployment}\n"
        );
        manifest::applications(&text).unwrap().remove(0)
    }

    fn plain(name: &str) -> Application {
        app(name, "1.0.0", "{}", "{}")
    }

    fn changes(difference: &Difference) -> Vec<(&str, Change)> {
        difference.applications.iter().map(|it| (it.name.as_str(), it.change)).collect()
    }

    fn force(names: &[&str]) -> Forced {
        Forced { force: true, names: names.iter().map(|it| (*it).to_owned()).collect() }
    }

    #[test]
    fn all_applications_are_compared_by_name_and_not_only_the_first() {
        let old = [plain("log"), plain("time"), plain("gone")];
        let new = [plain("new"), app("time", "1.1.0", "{}", "{}"), plain("log")];

        let difference = between(&old, &new);

        assert_eq!(
            changes(&difference),
            [
                ("new", Change::Added),
                ("time", Change::Changed),
                ("log", Change::Unchanged),
                ("gone", Change::Removed),
            ]
        );
        let wanted = difference.to_deploy(&Forced::default()).unwrap();
        assert_eq!(wanted, ["new".to_owned(), "time".to_owned()].into());
    }

    #[test]
    fn each_field_that_differs_is_told_with_both_texts() {
        let old = app("log", "1.1.0.RELEASE", "{a: 1, same: x, gone: y}", "{memory: 1g}");
        let new = app("log", "1.2.0.RELEASE", "{a: 2, same: x, new: z}", "{memory: 2g}");

        let difference = between(&[old], &[new]);

        let told: Vec<_> = difference.applications[0]
            .fields
            .iter()
            .map(|it| (it.field.as_str(), it.was.as_deref(), it.becomes.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("spec.applicationProperties.a", Some("1"), Some("2")),
                ("spec.applicationProperties.gone", Some("y"), None),
                ("spec.applicationProperties.new", None, Some("z")),
                ("spec.deploymentProperties.memory", Some("1g"), Some("2g")),
                ("spec.version", Some("1.1.0.RELEASE"), Some("1.2.0.RELEASE")),
            ]
        );
        assert!(difference.summary().starts_with("log: spec.applicationProperties.a, "));
    }

    #[test]
    fn neither_the_count_nor_the_order_of_properties_is_a_difference() {
        let old = app("log", "1.0.0", "{a: 1, b: 2}", "{x: 1}");
        let new = app("log", "1.0.0", "{b: 2, a: 1}", &format!("{{{COUNT}: 3, x: 1}}"));
        assert!(between(&[old], &[new]).is_empty());
    }

    #[test]
    fn force_takes_all_or_those_that_differ_and_those_that_are_named() {
        let old = [plain("log"), plain("time"), plain("http")];
        let new = [plain("log"), app("time", "2", "{}", "{}"), plain("http")];
        let difference = between(&old, &new);
        let names = |forced: &Forced| {
            let wanted = difference.to_deploy(forced).unwrap();
            wanted.into_iter().collect::<Vec<_>>().join(",")
        };
        assert_eq!(names(&Forced::default()), "time");
        assert_eq!(names(&force(&[])), "http,log,time");
        assert_eq!(names(&force(&["log"])), "log,time");
        let ignored = Forced { force: false, names: vec!["log".to_owned()] };
        assert_eq!(names(&ignored), "time");
        assert_eq!(
            difference.to_deploy(&force(&["lgo"])).unwrap_err().to_string(),
            "Did not find existing application name [lgo] in list of replacing applications \
             [http,log,time]."
        );
    }

    fn manifests() -> impl Strategy<Value = Vec<Application>> {
        let one = ("[a-e]", "[12]", "[xy]");
        let all = proptest::collection::vec(one, 0..5);
        all.prop_map(|all| {
            let mut seen = BTreeSet::new();
            let all = all.into_iter().filter(|it| seen.insert(it.0.clone()));
            all.map(|(name, version, value)| app(&name, &version, &format!("{{p: {value}}}"), "{}"))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_the_same_has_no_difference_and_the_way_back_is_the_mirror(
            old in manifests(),
            new in manifests(),
        ) {
            prop_assert!(between(&old, &old).is_empty());
            let there = between(&old, &new);
            let back = between(&new, &old);
            let added = |it: &Difference| it.named(|it| it == Change::Added);
            let removed = |it: &Difference| it.named(|it| it == Change::Removed);
            prop_assert_eq!(added(&there), removed(&back));
            prop_assert_eq!(removed(&there), added(&back));
            let changed = |it: &Difference| it.named(|it| it == Change::Changed);
            prop_assert_eq!(changed(&there), changed(&back));
            let deployed = there.to_deploy(&Forced::default()).unwrap();
            prop_assert!(deployed.iter().all(|it| new.iter().any(|app| app.name == *it)));
        }
    }
}
