//! Operations, judged by URLs before they are done.

use chandlery_sdk::hook::{Denial, Operation, PluginError, Verdict};
use serde_json::Value;

use crate::{
    payload,
    post::{Host, Message, post},
    settings::{Before, OnFailure},
};

/// Asks every URL that wants the action, in their order. The first no counts.
pub(crate) fn review(
    host: &mut dyn Host,
    before: &[Before],
    operation: &Operation,
) -> Result<Verdict, PluginError> {
    let mut warnings = Vec::new();
    let mut patch = None;
    let body = payload::operation(operation);
    for it in before.iter().filter(|it| it.endpoint.wants(&operation.action)) {
        let url = it.endpoint.shown();
        match ask(host, it, operation, &body) {
            Ok(Answer::Allow(more)) => warnings.extend(more),
            Ok(Answer::Deny(denial)) => return Ok(Verdict::Deny(denial)),
            Ok(Answer::Patch(_)) if patch.is_some() => {
                let what = "two URLs want to change the object: only one may";
                return Err(PluginError::permanent("config", what));
            }
            Ok(Answer::Patch(it)) => patch = Some(it),
            Err(why) if it.on_failure == OnFailure::Allow => {
                host.warn(&format!("`{url}` was asked in vain, which lets pass: {why}"));
            }
            Err(why) => {
                host.warn(&format!("`{url}` was asked in vain: {why}"));
                let what = format!("`{url}` was asked in vain: {why}");
                return Err(PluginError::temporary("unavailable", what));
            }
        }
    }
    Ok(match patch {
        Some(patch) => Verdict::Mutate(patch),
        None if warnings.is_empty() => Verdict::Allow,
        None => Verdict::AllowWithWarnings(warnings),
    })
}

enum Answer {
    Allow(Vec<String>),
    Deny(Denial),
    Patch(String),
}

fn ask(
    host: &mut dyn Host,
    before: &Before,
    operation: &Operation,
    body: &str,
) -> Result<Answer, String> {
    let Operation { id, action, .. } = operation;
    let message = Message { id, action, attempt: 1, body: body.as_bytes(), typed: true };
    let endpoint = &before.endpoint;
    let response = post(host, endpoint, &message, endpoint.timeout_ms)
        .map_err(|failure| failure.why().to_owned())?;
    if response.status != 200 {
        return Err(format!("it answered {} instead of 200", response.status));
    }
    let answer = serde_json::from_slice::<Value>(&response.body)
        .map_err(|it| format!("its answer is no JSON: {it}"))?;
    read(&answer)
}

fn read(answer: &Value) -> Result<Answer, String> {
    match (answer.get("allow"), answer.get("patch")) {
        (None | Some(Value::Bool(true)), Some(patch @ Value::Array(_))) => {
            Ok(Answer::Patch(patch.to_string()))
        }
        (Some(Value::Bool(true)), None) => Ok(Answer::Allow(texts(answer.get("warnings"))?)),
        (Some(Value::Bool(false)), None) => Ok(Answer::Deny(Denial {
            code: text(answer, "code")?.unwrap_or("webhook.denied").to_owned(),
            message: text(answer, "message")?.unwrap_or("a webhook refused it").to_owned(),
            findings: Vec::new(),
        })),
        _ => Err("its answer has neither `allow` nor `patch`, or wrong ones".to_owned()),
    }
}

fn text<'a>(answer: &'a Value, name: &str) -> Result<Option<&'a str>, String> {
    match answer.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(it)) => Ok(Some(it)),
        Some(_) => Err(format!("`{name}` in its answer is no text")),
    }
}

