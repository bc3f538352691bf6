//! A namespace with something of everything that the inventory keeps.
//!
//! **Whoever gives a namespace something new to keep adds a step here**, so that the
//! tests of hard delete, export and import see it.

use chandlery::store::KeptRow;
use chandlery_tests::Host;
use serde_json::json;

use super::{at, register};

/// Puts something of everything into a namespace.
pub(super) async fn fill(host: &Host, namespace: &str) {
    for (version, description) in [("1.0", "first"), ("1.1", "second"), ("2.0.0", "third")] {
        let release = json!({
            "name": "app", "version": version, "project": namespace, "description": description,
            "license": "MIT", "metadata": { "team": "harbour", "tier": version },
            "depends": [
                { "release_id": "shared/lib-v1.0" },
                { "release_id": format!("{namespace}/base-v1.0 as base") },
            ],
            "extends": [{ "release_id": "shared/parent-v2.0" }],
            "consumes": [{ "name": "database" }],
            "provides": [{ "name": "queue" }, { "name": format!("queue-{version}") }],
            "inputs": [{ "id": "size" }],
        });
        register(host, namespace, &release).await.expect(200);
    }
    let base = json!({ "name": "base", "version": "1.0", "provides": [{ "name": "queue" }] });
    register(host, namespace, &base).await.expect(200);

    let app = at(&format!("/{namespace}/units/app"));
    for version in ["1.0", "2.0.0"] {
        let bytes = format!("bytes of {namespace} {version}");
        host.upload(&format!("{app}/versions/v{version}/upload"), bytes.as_bytes())
            .await
            .expect(200);
        host.get(&format!("{app}/versions/v{version}/download")).await.expect(200);
    }
    let shared = at(&format!("/{namespace}/units/base/versions/v1.0/upload"));
    host.upload(&shared, b"bytes that others have, too").await.expect(200);

    for (release, tag) in [("app-v1.0", "stable"), ("app-latest", "edge")] {
        let tag = json!({ "release_id": format!("{namespace}/{release}"), "tag": tag });
        host.post(&format!("{app}/tags/"), &tag).await.expect(200);
    }

    let yank = json!({ "reason": "too old", "replacement": "v2.0.0" });
    host.post(&format!("{app}/versions/v1.0/yank"), &yank).await.expect(200);

    let hooks = json!({ "slack": { "url": "http://slack" }, "events": { "url": "http://e" } });
    host.put(&at(&format!("/{namespace}/hooks/")), &hooks).await.expect(201);
    host.put(&format!("{app}/hooks/"), &json!({ "build": { "url": "http://b" } }))
        .await
        .expect(201);
    let public = json!({ "name": namespace, "description": "all there is", "is_public": true });
    host.put(&at(&format!("/{namespace}/")), &public).await.expect(201);
}

/// All rows of the store but those that tell what has happened: audit records, news
/// for hooks.
pub(super) async fn rows(host: &Host) -> Vec<KeptRow> {
    host.app.downloads.flush().await;
    let mut rows = host.app.store.rows(None, usize::MAX).await.unwrap();
    rows.retain(|it| {
        !["audit", "operations", "outbox", "readiness"].iter().any(|old| it.table.starts_with(old))
    });
    rows
}

/// Whether a row says a name anywhere.
pub(super) fn says(row: &KeptRow, name: &str) -> bool {
    let has = |bytes: &[u8]| bytes.windows(name.len()).any(|it| it == name.as_bytes());
    has(&row.key) || has(&row.value)
}

/// Checks that the store has exactly these rows.
#[track_caller]
pub(super) fn expect_same(found: &[KeptRow], expected: &[KeptRow]) {
    let without = |these: &[KeptRow], those: &[KeptRow]| -> Vec<String> {
        let key = |it: &KeptRow| format!("{} {}", it.table, it.key.escape_ascii());
        these.iter().filter(|it| !those.contains(it)).map(key).collect()
    };
    let (more, missing) = (without(found, expected), without(expected, found));
    assert!(more.is_empty() && missing.is_empty(), "too many: {more:#?}, missing: {missing:#?}");
}
