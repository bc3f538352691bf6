//! Namespaces, moved from one server to another.

use chandlery_tests::{Answer, Host, guest};
use serde_json::{Value, json};

use super::{at, expect_empty, expect_text, host, patient, register};

const IMPORT: &str = "/api/v1/internal/import";
const BLOCK: usize = 512;

async fn export(host: &Host, namespace: &str) -> Vec<u8> {
    let answer = host.get(&at(&format!("/{namespace}/export"))).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/x-tar");
    assert_eq!(
        answer.header("content-disposition"),
        format!("attachment; filename=\"{namespace}.tar\"")
    );
    answer.bytes.to_vec()
}

async fn import(host: &Host, query: &str, stream: &[u8]) -> Answer {
    host.post_bytes(&format!("{IMPORT}{query}"), "application/x-tar", stream.to_vec()).await
}

async fn upload(host: &Host, place: &str, version: &str, bytes: &[u8]) {
    let (namespace, unit) = place.split_once('/').unwrap();
    let path = at(&format!("/{namespace}/units/{unit}/versions/v{version}/upload"));
    host.upload(&path, bytes).await.expect(200);
}

async fn hooks(host: &Host, place: &str, document: Value) {
    let path = place.replacen('/', "/units/", 1);
    host.put(&at(&format!("/{path}/hooks/")), &document).await.expect(201);
}

async fn tag(host: &Host, unit: &str, version: &str, tag: &str) {
    let body = json!({ "release_id": format!("ns/{unit}-v{version}"), "tag": tag });
    host.post(&at(&format!("/ns/units/{unit}/tags/")), &body).await.expect(200);
}

/// A namespace with some of everything.
async fn filled() -> Host {
    let host = host().await;
    for release in [
        json!({ "name": "lib", "version": "2", "description": "a <b> & c",
            "metadata": { "team": "shop" }, "provides": [{ "name": "api" }] }),
        json!({ "name": "app", "version": "1.0", "depends": [{ "release_id": "ns/lib-v2 as x" }],
            "inputs": [{ "id": "size", "type": "integer", "default": 1.50 }] }),
        json!({ "name": "lib", "version": "1", "files": null, "downloads": [
            { "url": "https://example.org/x", "dest": "x" }] }),
        json!({ "name": "app", "version": "01.0", "extends": [{ "release_id": "ns/lib-v1" }] }),
    ] {
        let path = at("/ns/register");
        host.as_user("ana").post(&path, &release).await.expect(200);
    }
    upload(&host, "ns/lib", "2", b"").await;
    upload(&host, "ns/app", "1.0", &[7; 1000]).await;
    upload(&host, "ns/app", "01.0", &[7; 512]).await;
    for _ in 0..2 {
        host.get(&at("/ns/units/app/versions/v1.0/download")).await.expect(200);
    }
    tag(&host, "app", "1.0", "production").await;
    tag(&host, "app", "01.0", "Grün & neu").await;
    let yank = json!({ "reason": "too old", "replacement": "v2" });
    host.post(&at("/ns/units/lib/versions/v1/yank"), &yank).await.expect(200);
    hooks(&host, "ns", json!({ "events": { "url": "https://example.org/" } })).await;
    hooks(&host, "ns/lib", json!({ "slack": { "url": "https://example.org/s" } })).await;
    host
}

/// All that the API tells of a namespace.
async fn told(host: &Host, namespace: &str) -> Vec<Value> {
    let mut told = vec![host.get(&at(&format!("/{namespace}/"))).await.expect(200).json()];
    for unit in ["app", "lib"] {
        let unit = format!("/{namespace}/units/{unit}");
        let versions = host.get(&at(&format!("{unit}/versions/"))).await.expect(200).json();
        told.push(host.get(&at(&format!("{unit}/tags/"))).await.expect(200).json());
        for version in versions.as_array().unwrap() {
            let version = version.as_str().unwrap();
            let path = at(&format!("{unit}/versions/v{version}/?full=1"));
            told.push(host.get(&path).await.expect(200).json());
        }
        told.push(versions);
    }
    told
}

