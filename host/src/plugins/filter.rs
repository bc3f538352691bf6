//! Which operations a hook is asked about or told of.

use super::{Binding, types::Target};

/// Actions, namespaces and units; a hook is for what all three cover.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    /// The binding's own name.
    name: String,
    actions: Vec<String>,
    namespaces: Vec<String>,
    units: Vec<String>,
}

impl Filter {
    /// The filter of a binding.
    pub(super) fn of(binding: &Binding) -> Filter {
        Filter {
            name: binding.name.clone(),
            actions: binding.actions.clone(),
            namespaces: binding.namespaces.clone(),
            units: binding.units.clone(),
        }
    }

    /// Whether it covers an operation. No hook has a say in what becomes of its own
    /// binding: it may be what is being mended.
    pub(super) fn wants(&self, action: &str, target: &Target) -> bool {
        covers(&self.actions, action)
            && (self.namespaces.is_empty() || covers(&self.namespaces, namespace(target)))
            && (self.units.is_empty() || unit(target).is_some_and(|it| covers(&self.units, it)))
            && !(target.kind == "binding" && target.name == self.name)
    }
}

/// By name, `*` for all, or all below a prefix with `release:*`.
fn covers(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|it| match it.strip_suffix('*') {
        // What lies in no namespace is in none of them.
        Some(prefix) => !text.is_empty() && text.starts_with(prefix),
        None => it == text,
    })
}

/// The namespace that a target lies in, or is; empty for what lies in none.
fn namespace(target: &Target) -> &str {
    match target.namespace.as_str() {
        "" if target.kind == "namespace" => &target.name,
        namespace => namespace,
    }
}

/// The unit that a target is, or is of.
fn unit(target: &Target) -> Option<&str> {
    matches!(target.kind.as_str(), "unit" | "version" | "tag").then_some(target.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: &str, namespace: &str, name: &str) -> Target {
        let (kind, namespace, name) = (kind.into(), namespace.into(), name.into());
        Target { kind, namespace, name, version: None, labels: Vec::new() }
    }

    fn filter(actions: &[&str], namespaces: &[&str], units: &[&str]) -> Filter {
        let owned = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect();
        Filter {
            name: "own".into(),
            actions: owned(actions),
            namespaces: owned(namespaces),
            units: owned(units),
        }
    }

    #[test]
    fn actions_match_by_name_by_prefix_or_all() {
        let release = target("release", "", "web");
        let wants = |pattern: &str, action| filter(&[pattern], &[], &[]).wants(action, &release);
        assert!(wants("*", "release:install"));
        assert!(wants("release:*", "release:install"));
        assert!(wants("release:install", "release:install"));
        assert!(!wants("release:install", "release:delete"));
        assert!(!wants("package:*", "release:install"));
        assert!(!filter(&[], &[], &[]).wants("release:install", &release));
    }

    #[test]
    fn namespaces_and_units_cut_further() {
        let web = target("version", "acme", "web");
        let wants = |namespaces: &[&str], units: &[&str], target: &Target| {
            filter(&["*"], namespaces, units).wants("inventory:version:register", target)
        };
        assert!(wants(&["acme"], &[], &web));
        assert!(wants(&["ac*", "other"], &["we*"], &web));
        assert!(!wants(&["other"], &[], &web));
        assert!(!wants(&["acme"], &["api"], &web));
        assert!(wants(&["acme"], &[], &target("namespace", "", "acme")));
        assert!(!wants(&["acme"], &["web"], &target("namespace", "", "acme")));
        assert!(!wants(&["*"], &[], &target("release", "", "web")), "it is in no namespace");
        assert!(!wants(&[], &["web"], &target("release", "", "web")), "it is of no unit");
    }

    #[test]
    fn a_hook_has_no_say_in_what_becomes_of_itself() {
        let all = filter(&["*"], &[], &[]);
        assert!(!all.wants("binding:write", &target("binding", "", "own")));
        assert!(all.wants("binding:write", &target("binding", "", "other")));
        assert!(all.wants("release:install", &target("release", "", "own")));
    }
}
