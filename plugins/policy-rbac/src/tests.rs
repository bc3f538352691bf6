//! What the policy says, and what it says of its settings.

use chandlery_sdk::policy::Label;

use super::*;

const ACTIONS: &[&str] = &[
    "inventory:search",
    "inventory:provider:list",
    "inventory:namespace:list",
    "inventory:namespace:read",
    "inventory:namespace:create",
    "inventory:namespace:update",
    "inventory:namespace:delete",
    "inventory:unit:list",
    "inventory:unit:read",
    "inventory:unit:update",
    "inventory:version:read",
    "inventory:version:next",
    "inventory:version:register",
    "inventory:version:upload",
    "inventory:version:download",
    "inventory:version:yank",
    "inventory:tag:list",
    "inventory:tag:set",
    "inventory:tag:delete",
    "server:read",
    "server:wipe",
    "package:upload",
    "package:list",
    "package:read",
    "package:delete",
    "repository:read",
    "repository:refresh",
    "release:install",
    "release:read",
    "release:list",
    "release:upgrade",
    "release:rollback",
    "release:scale",
    "release:cancel",
    "release:delete",
    "release:logs",
    "release:actuate",
    "release:history",
    "release:plan",
    "event:read",
    "plugin:add",
    "plugin:read",
    "plugin:delete",
    "binding:read",
    "binding:write",
];

const BINDINGS: &str = r#"{
    "roles": { "auditor": ["inventory:*", "release:list"] },
    "bindings": [
        { "group": "*", "role": "reader", "namespaces": ["public"] },
        { "principal": "user:rea", "role": "reader", "namespaces": ["acme"] },
        { "group": "builders", "role": "writer", "namespaces": ["acme", "team-*"] },
        { "principal": "user:owen", "role": "owner", "namespaces": ["acme"] },
        { "principal": "user:ada", "role": "admin" },
        { "principal": "user:vi", "role": "view" },
        { "principal": "service:ci", "role": "create" },
        { "principal": "user:aud", "role": "auditor" }
    ]
}"#;

fn model(settings: &str) -> Model {
    let (model, findings) = settings::read(settings);
    assert_eq!(findings, []);
    model
}

fn principal(id: &str) -> Principal {
    let (id, groups) = match id {
        "builder" => ("user:bob", vec!["builders".to_owned()]),
        _ => (id, Vec::new()),
    };
    Principal {
        id: id.to_owned(),
        kind: if id == "anonymous" { PrincipalKind::Anonymous } else { PrincipalKind::User },
        groups,
        roles: Vec::new(),
        claims: Vec::new(),
    }
}

/// The target that a request for `action` has, in a namespace where it lies in one.
fn target(action: &str, namespace: &str) -> Target {
    let kind = match action.rsplit_once(':').unwrap_or_default().0 {
        "inventory:namespace" => "namespace",
        "inventory:unit" => "unit",
        "inventory:version" => "version",
        "inventory:tag" => "tag",
        other => other,
    };
    let (namespace, name) = match kind {
        "namespace" if action.ends_with(":list") => ("", ""),
        "namespace" => ("", namespace),
        "unit" | "version" | "tag" | "event" => (namespace, "web"),
        _ => ("", "web"),
    };
    Target {
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        version: None,
        labels: Vec::new(),
    }
}

fn question(id: &str, action: &str, namespace: &str, listen: &str, accounts: &str) -> Question {
    Question {
        principal: principal(id),
        action: action.to_owned(),
        target: target(action, namespace),
        context: vec![Label::new("listen", listen), Label::new("accounts", accounts)],
    }
}

fn allows(model: &Model, question: &Question) -> bool {
    let decision = decide(model, question);
    assert_eq!(decision.reason.is_none(), decision.effect == policy::Effect::Allow);
    decision.effect == policy::Effect::Allow
}