#[tokio::test]
async fn a_namespace_arrives_on_another_server_as_it_was() {
    let source = filled().await;
    let stream = export(&source, "ns").await;
    let copy = host().await;
    let summary = import(&copy, "", &stream).await.expect(200).json();
    let expected = json!({ "namespace": "ns", "releases": 4, "imported": 4, "skipped": 0,
        "conflicts": 0, "reasons": [] });
    assert_eq!(summary, expected);

    assert_eq!(told(&copy, "ns").await, told(&source, "ns").await);
    let path = at("/ns/units/app/versions/production/download");
    let bytes = copy.get(&path).await.expect(200).bytes;
    assert_eq!(bytes, source.get(&path).await.expect(200).bytes);
    // What a register leads to is there as well.
    let found = copy.get(&at("/search?q=shop")).await.expect(200).json();
    assert_eq!(found, source.get(&at("/search?q=shop")).await.expect(200).json());
    assert_eq!(found.as_object().unwrap().len(), 1);
    let next = copy.get(&at("/ns/units/lib/next-version")).await.expect(200);
    assert_eq!(next.text(), "3");
    copy.app.store.verify_audit().await.unwrap();
}

#[tokio::test]
async fn an_import_is_exported_again_byte_for_byte() {
    let source = filled().await;
    let stream = export(&source, "ns").await;
    let copy = host().await;
    import(&copy, "", &stream).await.expect(200);
    assert_eq!(export(&copy, "ns").await, stream);
    let yanked = copy.get(&at("/ns/units/lib/versions/v1/")).await.expect(200);
    assert!(yanked.header("warning").contains("too old"), "{}", yanked.header("warning"));
    // It is kept, and not only in memory.
    let copy = copy.restart().await;
    assert_eq!(export(&copy, "ns").await, stream);
}

#[tokio::test]
async fn namespaces_of_all_kinds_come_back() {
    let source = host().await;
    for seed in 0..12u64 {
        let namespace = format!("ns-{seed}");
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        for number in 0..1 + next(12) {
            let unit = format!("unit-{}", next(3));
            let version = format!("{}.{number}", next(4));
            let depends = json!([{ "release_id": format!("{namespace}/unit-{}-v0.0", next(3)) }]);
            let release = json!({ "name": unit, "version": version, "depends": depends,
                "description": "ä\u{2028}\"".repeat(next(5) as usize),
                "inputs": [{ "id": "a", "default": next(1000) }] });
            register(&source, &namespace, &release).await.expect(200);
            if next(3) > 0 {
                let bytes = vec![number as u8; next(3000) as usize];
                upload(&source, &format!("{namespace}/{unit}"), &version, &bytes).await;
            }
        }
        let stream = export(&source, &namespace).await;
        let copy = host().await;
        import(&copy, "", &stream).await.expect(200);
        assert_eq!(export(&copy, &namespace).await, stream, "seed {seed}");
    }
}

#[tokio::test]
async fn an_import_can_be_sent_again_and_go_to_another_name() {
    let source = filled().await;
    let stream = export(&source, "ns").await;
    for query in ["", "?namespace=other", "?namespace=_"] {
        let copy = host().await;
        import(&copy, query, &stream).await.expect(200);
        let summary = import(&copy, query, &stream).await.expect(200).json();
        assert_eq!((&summary["imported"], &summary["skipped"]), (&json!(0), &json!(4)));
        assert_eq!(summary["conflicts"], 0);
    }
    let refused = import(&source, "?namespace=Bad", &stream).await;
    expect_text(refused, 400, "Invalid name 'Bad'");
}

#[tokio::test]
async fn what_is_there_and_differs_stays_and_is_told() {
    let source = filled().await;
    let stream = export(&source, "ns").await;
    let copy = host().await;
    let other = json!({ "name": "lib", "version": "2", "description": "another" });
    register(&copy, "ns", &other).await.expect(200);
    register(&copy, "ns", &json!({ "name": "app", "version": "9" })).await.expect(200);
    let body = json!({ "release_id": "ns/app-v9", "tag": "production" });
    copy.post(&at("/ns/units/app/tags/"), &body).await.expect(200);

    let summary = import(&copy, "", &stream).await.expect(200).json();
    assert_eq!((&summary["imported"], &summary["conflicts"]), (&json!(3), &json!(2)));
    let reasons = json!([
        { "of": "lib-v2", "reason": "its metadata is another here" },
        { "of": "app:production", "reason": "it points to another version here" },
    ]);
    assert_eq!(summary["reasons"], reasons);
    let kept = copy.get(&at("/ns/units/lib/versions/v2/")).await.expect(200).json();
    assert_eq!(kept["description"], "another");
    expect_empty(copy.get(&at("/ns/units/lib/versions/v2/download")).await, 404);
    let tags = copy.get(&at("/ns/units/app/tags/")).await.expect(200).json();
    assert_eq!(tags["production"], "9");
}

