use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{at, expect_empty, host, host_with, register, register_version};

fn namespace(name: &str) -> Value {
    json!({
        "name": name, "description": "", "org_url": "", "logo": "", "permission": "admin",
        "is_public": false,
    })
}

#[tokio::test]
async fn an_empty_server_lists_nothing() {
    let host = host().await;
    let answer = host.get(&at("/")).await.expect(200);
    assert_eq!((answer.text(), answer.header("content-type")), ("{}\n", "application/json"));
}

#[tokio::test]
async fn what_is_not_there_is_an_empty_404() {
    let host = host_with(["1"]).await;
    for path in [
        "/other/",
        "/other/units/",
        "/other/units/app/",
        "/ns/units/other/",
        "/ns/units/other/versions/",
        "/other/units/app/versions/",
        "/search/",
        "/__providers/",
    ] {
        expect_empty(host.get(&at(path)).await, 404);
    }
}

#[tokio::test]
async fn namespaces_are_listed_by_name() {
    let host = host().await;
    for name in ["zeta", "_", "alpha"] {
        register_version(&host, name, "app", "1").await;
    }
    let answer = host.get(&at("/")).await.expect(200);
    assert_eq!(
        answer.json(),
        json!({ "_": namespace("_"), "alpha": namespace("alpha"), "zeta": namespace("zeta") })
    );
    let places: Vec<_> = ["_\":", "alpha\":", "zeta\":"].map(|it| answer.text().find(it)).into();
    assert!(places.is_sorted(), "{}", answer.text());
}

#[tokio::test]
async fn a_namespace_shows_its_units_beside_its_own_fields() {
    let host = host().await;
    for unit in ["web", "api"] {
        register_version(&host, "ns", unit, "1").await;
    }
    register_version(&host, "ns2", "other", "1").await;
    let shown = host.get(&at("/ns/")).await.expect(200).json();
    let units = host.get(&at("/ns/units/")).await.expect(200).json();
    assert_eq!(units.as_object().unwrap().keys().collect::<Vec<_>>(), ["api", "web"]);
    let mut expected = namespace("ns");
    expected["units"] = units;
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_unit_shows_what_its_greatest_release_says() {
    let host = host().await;
    let release = |version: &str, description: &str| json!({ "name": "app", "version": version, "description": description, "logo": description });
    for (version, description) in [("1.10", "best"), ("1.9", "older"), ("0.1", "oldest")] {
        register(&host, "ns", &release(version, description)).await.expect(200);
    }
    let mut unit = host.get(&at("/ns/units/app/")).await.expect(200).json();
    let at = unit["uploaded_at"].take();
    let at = at.as_str().unwrap();
    assert!(at.len() == 20 && at.ends_with('Z'), "{at}");
    assert_eq!(
        unit,
        json!({
            "name": "app", "project": "ns", "description": "best", "latest_version": "1.10",
            "logo": "best", "uploaded_by": "", "uploaded_at": null, "hooks": null,
            "versions": ["1.10", "1.9", "0.1"],
        })
    );
}

#[tokio::test]
async fn who_registered_is_shown() {
    let host = host().await;
    let release = json!({ "name": "app", "version": "1" });
    host.as_user("ana").post(&at("/ns/register"), &release).await.expect(200);
    let unit = host.get(&at("/ns/units/app/")).await.expect(200).json();
    assert_eq!(unit["uploaded_by"], "ana");
}

#[tokio::test]
async fn versions_are_listed_greatest_first_without_a_v() {
    let host = host_with(["1.9", "1", "1.10", "0.0.1", "1.0", "01"]).await;
    let answer = host.get(&at("/ns/units/app/versions/")).await.expect(200);
    assert_eq!(answer.text(), "[\"1.10\",\"1.9\",\"1.0\",\"01\",\"1\",\"0.0.1\"]\n");
}

#[tokio::test]
async fn lists_longer_than_a_page_are_whole() {
    let host = host().await;
    let count = 2 * chandlery::inventory::PAGE_ROWS + 1;
    let versions: Vec<_> = (0..count).map(|it| format!("1.{it}")).collect();
    let register = |(unit, version)| register_version(&host, "ns", unit, version);
    let pairs = versions.iter().map(|it| ("app", &**it));
    stream::iter(pairs).for_each_concurrent(64, register).await;
    let units: Vec<_> = (0..count).map(|it| format!("u-{it:05}")).collect();
    stream::iter(units.iter().map(|it| (&**it, "1"))).for_each_concurrent(64, register).await;

    let listed = host.get(&at("/ns/units/app/")).await.expect(200).json();
    let expected: Vec<_> = versions.iter().rev().map(|it| json!(it)).collect();
    assert_eq!(listed["versions"], Value::Array(expected));
    let listed = host.get(&at("/ns/units/")).await.expect(200).json();
    let names: Vec<_> = listed.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, [vec!["app".to_owned()], units].concat());
}

#[tokio::test]
async fn both_spellings_of_a_path_and_head_are_answered() {
    let host = host_with(["1"]).await;
    for path in [
        "",
        "/ns/units",
        "/ns/units/app",
        "/ns/units/app/versions",
        "/ns/units/app/versions/v1",
        "/ns/units/app/next-version",
    ] {
        let one = host.get(&at(path)).await.expect(200);
        let other = host.get(&at(&format!("{path}/"))).await.expect(200);
        assert_eq!(one.text(), other.text(), "{path}");
        let head = host.head(&at(path)).await.expect(200);
        assert_eq!(head.text(), "");
        assert_eq!(head.header("content-type"), one.header("content-type"), "{path}");
    }
    host.get(&at("/ns")).await.expect(404);
}