#[test]
fn the_whole_table_is_as_it_was_read_by_people() {
    let model = model(BINDINGS);
    let actors = [
        "anonymous",
        "user:rea",
        "builder",
        "user:owen",
        "user:aud",
        "user:vi",
        "service:ci",
        "user:ada",
    ];
    let mut table = String::new();
    for &action in ACTIONS {
        table += &format!("{action:27}");
        for actor in actors {
            let yes: String = ["acme", "public", "team-a"]
                .iter()
                .map(|namespace| {
                    let question = question(actor, action, namespace, "loopback", "none");
                    if allows(&model, &question) {
                        namespace[..1].to_uppercase()
                    } else {
                        "-".into()
                    }
                })
                .collect();
            table += &format!(" {yes}");
        }
        table += "\n";
    }
    // Actors from left to right as above; for each the namespaces acme, public, team-a.
    // What lies in no namespace is the same in all three.
    let expected = "\
inventory:search            --- --- --- --- APT --- --- APT
inventory:provider:list     --- --- --- --- APT --- --- APT
inventory:namespace:list    --- --- --- --- APT --- --- APT
inventory:namespace:read    -P- AP- APT AP- APT -P- -P- APT
inventory:namespace:create  --- --- --- A-- APT --- --- APT
inventory:namespace:update  --- --- --- A-- APT --- --- APT
inventory:namespace:delete  --- --- --- --- APT --- --- APT
inventory:unit:list         -P- AP- APT AP- APT -P- -P- APT
inventory:unit:read         -P- AP- APT AP- APT -P- -P- APT
inventory:unit:update       --- --- --- --- APT --- --- APT
inventory:version:read      -P- AP- APT AP- APT -P- -P- APT
inventory:version:next      -P- AP- APT AP- APT -P- -P- APT
inventory:version:register  --- --- A-T A-- APT --- --- APT
inventory:version:upload    --- --- A-T A-- APT --- --- APT
inventory:version:download  -P- AP- APT AP- APT -P- -P- APT
inventory:version:yank      --- --- A-T A-- APT --- --- APT
inventory:tag:list          -P- AP- APT AP- APT -P- -P- APT
inventory:tag:set           --- --- A-T A-- APT --- --- APT
inventory:tag:delete        --- --- A-T A-- APT --- --- APT
server:read                 APT APT APT APT APT APT APT APT
server:wipe                 --- --- --- --- --- --- --- APT
package:upload              --- --- --- --- --- --- APT APT
package:list                --- --- --- --- --- APT APT APT
package:read                --- --- --- --- --- APT APT APT
package:delete              --- --- --- --- --- --- APT APT
repository:read             --- --- --- --- --- APT APT APT
repository:refresh          --- --- --- --- --- --- APT APT
release:install             --- --- --- --- --- --- APT APT
release:read                --- --- --- --- --- APT APT APT
release:list                --- --- --- --- APT APT APT APT
release:upgrade             --- --- --- --- --- --- APT APT
release:rollback            --- --- --- --- --- --- APT APT
release:scale               --- --- --- --- --- --- APT APT
release:cancel              --- --- --- --- --- --- APT APT
release:delete              --- --- --- --- --- --- APT APT
release:logs                --- --- --- --- --- APT APT APT
release:actuate             --- --- --- --- --- --- APT APT
release:history             --- --- --- --- --- APT APT APT
release:plan                --- --- --- --- --- --- APT APT
event:read                  -P- AP- APT AP- -P- APT APT APT
plugin:add                  --- --- --- --- --- --- --- APT
plugin:read                 --- --- --- --- --- --- --- APT
plugin:delete               --- --- --- --- --- --- --- APT
binding:read                --- --- --- --- --- --- --- APT
binding:write               --- --- --- --- --- --- --- APT
";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn without_bindings_only_a_server_of_its_own_machine_or_of_one_user_is_open() {
    let nobody = Model::new();
    for action in ACTIONS.iter().copied().chain(["release:invented"]) {
        let ask = |id: &str, listen: &str, accounts: &str| {
            allows(&nobody, &question(id, action, "acme", listen, accounts))
        };
        assert!(ask("anonymous", "loopback", "none"), "{action}");
        assert!(ask("user:ana", "loopback", "none"), "{action}");
        let health = action == "server:read";
        assert_eq!(ask("anonymous", "network", "none"), health, "{action}");
        assert_eq!(ask("anonymous", "loopback", "configured"), health, "{action}");
        assert_eq!(ask("user:ana", "network", "configured"), health, "{action}");
        for listen in ["loopback", "network"] {
            assert!(ask("user:escape", listen, "single"), "{action}");
            assert_eq!(ask("anonymous", listen, "single"), health, "{action}");
        }
    }
    let silent =
        Question { context: Vec::new(), ..question("anonymous", "release:list", "", "", "") };
    assert!(!allows(&nobody, &silent), "a context that says nothing is not open");
}