#[tokio::test]
async fn a_stream_that_is_cut_off_anywhere_is_refused_and_nothing_is_there_by_half() {
    let source = filled().await;
    let stream = export(&source, "ns").await;
    let copy = host().await;
    let mut cuts = (0..stream.len()).step_by(BLOCK).collect::<Vec<_>>();
    cuts.extend((1..stream.len()).step_by(1_777));
    cuts.push(stream.len() - 1);
    for cut in cuts {
        let name = format!("cut-{cut}");
        let query = format!("?namespace={name}");
        let answer = import(&copy, &query, &stream[..cut]).await.expect(400);
        let begin = "it is no whole export: ";
        assert!(answer.text().starts_with(begin), "cut at {cut}: {}", answer.text());
        // What a release had, it has here, or it is not here.
        for (unit, version, has) in
            [("lib", "2", true), ("app", "1.0", true), ("lib", "1", false), ("app", "01.0", true)]
        {
            let version = at(&format!("/{name}/units/{unit}/versions/v{version}/"));
            if copy.get(&version).await.status == 200 {
                let status = copy.get(&format!("{version}download")).await.status;
                assert_eq!(status == 200, has, "cut at {cut}: {version}");
            }
        }
    }
    // Where the first release did not come, there is no namespace.
    expect_empty(copy.get(&at("/cut-512/")).await, 404);
    expect_empty(copy.get(&at("/cut-1024/")).await, 404);
    // What is missing comes with the whole stream.
    let summary = import(&copy, "?namespace=cut-512", &stream).await.expect(200).json();
    assert_eq!(summary["imported"], 4);
}

#[tokio::test]
async fn a_stream_with_a_changed_byte_is_refused() {
    let source = filled().await;
    let stream = export(&source, "ns").await;
    let copy = host().await;
    for place in (0..stream.len()).step_by(211) {
        let mut changed = stream.clone();
        changed[place] ^= 1;
        let query = format!("?namespace=byte-{place}");
        import(&copy, &query, &changed).await.expect(400);
    }
    let longer = [&stream[..], b"more"].concat();
    import(&copy, "?namespace=longer", &longer).await.expect(400);
    import(&copy, "?namespace=twice", &stream.repeat(2)).await.expect(400);
}

/// Entries as an export has them, without an end.
fn entries(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (name, contents) in entries {
        stream.extend(header(name, contents.len() as u64));
        stream.extend(contents.as_bytes());
        stream.resize(stream.len().next_multiple_of(BLOCK), 0);
    }
    stream
}

fn header(name: &str, size: u64) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &str| {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|it| u32::from(*it)).sum();
    header[148..156].copy_from_slice(format!("{sum:07o}\0").as_bytes());
    header
}

const MANIFEST: &str = r#"{"format":1,"server":"x","namespace":"evil","record":{"description":"","org_url":"","logo":"","is_public":false},"hooks":{}}"#;
const FACTS: &str = r#"{"number":1,"uploaded_by":"","uploaded_at":"2026-01-01T00:00:00Z","downloads":0,"package":null}"#;

fn metadata(text: &str) -> (&str, &str) {
    ("releases/000000000001/metadata.json", text)
}

fn facts(text: &str) -> (&str, &str) {
    ("releases/000000000001/facts.json", text)
}

