//! Which values a package is rendered with: the request's over the parent
//! package's over the sub-package's own.
//!
//! The model of a package with sub-packages is rebuilt from what its own values
//! name, so a top-level map that is no sub-package is not in it. Sub-packages of
//! sub-packages are not unwound: they find their values under their own name in
//! their parent's.
//!
//! All of them together are held to what one text may come to: a package may have a
//! hundred sub-packages, and each a small text that stands for a large one.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{model::Package, yaml};
use crate::error::{Error, Result};

/// Values by name, in the order in which they were written.
pub type Values = Map<String, Value>;

/// The model that `package` is rendered with, `overrides` being the request's
/// values: YAML text, or none.
pub fn merge(package: &Package, overrides: Option<&str>) -> Result<Values> {
    let mut budget = Budget::default();
    let overrides = parse_overrides(overrides)?;
    budget.spend(&overrides)?;
    let own = parse_own(package, &mut budget)?;
    let names: Vec<&str> =
        package.dependencies.iter().map(|it| it.metadata.name.as_str()).collect();

    let merged = match &own {
        Some(own) => {
            let own = own.iter().filter(|(key, _)| !names.contains(&key.as_str()));
            let mut merged: Values = own.map(|(key, value)| (key.clone(), value.clone())).collect();
            deep_merge(&mut merged, overrides);
            merged
        }
        None => overrides,
    };
    if package.dependencies.is_empty() {
        return Ok(merged);
    }
    rebuild(package, &own.unwrap_or_default(), merged, budget)
}

/// What all values may come to.
#[derive(Default)]
struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Budget {
    fn spend(&mut self, values: &Values) -> Result<()> {
        for (key, value) in values {
            self.bytes += key.len();
            self.measure(value);
        }
        match self.nodes > yaml::NODES_MAX || self.bytes > yaml::BYTES_MAX {
            true => Err(Error::Conflict(format!(
                "The values of the request, the package and its sub-packages come to more than {} \
                 values or {} bytes, aliases expanded",
                yaml::NODES_MAX,
                yaml::BYTES_MAX
            ))),
            false => Ok(()),
        }
    }

    fn measure(&mut self, value: &Value) {
        self.nodes += 1;
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    self.bytes += key.len();
                    self.measure(value);
                }
            }
            Value::Array(items) => items.iter().for_each(|it| self.measure(it)),
            Value::String(text) => self.bytes += text.len(),
            Value::Number(it) => self.bytes += it.as_str().len(),
            Value::Null | Value::Bool(_) => (),
        }
    }
}

/// The values of a request laid over those that an earlier one gave, as YAML. A list
/// takes the place of a list: joined, nothing could ever be taken out of it again.
pub fn carried(before: &str, over: &str) -> Result<String> {
    let mut values = parse_overrides(Some(before))?;
    lay_over(&mut values, parse_overrides(Some(over))?);
    Ok(yaml::block(&values))
}

fn lay_over(under: &mut Values, over: Values) {
    for (key, over) in over {
        match (under.get_mut(&key), over) {
            (Some(Value::Object(under)), Value::Object(over)) => lay_over(under, over),
            (_, over) => {
                under.insert(key, over);
            }
        }
    }
}

/// Lays `over` on `under`: maps into each other, lists joined without repeating
/// what is there, else what lies over wins, a null too.
pub fn deep_merge(under: &mut Values, over: Values) {
    for (key, over) in over {
        match (under.get_mut(&key), over) {
            (Some(Value::Object(under)), Value::Object(over)) => deep_merge(under, over),
            (Some(Value::Array(under)), Value::Array(over)) => {
                join(under, over);
            }
            (_, over) => {
                under.insert(key, over);
            }
        }
    }
}

/// Adds what is not there yet.
fn join(under: &mut Vec<Value>, over: Vec<Value>) {
    let mut known: HashSet<&Value> = under.iter().collect();
    let is_new: Vec<bool> = over.iter().map(|it| known.insert(it)).collect();
    under.extend(over.into_iter().zip(is_new).filter_map(|(it, is_new)| is_new.then_some(it)));
}

fn rebuild(
    package: &Package,
    own: &Values,
    mut merged: Values,
    mut budget: Budget,
) -> Result<Values> {
    let mut model = Values::new();
    for (key, value) in &merged {
        if !value.is_object() && own.contains_key(key) {
            model.insert(key.clone(), value.clone());
        }
    }
    for dependency in &package.dependencies {
        let name = &dependency.metadata.name;
        let mut given = map_of(own.get(name).cloned());
        deep_merge(&mut given, map_of(merged.remove(name)));
        let mut values = parse_own(dependency, &mut budget)?.unwrap_or_default();
        deep_merge(&mut values, given);
        model.insert(name.clone(), Value::Object(values));
    }
    Ok(model)
}

