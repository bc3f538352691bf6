use super::{at, expect_text, host, host_with};

const VERSIONS: [&str; 13] = [
    "0.0.1", "0.0.2", "0.0.10", "0.1", "0.1.0", "0.1.5.1", "1", "1.0", "1.0.0", "1.2", "1.9",
    "1.10", "2.0.0",
];

#[tokio::test]
async fn the_documents_table_holds() {
    let host = host_with(VERSIONS).await;
    for (prefix, expected) in [
        ("", "3"),
        ("0.", "0.2"),
        ("0.0.", "0.0.11"),
        ("0.1.", "0.1.6"),
        ("1.", "1.11"),
        ("1.0.", "1.0.1"),
        ("2.", "2.1"),
        ("3.", "3.0"),
        ("1", "10"),
        ("0", "00"),
        ("v1.", "v1.0"),
        ("abc", "abc0"),
        ("1.@", "1.@0"),
        ("1..", "1..0"),
        (".", ".0"),
        ("1.1", "1.11"),
        ("%00", "\x000"),
        ("a+b", "a b0"),
        ("%3Cb%3E", "<b>0"),
    ] {
        let path = at(&format!("/ns/units/app/next-version?prefix={prefix}"));
        let answer = expect_text(host.get(&path).await, 200, expected);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    expect_text(host.get(&at("/ns/units/app/next-version")).await, 200, "3");
    let twice = at("/ns/units/app/next-version?prefix=1.&prefix=2.");
    expect_text(host.get(&twice).await, 200, "1.11");
}

#[tokio::test]
async fn what_does_not_exist_begins_at_zero() {
    let host = host().await;
    for place in ["/ns/units/app", "/Bad/units/app", "/ns/units/B%00d", "/ns/units/a%20b"] {
        let path = at(&format!("{place}/next-version"));
        expect_text(host.get(&path).await, 200, "0");
        expect_text(host.get(&format!("{path}?prefix=0.1.")).await, 200, "0.1.0");
    }
}

#[tokio::test]
async fn longer_versions_and_other_namespaces_do_not_count() {
    let host = host_with(["0.0.5.0"]).await;
    expect_text(host.get(&at("/ns/units/app/next-version?prefix=0.0.")).await, 200, "0.0.6");
    expect_text(host.get(&at("/other/units/app/next-version?prefix=0.0.")).await, 200, "0.0.0");
}
