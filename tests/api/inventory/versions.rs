use chandlery_tests::Host;
use serde_json::json;

use super::{at, expect_empty, host_with};

const VERSIONS: [&str; 13] = [
    "0.0.1", "0.0.2", "0.0.10", "0.1", "0.1.0", "0.1.5.1", "1", "1.0", "1.0.0", "1.2", "1.9",
    "1.10", "2.0.0",
];

async fn resolved(host: &Host, query: &str) -> String {
    let path = at(&format!("/ns/units/app/versions/{query}/"));
    let release = host.get(&path).await.expect(200).json();
    release["version"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn queries_find_what_they_mean() {
    let host = host_with(VERSIONS).await;
    for (query, expected) in [
        ("latest", "2.0.0"),
        ("@", "2.0.0"),
        ("v@", "2.0.0"),
        ("%40", "2.0.0"),
        ("v1.0", "1.0"),
        ("1.0", "1.0"),
        ("v1", "1"),
        ("v1.@", "1.10"),
        ("1.%40", "1.10"),
        ("v0.@", "0.1.5.1"),
        ("v0.0.@", "0.0.10"),
        ("v1.0.@", "1.0.0"),
    ] {
        assert_eq!(resolved(&host, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn queries_that_match_nothing_are_an_empty_404() {
    let host = host_with(["1", "1.20", "3.0"]).await;
    for query in [
        "v01",
        "v2",
        "v2.@",
        "v1.2.@",
        "production",
        "v1.x",
        "1@",
        "vX",
        "LATEST",
        "vlatest",
        "v3.0.0",
        "v",
        ".@",
        "%00",
    ] {
        expect_empty(host.get(&at(&format!("/ns/units/app/versions/{query}/"))).await, 404);
        expect_empty(host.get(&at(&format!("/ns/units/app/versions/{query}/download"))).await, 404);
    }
    for path in ["/ns/units/other/versions/v1/", "/other/units/app/versions/latest/"] {
        expect_empty(host.get(&at(path)).await, 404);
    }
}

#[tokio::test]
async fn versions_with_numbers_of_any_size_are_ordered() {
    let huge = format!("1.{}", "9".repeat(200));
    let host = host_with([&*huge, "1.18446744073709551616", "1.2"]).await;
    assert_eq!(resolved(&host, "latest").await, huge);
    let next = host.get(&at("/ns/units/app/next-version?prefix=1.")).await.expect(200);
    assert_eq!(next.text(), format!("1.1{}", "0".repeat(200)));
}

#[tokio::test]
async fn full_tells_more_for_any_text_but_none() {
    let host = host_with(["1", "2"]).await;
    let path = at("/ns/units/app/versions/v1/");
    let release = host.get(&path).await.expect(200).json();
    for query in ["full=1", "full=false", "full=x&full="] {
        let mut payload = host.get(&format!("{path}?{query}")).await.expect(200).json();
        assert!(payload["uploaded_at"].take().is_string());
        assert_eq!(
            payload,
            json!({
                "release": release, "versions": ["2", "1"], "is_latest": false, "downloads": 0,
                "uploaded_by": "", "uploaded_at": null,
            })
        );
    }
    for query in ["full=", "full", "other=1", "full=&full=1"] {
        assert_eq!(
            host.get(&format!("{path}?{query}")).await.expect(200).json(),
            release,
            "{query}"
        );
    }
    let latest = host.get(&at("/ns/units/app/versions/latest/?full=1")).await.expect(200).json();
    assert_eq!(latest["is_latest"], true);
}
