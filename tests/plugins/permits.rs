//! The question that the policy is asked, and what a no leaves behind.

use std::sync::Arc;

use chandlery::{
    authz::{self, Caller, RequestInfo, Warnings},
    error::Error,
    plugins::{Binding, FailMode, Kind},
    store::audit,
};
use chandlery_tests::{
    Host,
    guest::{self, Wat},
};
use serde_json::json;

use crate::{principal, target};

async fn host_and_caller(id: &str, bindings: Vec<Binding>) -> (Host, Arc<Caller>) {
    let host = Host::with(bindings).await;
    let caller = Caller {
        principal: principal(id),
        token: String::new(),
        request: RequestInfo {
            id: "request-1".into(),
            trace_parent: None,
            remote: Some("127.0.0.1".into()),
            method: "GET".into(),
            path: "/".into(),
            received_at: 1,
        },
        plugins: host.app.plugins.set(),
        warnings: Warnings::default(),
    };
    (host, Arc::new(caller))
}

async fn audited(host: &Host) -> String {
    let entries = host.app.store.read(|view| audit::entries(view, 1, 10)).await.unwrap();
    entries.iter().map(|it| serde_json::to_string(it).unwrap()).collect()
}

#[tokio::test]
async fn a_permit_names_the_policy_that_decided() {
    let (host, caller) = host_and_caller("user:ana", vec![guest::allow_all()]).await;
    let permit = authz::authorize(&host.app, &caller, "release:read", target()).await.unwrap();
    let audit = permit.audit();
    assert_eq!(audit.actor, "user:ana");
    assert_eq!(audit.action, "release:read");
    assert_eq!(audit.resource, "release//web");
    assert_eq!(audit.request_id, "request-1");
    assert_eq!(Some(audit.policy_digest.as_str()), caller.plugins.digest("allow-all"));
}

#[tokio::test]
async fn a_refusal_is_audited_with_its_reason() {
    let (host, caller) = host_and_caller("anonymous", vec![guest::named_only()]).await;
    let error = authz::authorize(&host.app, &caller, "release:read", target()).await.err().unwrap();
    assert!(matches!(&error, Error::Denied(why) if why == "who are you"), "{error}");
    let audited = audited(&host).await;
    for part in ["anonymous", "release:read", "release//web", "who are you", "request-1"] {
        assert!(audited.contains(part), "{audited}");
    }
}

#[tokio::test]
async fn a_policy_that_fails_refuses_and_is_audited() {
    let policy = guest::policy(guest::attack::TRAP);
    let policy = guest::binding("broken", Kind::Policy, policy);
    let (host, caller) = host_and_caller("user:ana", vec![policy]).await;
    let error = authz::authorize(&host.app, &caller, "release:read", target()).await.err().unwrap();
    assert!(matches!(&error, Error::Plugin { plugin, .. } if plugin == "broken"), "{error}");
    assert!(audited(&host).await.contains("broken"));
}

#[tokio::test]
async fn a_failure_that_the_operator_lets_pass_is_audited() {
    let trap = Wat::new("validating-hook").on("validating#review", guest::attack::TRAP);
    let mut hook = guest::binding("advice", Kind::BeforeHook, trap.component());
    hook.fail_mode = FailMode::Open;
    let mut policy = guest::binding("second", Kind::Policy, guest::policy(guest::attack::TRAP));
    policy.fail_mode = FailMode::Open;
    let (host, caller) = host_and_caller("user:ana", vec![guest::allow_all(), policy, hook]).await;

    let permit = authz::authorize(&host.app, &caller, "release:read", target()).await.unwrap();
    permit.reviewed(&host.app, (), json!({}), None, |_, _| Ok(())).await.unwrap();

    let audited = audited(&host).await;
    for part in ["passed-open", "plugin `second` failed", "plugin `advice` failed"] {
        assert!(audited.contains(part), "{part} in {audited}");
    }
}

#[tokio::test]
async fn the_policy_is_told_where_the_server_listens_and_whether_accounts_exist() {
    // Denies with the whole memory of the question as its reason, from the first
    // string that was put there to the end of the last.
    let body = "(i32.store8 (i32.const 4) (i32.const 1)) (i32.store8 (i32.const 8) (i32.const 1))
        (i32.store (i32.const 12) (call $text (local.get $p0)))
        (i32.store (i32.const 16) (i32.const 600)) (i32.const 0)";
    // The strings of the question, with all else blanked out.
    let text = "(func $text (param $question i32) (result i32)
        (local $i i32) (local $byte i32)
        (loop $next
          (local.set $byte (i32.load8_u (i32.add (i32.const 32768) (local.get $i))))
          (i32.store8 (i32.add (i32.const 4096) (local.get $i))
            (select (local.get $byte) (i32.const 46)
              (i32.and (i32.ge_u (local.get $byte) (i32.const 32))
                       (i32.le_u (local.get $byte) (i32.const 126)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $i) (i32.const 600))))
        (i32.const 4096))";
    let guest = Wat::new("access-policy").module(text).on("policy#authorize", body);
    let policy = guest::binding("telling", Kind::Policy, guest.component());
    let (host, caller) = host_and_caller("user:ana", vec![policy]).await;
    let error = authz::authorize(&host.app, &caller, "release:read", target()).await.err().unwrap();
    let seen = error.to_string();
    for part in [
        "user:ana",
        "release:read",
        "web",
        "listen",
        "loopback",
        "accounts",
        "none",
        "method",
        "GET",
        "remote",
        "127.0.0.1",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
}

#[tokio::test]
async fn a_review_gives_the_object_as_the_hooks_leave_it() {
    let patch = r#"[{"op":"add","path":"/team","value":"a"}]"#;
    let bindings = vec![guest::allow_all(), guest::patching_hook(patch), guest::warning_hook()];
    let (host, caller) = host_and_caller("user:ana", bindings).await;
    let permit = authz::authorize(&host.app, &caller, "package:upload", target()).await.unwrap();
    let web = json!({"name": "web"});
    let read = |object, _: &_| Ok(object);
    let object = permit.reviewed(&host.app, web.clone(), web, None, read).await.unwrap();
    assert_eq!(object, json!({"name": "web", "team": "a"}));
    assert_eq!(caller.warnings.take(), ["mind the gap"]);
}

#[tokio::test]
async fn a_hooks_refusal_is_audited() {
    let bindings = vec![guest::allow_all(), guest::refusing_hook()];
    let (host, caller) = host_and_caller("user:ana", bindings).await;
    let permit = authz::authorize(&host.app, &caller, "package:upload", target()).await.unwrap();
    let review = permit.reviewed(&host.app, (), json!({}), None, |_, _| Ok(()));
    let error = review.await.err().unwrap();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert!(audited(&host).await.contains("too much"));
}

#[tokio::test]
async fn what_cannot_be_is_the_fault_of_the_hook_that_changed_it() {
    let patch = r#"[{"op":"add","path":"/team","value":"a"}]"#;
    let bindings = vec![guest::allow_all(), guest::patching_hook(patch), guest::warning_hook()];
    let (host, caller) = host_and_caller("user:ana", bindings).await;
    let permit = authz::authorize(&host.app, &caller, "package:upload", target()).await.unwrap();
    let read = |_, _: &()| Err("no teams here".to_owned());
    let error = permit.reviewed(&host.app, (), json!({}), None, read).await.err().unwrap();
    let Error::Plugin { plugin, message, .. } = error else { panic!("{error}") };
    assert_eq!(plugin, "patching-hook");
    assert!(message.ends_with("no teams here"), "{message}");
    assert!(audited(&host).await.contains("no teams here"));
}