fn parse_overrides(text: Option<&str>) -> Result<Values> {
    match yaml::single(text.unwrap_or_default()) {
        Ok(Value::Null) => Ok(Values::new()),
        Ok(Value::Object(values)) => Ok(values),
        Ok(other) => Err(Error::Conflict(format!(
            "Was expecting override values to produce a Map, instead got class = {}",
            class_of(&other)
        ))),
        Err(error) => Err(Error::Conflict(format!("Config values are no YAML: {error}"))),
    }
}

/// A package's own values; none where it has no file or an empty one.
fn parse_own(package: &Package, budget: &mut Budget) -> Result<Option<Values>> {
    let text = package.config_values.as_ref().and_then(|it| it.raw.as_deref());
    match yaml::single(text.unwrap_or_default()) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::Object(values)) => {
            budget.spend(&values)?;
            Ok(Some(values))
        }
        Ok(_) => Err(Error::Conflict(
            "Config Values that are not a map are not yet supported.".to_owned(),
        )),
        Err(error) => Err(Error::Conflict(format!(
            "The values of package [{}:{}] are no YAML: {error}",
            package.metadata.name, package.metadata.version
        ))),
    }
}

fn map_of(value: Option<Value>) -> Values {
    match value {
        Some(Value::Object(map)) => map,
        _ => Values::new(),
    }
}