#[test]
fn a_binding_closes_an_open_server() {
    let model = model(r#"{"bindings":[{"principal":"anonymous","role":"reader"}]}"#);
    let ask = |action| allows(&model, &question("anonymous", action, "acme", "loopback", "none"));
    assert!(ask("inventory:version:read"));
    assert!(!ask("inventory:version:register"));
}

#[test]
fn a_no_says_what_it_takes() {
    let question = question("anonymous", "inventory:version:register", "acme", "network", "none");
    let reason = decide(&Model::new(), &question).reason.unwrap();
    assert_eq!(
        reason,
        "`inventory:version:register` is not allowed for somebody who did not say who they are: it \
         takes a role that allows it in the namespace `acme`; give one under `bindings` in the \
         settings of `policy-rbac`"
    );
}

#[test]
fn a_yes_names_its_rule() {
    let model = model(BINDINGS);
    let rules = |question: &Question| decide(&model, question).rules;
    let owen = question("user:owen", "inventory:version:upload", "acme", "network", "none");
    assert_eq!(rules(&owen), ["/bindings/3"]);
    let anybody = question("anonymous", "server:read", "", "network", "none");
    assert_eq!(rules(&anybody), ["everybody"]);
}

#[test]
fn roles_that_the_server_resolved_hold_in_the_namespace_of_the_question() {
    let model = model(BINDINGS);
    let mut asked = question("user:new", "inventory:version:upload", "acme", "network", "none");
    assert!(!allows(&model, &asked));
    asked.principal.roles = vec!["writer".to_owned()];
    assert_eq!(decide(&model, &asked).rules, ["roles/writer"]);
    let elsewhere = target("inventory:version:upload", "team-a");
    assert!(rule(&model, &asked, &elsewhere).is_none());
}

/// Whatever the reach says of a list must agree with the answers one by one.
#[test]
fn filter_and_reach_agree_with_authorize() {
    let model = model(BINDINGS);
    let namespaces = ["acme", "public", "team-a", "other"];
    for actor in ["anonymous", "user:rea", "builder", "user:owen", "user:ada", "user:vi"] {
        for &action in ACTIONS {
            let asked = question(actor, action, "other", "network", "none");
            let kind = asked.target.kind.clone();
            let targets: Vec<Target> = namespaces
                .iter()
                .map(|it| {
                    if action.ends_with("namespace:list") {
                        target("inventory:namespace:read", it)
                    } else {
                        target(action, it)
                    }
                })
                .collect();
            let one_by_one: Vec<bool> = targets
                .iter()
                .map(|it| allows(&model, &Question { target: it.clone(), ..asked.clone() }))
                .collect();
            let filtered: Vec<bool> =
                targets.iter().map(|it| rule(&model, &asked, it).is_some()).collect();
            assert_eq!(filtered, one_by_one, "{actor} {action}");
            let reached: Vec<bool> = match reach(&model, &asked.principal, action, &kind) {
                Reach::All => vec![true; targets.len()],
                Reach::None => vec![false; targets.len()],
                Reach::Namespaces(list) => targets
                    .iter()
                    .map(|it| list.iter().any(|name| name == namespace_of(it)))
                    .collect(),
                Reach::Each => continue,
            };
            assert_eq!(reached, one_by_one, "{actor} {action}");
        }
    }
}

#[test]
fn loaded_data_comes_on_top_of_the_settings_and_replaces_what_was_loaded() {
    let mut both = model(r#"{"bindings":[{"principal":"user:ana","role":"admin"}]}"#);
    let ask =
        |model: &Model, id| allows(model, &question(id, "release:delete", "", "network", "none"));
    both.load(model(r#"{"bindings":[{"principal":"user:bo","role":"admin"}]}"#));
    assert!(ask(&both, "user:ana") && ask(&both, "user:bo"));
    both.load(model(r#"{"bindings":[{"principal":"user:cy","role":"create"}]}"#));
    assert!(ask(&both, "user:ana") && ask(&both, "user:cy") && !ask(&both, "user:bo"));
    both.load(Model::new());
    assert!(ask(&both, "user:ana") && !ask(&both, "user:cy"));
}

#[test]
fn settings_that_are_wrong_are_named_by_their_place() {
    let check = |settings: &str, place: &str, message: &str| {
        let findings = settings::read(settings).1;
        let found = findings.iter().any(|it| it.place == place && it.message.contains(message));
        assert!(found, "{settings} → {findings:?}");
    };
    check("[]", "", "not a JSON object");
    check("{", "", "no JSON");
    check(r#"{"rolls":{}}"#, "/rolls", "is not known");
    check(r#"{"roles":[]}"#, "/roles", "not an object");
    check(r#"{"roles":{"admin":["*"]}}"#, "/roles/admin", "built in");
    check(r#"{"roles":{"a/b":"*"}}"#, "/roles/a~1b", "not a list of actions");
    check(r#"{"roles":{"x":["re*ad"]}}"#, "/roles/x/0", "at its end only");
    check(r#"{"bindings":{}}"#, "/bindings", "not a list");
    check(r#"{"bindings":[3]}"#, "/bindings/0", "a binding is an object");
    check(r#"{"bindings":[{"role":"reader"}]}"#, "/bindings/0", "say who");
    check(r#"{"bindings":[{"group":"a"}]}"#, "/bindings/0", "say what is held");
    check(r#"{"bindings":[{"group":7,"role":"reader"}]}"#, "/bindings/0/group", "not a name");
    check(
        r#"{"bindings":[{"group":"a","principal":"user:b","role":"reader"}]}"#,
        "/bindings/0",
        "make two bindings",
    );
    check(r#"{"bindings":[{"group":"a","role":"king"}]}"#, "/bindings/0/role", "no role `king`");
    check(
        r#"{"bindings":[{"group":"a","role":"reader","namespaces":[]}]}"#,
        "/bindings/0/namespaces",
        "is empty",
    );
    check(
        r#"{"bindings":[{"group":"a","role":"reader","namespaces":["a b"]}]}"#,
        "/bindings/0/namespaces/0",
        "no name",
    );
    check(
        r#"{"bindings":[{"group":"a","role":"view","namespaces":["acme"]}]}"#,
        "/bindings/0/namespaces",
        "lie in no namespace",
    );
    for fine in ["", "{}", " null\n", r#"{"bindings":[]}"#, BINDINGS] {
        assert_eq!(settings::read(fine).1, [], "{fine}");
    }
}

#[test]
fn wrong_settings_are_not_put_to_work() {
    let wrong = r#"{"bindings":[{"group":"a","role":"king"}]}"#.to_owned();
    let said = Rbac::configure(wrong.clone()).unwrap_err();
    assert!(said.starts_with("`/bindings/0/role`: there is no role `king`"), "{said}");
    assert_eq!(Rbac::load(1, wrong).unwrap_err().code, "config");
    assert_eq!(Rbac::configure("{}".to_owned()), Ok(()));
}