fn texts(warnings: Option<&Value>) -> Result<Vec<String>, String> {
    let wrong = || "`warnings` in its answer is no list of texts".to_owned();
    match warnings {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            let text = |it: &Value| it.as_str().map(str::to_owned).ok_or_else(wrong);
            items.iter().map(text).collect()
        }
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use chandlery_sdk::{
        hook::{Principal, PrincipalKind, Target},
        http::HttpError,
    };
    use serde_json::json;

    use super::*;
    use crate::{
        post::fake::{Fake, answer},
        settings::Settings,
    };

    fn before(json: Value) -> Vec<Before> {
        let (settings, findings) = Settings::read(&json!({ "before": json }).to_string());
        assert_eq!(findings, []);
        settings.before
    }

    fn operation() -> Operation {
        Operation {
            id: "o-1".to_owned(),
            action: "package:upload".to_owned(),
            target: Target {
                kind: "package".to_owned(),
                namespace: String::new(),
                name: "web".to_owned(),
                version: None,
                labels: Vec::new(),
            },
            actor: Principal {
                id: "anonymous".to_owned(),
                kind: PrincipalKind::Anonymous,
                groups: Vec::new(),
                roles: Vec::new(),
                claims: Vec::new(),
            },
            request: None,
            dry_run: true,
            object: r#"{"name":"web"}"#.to_owned(),
            previous: None,
        }
    }

    const URL: &str = "https://ask.example.org";

    fn verdict(status: u16, body: &str) -> Result<Verdict, PluginError> {
        let mut host = Fake::new([answer(status, body)]);
        review(&mut host, &before(json!([{ "url": URL, "secret": "key" }])), &operation())
    }

    #[test]
    fn an_operation_is_posted_and_the_answer_is_the_verdict() {
        let mut host = Fake::new([answer(200, r#"{"allow": true}"#)]);
        let asked = before(json!([{ "url": URL, "secret": "key" }]));
        assert_eq!(review(&mut host, &asked, &operation()), Ok(Verdict::Allow));
        let expected = r#"{"id":"o-1","action":"package:upload","target":{"kind":"package","namespace":"","name":"web","version":null,"labels":{}},"actor":{"id":"anonymous","kind":"anonymous","groups":[]},"dry_run":true,"object":{"name":"web"},"previous":null}"#;
        assert_eq!(String::from_utf8_lossy(host.sent[0].body.as_ref().unwrap()), expected);
        assert!(host.header(0, "x-chandlery-signature").unwrap().starts_with("t=1800000000,v1="));
        assert_eq!(host.sent[0].timeout_ms, Some(1_500));
    }

    #[test]
    fn a_url_may_refuse_warn_or_change() {
        let denied = |code: &str, message: &str| {
            let (code, message) = (code.to_owned(), message.to_owned());
            Ok(Verdict::Deny(Denial { code, message, findings: Vec::new() }))
        };
        let answer = r#"{"allow": false, "code": "quota", "message": "enough for today"}"#;
        assert_eq!(verdict(200, answer), denied("quota", "enough for today"));
        let plain = denied("webhook.denied", "a webhook refused it");
        assert_eq!(verdict(200, r#"{"allow": false}"#), plain);

        let warned = verdict(200, r#"{"allow": true, "warnings": ["soon full"]}"#);
        assert_eq!(warned, Ok(Verdict::AllowWithWarnings(vec!["soon full".to_owned()])));

        let patch = r#"[{"op":"add","path":"/size","value":1.50}]"#;
        let changed = verdict(200, &format!(r#"{{"patch": {patch}}}"#));
        assert_eq!(changed, Ok(Verdict::Mutate(patch.to_owned())));
    }

    #[test]
    fn an_answer_that_is_none_is_a_failure() {
        for (status, body) in [
            (500, ""),
            (204, ""),
            (200, ""),
            (200, "[]"),
            (200, "{}"),
            (200, r#"{"allow": "yes"}"#),
            (200, r#"{"allow": false, "patch": []}"#),
            (200, r#"{"allow": false, "message": 1}"#),
            (200, r#"{"allow": true, "warnings": "w"}"#),
        ] {
            let failure = verdict(status, body).expect_err(body);
            assert!(failure.retryable, "{status} {body}");
            assert!(failure.message.starts_with("`https://ask.example.org` was asked in vain: "));
        }
    }

    #[test]
    fn a_failure_lets_pass_where_the_settings_say_so() {
        let asked = before(json!([{ "url": URL, "on_failure": "allow" }]));
        let mut host = Fake::new([Err(HttpError::Timeout)]);
        assert_eq!(review(&mut host, &asked, &operation()), Ok(Verdict::Allow));
        assert!(host.warnings[0].contains("lets pass: it took too long"), "{:?}", host.warnings);
    }

    #[test]
    fn the_first_no_counts_and_only_one_url_may_change() {
        let both = before(json!([{ "url": URL }, { "url": URL }]));
        let of = |answers: [&str; 2]| {
            let mut host = Fake::new(answers.map(|it| answer(200, it)));
            (review(&mut host, &both, &operation()), host.sent.len())
        };
        let (verdict, asked) = of([r#"{"allow": false}"#, r#"{"allow": true}"#]);
        assert!(matches!(verdict, Ok(Verdict::Deny(_))));
        assert_eq!(asked, 1);
        let (verdict, _) = of([r#"{"patch": []}"#, r#"{"patch": []}"#]);
        assert!(!verdict.unwrap_err().retryable);
    }

    #[test]
    fn what_no_url_wants_is_allowed() {
        let mut host = Fake::new([]);
        let asked = before(json!([{ "url": URL, "actions": ["release:*"] }]));
        assert_eq!(review(&mut host, &asked, &operation()), Ok(Verdict::Allow));
    }
}