/// The class that the original names in its message.
fn class_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "class java.util.ArrayList",
        Value::Bool(_) => "class java.lang.Boolean",
        Value::Number(it) if it.is_i64() => "class java.lang.Integer",
        Value::Number(_) => "class java.lang.Double",
        _ => "class java.lang.String",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::release::model::{ConfigValues, PackageMetadata};

    fn package(name: &str, values: Option<&str>, dependencies: Vec<Package>) -> Package {
        Package {
            metadata: PackageMetadata {
                name: name.into(),
                version: "1.0.0".into(),
                ..PackageMetadata::default()
            },
            templates: Vec::new(),
            dependencies,
            config_values: values.map(|it| ConfigValues { raw: Some(it.into()) }),
            file_holders: Vec::new(),
        }
    }

    #[track_caller]
    fn check(package: &Package, overrides: &str, expected: Value) {
        let merged = merge(package, Some(overrides)).unwrap();
        assert_eq!(Value::Object(merged).to_string(), expected.to_string());
    }

    #[track_caller]
    fn message(package: &Package, overrides: Option<&str>) -> String {
        merge(package, overrides).unwrap_err().to_string()
    }

    #[test]
    fn the_request_lies_over_the_parent_over_the_child() {
        let log = "\
appVersion: 1.0.0
deployment:
  count: 1
expression: from-the-child
";
        let time = "appVersion: 1.0.0\n";
        let parent = "\
hello: world
time:
  appVersion: 2.0.0
log:
  appVersion: 2.0.0
  deployment:
    count: 2
";
        let ticktock = package(
            "ticktock",
            Some(parent),
            vec![package("log", Some(log), vec![]), package("time", Some(time), vec![])],
        );

        check(
            &ticktock,
            "log:\n  appVersion: 3.0.0\nhello: universe\n",
            json!({
                "hello": "universe",
                "log": {
                    "appVersion": "3.0.0",
                    "deployment": { "count": 2 },
                    "expression": "from-the-child",
                },
                "time": { "appVersion": "2.0.0" },
            }),
        );
    }

    #[test]
    fn without_sub_packages_everything_is_in_the_model() {
        let log = package("log", Some("version: 1.10\nspec: {a: 1, b: 2}"), vec![]);
        let merged = merge(&log, Some("spec: {b: 3, c: 4}\nmore: [1]")).unwrap();
        assert_eq!(
            Value::Object(merged).to_string(),
            r#"{"version":1.10,"spec":{"a":1,"b":3,"c":4},"more":[1]}"#
        );
    }

    #[test]
    fn without_own_values_the_request_s_are_the_model() {
        for own in [None, Some(""), Some("# only a comment\n")] {
            check(&package("log", own, vec![]), "a: 1", json!({ "a": 1 }));
        }
        let none = merge(&package("log", None, vec![]), None).unwrap();
        assert_eq!(none, Values::new());
        check(&package("log", Some("a: 1"), vec![]), "# nothing", json!({ "a": 1 }));
    }

    #[test]
    fn maps_of_a_parent_that_name_no_sub_package_are_not_in_its_model() {
        let child = package("log", Some("x: 1"), vec![]);
        let parent = package("p", Some("map: {a: 1}\ntext: t\nlist: [1]\nnone:"), vec![child]);
        check(
            &parent,
            "text: u\nunknown: v\nlist: [2]",
            json!({ "text": "u", "list": [1, 2], "none": null, "log": { "x": 1 } }),
        );
    }

    #[test]
    fn without_parent_values_only_the_sub_packages_are_in_the_model() {
        let parent = package("p", None, vec![package("log", None, vec![])]);
        check(&parent, "a: 1\nlog: {x: 2}", json!({ "log": { "x": 2 } }));
        check(&parent, "log:", json!({ "log": {} }));
    }

    #[test]
    fn grandchildren_are_not_unwound() {
        let grandchild = package("deep", Some("a: 1"), vec![]);
        let child = package("log", Some("x: 1"), vec![grandchild]);
        let parent = package("p", None, vec![child]);
        check(&parent, "log: {deep: {a: 2}}", json!({ "log": { "x": 1, "deep": { "a": 2 } } }));
    }

    #[test]
    fn lists_are_joined_and_nulls_win() {
        let log = package("log", Some("l: [a, b]\nm: {x: 1}\nn: 1\no: [1]"), vec![]);
        check(
            &log,
            "l: [b, c]\nm:\nn: {y: 2}\no: text",
            json!({ "l": ["a", "b", "c"], "m": null, "n": { "y": 2 }, "o": "text" }),
        );
    }

    #[test]
    fn lists_are_joined_by_what_their_items_are() {
        let log = package("log", Some("l: [{a: 1, b: [x]}, 1.10, '1.10', no, 1.10]"), vec![]);
        check(
            &log,
            "l: [{b: [x], a: 1}, 1.1, 1.10, '1.10', false, 'false', {a: 1}, {a: 1}]",
            json!({ "l": [{ "a": 1, "b": ["x"] }, serde_json::from_str::<Value>("1.10").unwrap(),
                "1.10", false, serde_json::from_str::<Value>("1.10").unwrap(),
                1.1, "false", { "a": 1 }] }),
        );
    }

    #[test]
    fn values_of_an_earlier_request_lie_under_those_of_the_new_one() {
        let before = "log: {level: DEBUG, port: 010}\nfoo: bar\nlist: [a, b]\nversion: 1.10\n";
        let over = "log:\n  level: INFO\nlist: [c]\nmore: 'yes'\n";
        assert_eq!(
            carried(before, over).unwrap(),
            "log:\n  level: INFO\n  port: 010\nfoo: bar\nlist:\n  - c\nversion: 1.10\nmore: \"yes\"\n"
        );
        assert_eq!(carried("# nothing", "a: 1").unwrap(), "a: 1\n");
        assert!(carried("a: 1", "- b").unwrap_err().to_string().starts_with("Was expecting"));
    }

    #[test]
    fn all_values_together_are_bounded() {
        let items = vec!["x"; 1000].join(", ");
        let text = format!("a: &a [{items}]\nb: [{}]", vec!["*a"; 100].join(", "));
        let children = |count: usize| -> Vec<Package> {
            (0..count).map(|it| package(&format!("p{it}"), Some(&text), vec![])).collect()
        };

        assert!(merge(&package("p", None, children(2)), None).is_ok());
        let message = message(&package("p", None, children(3)), None);
        assert!(message.contains("come to more than 250000 values"), "{message}");
        let two = package("p", Some(&text), children(1));
        assert!(merge(&two, Some("a: 1")).is_ok());
        assert!(merge(&two, Some(&text)).is_err());
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let log = package("log", None, vec![]);
        assert_eq!(
            message(&log, Some("- a")),
            "Was expecting override values to produce a Map, instead got class = class java.util.ArrayList"
        );
        assert!(message(&log, Some("text")).ends_with("class java.lang.String"));
        assert!(message(&log, Some("a: b: c")).starts_with("Config values are no YAML: line 1"));

        assert_eq!(
            message(&package("log", Some("[]"), vec![]), None),
            "Config Values that are not a map are not yet supported."
        );
        assert!(
            message(&package("log", Some("{"), vec![]), None)
                .starts_with("The values of package [log:1.0.0] are no YAML: line ")
        );
    }
}
