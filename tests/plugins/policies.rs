//! How the answers of several policies become one.

use chandlery::{
    error::Error,
    plugins::{Decided, FailMode, Kind, PluginSet},
};
use chandlery_tests::guest::{self, attack};

use crate::{question, runtime};

fn ask(set: &PluginSet, id: &str, action: &str) -> Decided {
    set.authorize(&question(id, action)).unwrap()
}

#[tokio::test]
async fn without_a_policy_everything_is_denied() {
    let (_host, plugins) = runtime().await;
    let decided = ask(&plugins.set(), "user:ana", "server:read");
    assert!(!decided.allowed);
    assert_eq!(decided.reason.unwrap(), "no policy is in force");
}

#[tokio::test]
async fn a_policy_sees_who_asks_and_says_why_not() {
    let (_host, plugins) = runtime().await;
    let set = plugins.build(vec![guest::named_only()]).await.unwrap();
    assert!(ask(&set, "user:ana", "server:read").allowed);
    let decided = ask(&set, "anonymous", "server:read");
    assert!(!decided.allowed);
    assert_eq!(decided.reason.unwrap(), "who are you");
    assert_eq!(decided.digest.len(), 64);
    assert_eq!(set.digest("named-only"), Some(decided.digest.as_str()));
}

#[tokio::test]
async fn a_denial_wins_over_any_number_of_yeses_and_whatever_their_order() {
    let (_host, plugins) = runtime().await;
    let denying = || guest::deny_action("release:delete");
    for bindings in [vec![guest::allow_all(), denying()], vec![denying(), guest::allow_all()]] {
        let set = plugins.build(bindings).await.unwrap();
        assert!(ask(&set, "user:ana", "release:install").allowed);
        let decided = ask(&set, "user:ana", "release:delete");
        assert!(!decided.allowed);
        assert_eq!(decided.reason.unwrap(), "not that");
    }
}

#[tokio::test]
async fn an_abstention_is_neither_a_yes_nor_a_no() {
    let (_host, plugins) = runtime().await;
    let alone = plugins.build(vec![guest::abstain_all()]).await.unwrap();
    let decided = ask(&alone, "user:ana", "server:read");
    assert!(!decided.allowed);
    assert_eq!(decided.reason.unwrap(), "no policy allows `server:read`");
    let both = plugins.build(vec![guest::abstain_all(), guest::allow_all()]).await.unwrap();
    assert!(ask(&both, "user:ana", "server:read").allowed);
}

#[tokio::test]
async fn a_policy_that_fails_has_not_said_yes() {
    let (_host, plugins) = runtime().await;
    let failing = guest::binding("failing", Kind::Policy, guest::policy(attack::TRAP));
    let set = plugins.build(vec![guest::allow_all(), failing.clone()]).await.unwrap();
    let error = set.authorize(&question("user:ana", "server:read")).err().unwrap();
    assert!(matches!(&error, Error::Plugin { plugin, .. } if plugin == "failing"), "{error}");

    let set = plugins.build(vec![failing.clone(), guest::deny_all()]).await.unwrap();
    assert!(!ask(&set, "user:ana", "server:read").allowed, "a no is a no beside a failure");

    let mut open = failing;
    open.fail_mode = FailMode::Open;
    let set = plugins.build(vec![open.clone(), guest::allow_all()]).await.unwrap();
    assert!(ask(&set, "user:ana", "server:read").allowed, "the operator let it pass");
    let set = plugins.build(vec![open]).await.unwrap();
    assert!(!ask(&set, "user:ana", "server:read").allowed, "but it is no yes");
}

#[tokio::test]
async fn a_yes_with_an_obligation_that_cannot_be_met_is_a_no() {
    let (_host, plugins) = runtime().await;
    // One obligation of 20 bytes at 256: kind, params, binding at 16.
    let with = |kind: &str, binding: u8| {
        let body = format!(
            "(i32.store (i32.const 28) (i32.const 512)) (i32.store (i32.const 32) (i32.const 1))
             (i32.store (i32.const 512) (i32.const 1024))
             (i32.store (i32.const 516) (i32.const {}))
             (i32.store8 (i32.const 528) (i32.const {binding}))
             (i32.const 0)",
            kind.len()
        );
        let guest = guest::Wat::new("access-policy").on("policy#authorize", &body);
        guest::binding(kind, Kind::Policy, guest.data(1024, kind.as_bytes()).component())
    };
    for (kind, binding, allowed) in
        [("redact", 1, false), ("redact", 0, true), ("log", 1, true), ("log", 0, true)]
    {
        let set = plugins.build(vec![with(kind, binding)]).await.unwrap();
        let decided = ask(&set, "user:ana", "server:read");
        assert_eq!(decided.allowed, allowed, "{kind} {binding}: {:?}", decided.reason);
    }
}