#[tokio::test]
async fn hostile_streams_are_refused_and_leave_nothing() {
    let host = host().await;
    let refused = |stream: Vec<u8>, why: &'static str| {
        let host = &host;
        async move {
            let answer = import(host, "", &stream).await.expect(400);
            assert!(answer.text().contains(why), "`{why}` in `{}`", answer.text());
            expect_empty(host.get(&at("/evil/")).await, 404);
        }
    };
    let manifest = ("manifest.json", MANIFEST);
    refused(Vec::new(), "ends before its end").await;
    refused(b"PK\x03\x04".repeat(1000), "a header is not as an export has it").await;
    refused(entries(&[("end.json", "{}")]), "stands where `manifest.json` belongs").await;
    for (bad, why) in [
        ("nonsense", "cannot be read"),
        ("{}", "tells no format"),
        (r#"{"format":2}"#, "it has the format 2, and this server reads 1"),
        (r#"{"format":1}"#, "cannot be read"),
    ] {
        refused(entries(&[("manifest.json", bad)]), why).await;
    }
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    refused(entries(&[("manifest.json", &deep)]), "cannot be read").await;
    let name = MANIFEST.replace("\"evil\"", "\"../evil\"");
    refused(entries(&[("manifest.json", &name)]), "Invalid name '../evil'").await;
    let hook = MANIFEST.replace("\"hooks\":{}", "\"hooks\":{\"build\":{\"url\":\"x\"}}");
    refused(entries(&[("manifest.json", &hook)]), "Unknown hook type 'build'").await;

    let mut large = entries(&[manifest]);
    large.extend(header("releases/000000000001/metadata.json", (8 << 30) - 1));
    refused(large, "may have").await;
    refused(entries(&[manifest, manifest]), "stands where `end.json` belongs").await;
    for name in ["releases/000000000002/metadata.json", "releases/000000000001/package"] {
        refused(entries(&[manifest, (name, "{}")]), "belongs").await;
    }
    let good = r#"{"name":"app","version":"1"}"#;
    for (text, why) in [
        ("{}", "release 1: Missing name field"),
        (r#"{"name":"a/b","version":"1"}"#, "release 1: Invalid name 'a/b'"),
        (r#"{"name":"app","version":"latest"}"#, "release 1: Can't add"),
    ] {
        refused(entries(&[manifest, metadata(text), facts(FACTS)]), why).await;
    }
    for (text, why) in [
        ("{}".to_owned(), "cannot be read"),
        (FACTS.replace("\"number\":1", "\"number\":0"), "its number is none"),
        (FACTS.replace("\"number\":1", "\"number\":18446744073709551615"), "its number is none"),
        (FACTS.replace("2026-01-01T00:00:00Z", "yesterday"), "`uploaded_at` is no time"),
        (FACTS.replace("2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"), "is no time"),
        (FACTS.replace("\"uploaded_by\":\"\"", "\"uploaded_by\":\"a\\nb\""), "nobody's name"),
        (FACTS.replace('}', ",\"more\":1}"), "cannot be read"),
        (
            FACTS.replace('}', r#","yanked":{"reason":"","replacement":"x","at":"","by":""}}"#),
            "yank cannot be",
        ),
    ] {
        refused(entries(&[manifest, metadata(good), facts(&text)]), why).await;
    }
    let package = format!(
        r#"{{"sha256":"{}","size":3,"uploaded_at":"2026-01-01T00:00:00Z"}}"#,
        "0".repeat(64)
    );
    let with_package = FACTS.replace("null", &package);
    for (text, why) in [("abc", "its package has other bytes"), ("abcd", "another size")] {
        let stream = entries(&[
            manifest,
            metadata(good),
            facts(&with_package),
            ("releases/000000000001/package", text),
        ]);
        refused(stream, why).await;
    }
    let unasked = entries(&[manifest, metadata(good), facts(&with_package)]);
    refused(unasked, "ends before its end").await;
}

#[tokio::test]
async fn an_import_has_a_limit_of_its_own() {
    let source = filled().await;
    let stream = export(&source, "ns").await;
    let plugins = vec![patient(guest::allow_all())];
    let builder = Host::builder().plugins(plugins);
    let copy = builder.config(|it| it.limits.import_bytes_max = 2000).start().await;
    import(&copy, "", &stream).await.expect(413);
    let plugins = vec![patient(guest::allow_all())];
    let builder = Host::builder().plugins(plugins);
    let copy = builder.config(|it| it.limits.package_bytes_max = 999).start().await;
    import(&copy, "", &stream).await.expect(413);
}

#[tokio::test]
async fn policies_and_hooks_decide_about_both() {
    let source = filled().await;
    let stream = export(&source, "ns").await;
    let swap = |bindings: Vec<chandlery::plugins::Binding>| async {
        let bindings = bindings.into_iter().map(patient).collect();
        source.app.plugins.swap(source.app.plugins.build(bindings).await.unwrap());
    };
    swap(vec![guest::deny_action("inventory:namespace:export")]).await;
    expect_text(source.get(&at("/ns/export")).await, 403, "not that");
    expect_text(source.get(&at("/other/export")).await, 403, "not that");
    import(&source, "", &stream).await.expect(200);
    swap(vec![guest::deny_action("inventory:namespace:import")]).await;
    expect_text(import(&source, "?namespace=new", &stream).await, 403, "not that");
    expect_empty(source.get(&at("/other/export")).await, 404);
    swap(vec![guest::allow_all(), guest::refusing_hook()]).await;
    expect_text(import(&source, "?namespace=new", &stream).await, 400, "too much");
    expect_empty(source.get(&at("/new/")).await, 404);
}
