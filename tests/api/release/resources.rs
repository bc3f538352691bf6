//! The data repositories: pages, searches, conditions.

use axum::{body::Body, http::Request};
use chandlery::{release::model::PackageMetadata, store::packages};
use chandlery_tests::{Answer, Host};
use serde_json::{Value, json};

use super::{UPLOAD, failure, send_as, upload_of, zip};

const PACKAGES: &str = "/api/packageMetadata";
const RELEASES: &str = "/api/releases";
const HISTORY: &str =
    "/api/releases/search/findByNameIgnoreCaseContainingOrderByNameAscVersionDesc";
const NOT_FOUND: &str = "org.springframework.data.rest.webmvc.ResourceNotFoundException";
const ARGUMENT: &str = "java.lang.IllegalArgumentException";
const BASE: &str = "http://localhost:7577";

async fn host() -> Host {
    Host::with(super::bindings()).await
}

async fn get(host: &Host, path: &str) -> Answer {
    send_as(host, "GET", path, b"application/hal+json", &Value::Null).await
}

async fn hal(host: &Host, path: &str) -> Value {
    let answer = get(host, path).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/hal+json;charset=UTF-8", "{path}");
    answer.json()
}

/// Packages of these names and versions, in that order.
async fn packages(host: &Host, all: &[(&str, &str)]) {
    let rows: Vec<_> = all.iter().map(|(name, version)| row(name, version)).collect();
    let insert = host.app.store.write_unaudited(move |change| {
        rows.into_iter().try_for_each(|it| packages::insert(change, it, String::new(), 0).map(drop))
    });
    insert.await.unwrap();
}

fn row(name: &str, version: &str) -> PackageMetadata {
    PackageMetadata {
        name: name.into(),
        version: version.into(),
        repository_name: Some("local".into()),
        repository_id: Some(1),
        maintainer: Some(format!("who does {name}")),
        ..PackageMetadata::default()
    }
}

#[track_caller]
fn members(list: &Value, rel: &str, property: &str) -> Vec<String> {
    let members = list["_embedded"][rel].as_array().unwrap_or_else(|| panic!("{list}"));
    let text = |it: &Value| match it {
        Value::String(it) => it.clone(),
        other => other.to_string(),
    };
    members.iter().map(|it| text(&it[property])).collect()
}

#[track_caller]
fn links(list: &Value) -> Vec<(&str, &str)> {
    let links = list["_links"].as_object().unwrap().iter();
    links.map(|(rel, it)| (rel.as_str(), it["href"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_list_is_cut_into_pages_that_lead_to_each_other() {
    let host = host().await;
    let all: Vec<String> = (0..45).map(|it| format!("p{it:02}")).collect();
    let named: Vec<_> = all.iter().map(|it| (it.as_str(), "1.0.0")).collect();
    packages(&host, &named).await;
    let at = |query: &str| format!("{BASE}{PACKAGES}{query}");

    let first = hal(&host, PACKAGES).await;
    assert_eq!(members(&first, "packageMetadata", "name"), all[..20]);
    let page = json!({ "size": 20, "totalElements": 45, "totalPages": 3, "number": 0 });
    assert_eq!(first["page"].to_string(), page.to_string());
    assert_eq!(
        first.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["_embedded", "_links", "page"]
    );
    assert_eq!(
        links(&first),
        [
            ("first", at("?page=0&size=20").as_str()),
            ("self", &at("{?page,size,sort,projection}")),
            ("next", &at("?page=1&size=20")),
            ("last", &at("?page=2&size=20")),
            ("profile", &format!("{BASE}/api/profile/packageMetadata")),
            ("search", &at("/search")),
        ]
    );

    let second = hal(&host, &format!("{PACKAGES}?page=1&size=20&sort=name,desc")).await;
    let backwards: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(members(&second, "packageMetadata", "name"), backwards[20..40]);
    assert_eq!(
        links(&second)[..5],
        [
            ("first", at("?page=0&size=20&sort=name%2Cdesc").as_str()),
            ("prev", &at("?page=0&size=20&sort=name%2Cdesc")),
            ("self", &at("{&projection}")),
            ("next", &at("?page=2&size=20&sort=name%2Cdesc")),
            ("last", &at("?page=2&size=20&sort=name%2Cdesc")),
        ]
    );

    let last = hal(&host, &format!("{PACKAGES}?page=2")).await;
    assert_eq!(members(&last, "packageMetadata", "name"), all[40..]);
    assert!(links(&last).iter().all(|(rel, _)| *rel != "next"));
    let behind = hal(&host, &format!("{PACKAGES}?page=7&size=10")).await;
    assert_eq!(behind["_embedded"], json!({ "packageMetadata": [] }));
    assert_eq!(behind["page"]["number"], 7);
    assert!(links(&behind).contains(&("prev", at("?page=4&size=10").as_str())));
}

#[tokio::test]
async fn a_page_is_as_large_as_asked_for_up_to_a_thousand() {
    let host = host().await;
    let all: Vec<String> = (0..1010).map(|it| format!("p{it:04}")).collect();
    let named: Vec<_> = all.iter().map(|it| (it.as_str(), "1.0.0")).collect();
    packages(&host, &named).await;
    let summary = "projection=summary&sort=name,asc";
    for (query, size, number) in [
        ("size=2000".to_owned(), 1000, 0),
        (format!("size=2000&{summary}"), 1000, 0),
        ("size=0".to_owned(), 20, 0),
        ("size=-3&page=-1".to_owned(), 20, 0),
        ("size=x&page=y".to_owned(), 20, 0),
        ("page=1&size=1000".to_owned(), 10, 1),
        ("page=99999999999999999999".to_owned(), 20, 0),
        ("page=18446744073709551615".to_owned(), 0, u64::MAX),
    ] {
        let page = hal(&host, &format!("{PACKAGES}?{query}")).await;
        let names = members(&page, "packageMetadata", "name");
        assert_eq!(names.len(), size, "{query}");
        let skip = usize::try_from(number.min(1)).unwrap() * 1000;
        assert_eq!(names, all[skip.min(1010 - size)..][..size], "{query}");
        assert_eq!(page["page"]["number"], json!(number), "{query}");
    }
}

#[tokio::test]
async fn a_list_is_sorted_by_what_is_asked_for() {
    let host = host().await;
    let all = [("b", "2"), ("a", "1"), ("b", "1"), ("C", "1"), ("a", "2")];
    packages(&host, &all).await;
    let sorted = async |sort: &str| {
        let page = hal(&host, &format!("{PACKAGES}?{sort}")).await;
        let names = members(&page, "packageMetadata", "name");
        let versions = members(&page, "packageMetadata", "version");
        names.into_iter().zip(versions).map(|(name, version)| name + &version).collect::<Vec<_>>()
    };
    let unsorted = ["b2", "a1", "b1", "C1", "a2"];
    assert_eq!(sorted("").await, unsorted);
    assert_eq!(sorted("sort=nothing,desc").await, unsorted);
    assert_eq!(sorted("sort=").await, unsorted);
    assert_eq!(sorted("sort=name").await, ["C1", "a1", "a2", "b1", "b2"]);
    assert_eq!(sorted("sort=name,desc").await, ["b2", "b1", "a2", "a1", "C1"]);
    assert_eq!(sorted("sort=name,ignorecase").await, ["a1", "a2", "b2", "b1", "C1"]);
    assert_eq!(sorted("sort=version&sort=name,desc").await, ["b1", "a1", "C1", "b2", "a2"]);
    assert_eq!(sorted("sort=version,name,desc").await, ["b2", "a2", "b1", "a1", "C1"]);
    assert_eq!(sorted("sort=id,DESC").await, ["a2", "C1", "b1", "a1", "b2"]);

    let far = host.get(&format!("{PACKAGES}?sort=kind&page=10&size=1000")).await;
    assert!(failure(far, 400, ARGUMENT).contains("`sort`"));
    let empty: Vec<String> = Vec::new();
    assert_eq!(sorted("sort=name&page=10&size=1000").await, empty);

    let mut repositories = vec!["local".to_owned()];
    assert_eq!(
        members(&hal(&host, "/api/repositories?sort=name,desc").await, "repositories", "name"),
        repositories
    );
    repositories.clear();
    assert_eq!(
        members(&hal(&host, "/api/repositories?page=1").await, "repositories", "name"),
        repositories
    );
}

#[tokio::test]
async fn packages_are_found_by_name_and_by_a_part_of_it() {
    let host = host().await;
    let all = [("log", "2.0.0"), ("Logger", "1.0.0"), ("time", "1.0.0"), ("log", "1.0.0")];
    packages(&host, &all).await;

    let searches = hal(&host, "/api/packageMetadata/search").await;
    let search = |name: &str| format!("{BASE}{PACKAGES}/search/{name}{{?name,projection}}");
    assert_eq!(
        links(&searches),
        [
            ("findByName", search("findByName").as_str()),
            ("findByNameContainingIgnoreCase", &search("findByNameContainingIgnoreCase")),
            ("self", &format!("{BASE}{PACKAGES}/search")),
        ]
    );

    let named = hal(&host, &format!("{PACKAGES}/search/findByName?name=log")).await;
    assert_eq!(members(&named, "packageMetadata", "version"), ["2.0.0", "1.0.0"]);
    assert!(named.get("page").is_none(), "{named}");
    let own = format!("{BASE}{PACKAGES}/search/findByName?name=log");
    assert_eq!(links(&named), [("self", own.as_str())]);

    let part = format!("{PACKAGES}/search/findByNameContainingIgnoreCase");
    let found = async |query: &str| {
        members(&hal(&host, &format!("{part}?{query}")).await, "packageMetadata", "name")
    };
    assert_eq!(found("name=LOG").await, ["log", "Logger", "log"]);
    assert_eq!(found("name=g&size=1&page=4").await, ["log", "Logger", "log"]);
    assert_eq!(found("name=").await.len(), 4);
    assert_eq!(found("name=%00").await.len(), 0);
    assert_eq!(
        hal(&host, &format!("{part}?name=zz")).await["_embedded"],
        json!({
            "packageMetadata": []
        })
    );
    let braces = hal(&host, &format!("{part}?name=%7Bx%7D")).await;
    assert!(braces["_links"]["self"].get("templated").is_none(), "{braces}");
}

#[tokio::test]
async fn a_long_search_is_read_in_pieces_and_misses_nothing() {
    let host = host().await;
    let all: Vec<String> = (0..1234).map(|it| format!("p{it:04}")).collect();
    let named: Vec<_> = all.iter().map(|it| (it.as_str(), "1.0.0")).collect();
    packages(&host, &named).await;
    let part = format!("{PACKAGES}/search/findByNameContainingIgnoreCase?name=P");
    assert_eq!(members(&hal(&host, &part).await, "packageMetadata", "name"), all);
}

#[tokio::test]
async fn a_summary_has_few_properties_and_the_links() {
    let host = host().await;
    packages(&host, &[("log", "1.0.0")]).await;
    let of_list = hal(&host, &format!("{PACKAGES}?projection=summary")).await;
    let by_part = format!("{PACKAGES}/search/findByNameContainingIgnoreCase");
    let of_search = hal(&host, &format!("{by_part}?name=l&projection=summary")).await;
    let of_item = hal(&host, &format!("{PACKAGES}/1?projection=summary")).await;

    let item = |it: &Value| it["_embedded"]["packageMetadata"][0].clone();
    for summary in [item(&of_list), item(&of_search), of_item] {
        let keys: Vec<_> = summary.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["id", "name", "version", "iconUrl", "description", "repositoryName", "_links"]
        );
        assert_eq!((&summary["id"], &summary["iconUrl"]), (&json!("1"), &Value::Null));
        let install = format!("{BASE}/api/package/install/1");
        assert!(links(&summary).contains(&("install", install.as_str())));
    }
}

#[tokio::test]
async fn a_resource_has_an_etag_that_saves_the_answer() {
    let host = host().await;
    packages(&host, &[("log", "1.0.0")]).await;
    let ask = async |path: &str, name: &str, tag: &str| {
        let request = Request::get(path).header("host", "localhost").header(name, tag);
        host.send(request.body(Body::empty()).unwrap()).await
    };
    let by_name = "/api/repositories/search/findByName?name=local";
    for path in ["/api/packageMetadata/1", "/api/repositories/1", by_name] {
        assert_eq!(host.get(path).await.expect(200).header("etag"), "\"0\"", "{path}");
        for known in ["\"0\"", "W/\"0\"", "*", "\"7\", \"0\""] {
            let answer = ask(path, "if-none-match", known).await.expect(304);
            assert_eq!((answer.header("etag"), answer.text()), ("\"0\"", ""), "{path}");
        }
        ask(path, "if-none-match", "\"1\"").await.expect(200);
        ask(path, "if-match", "\"0\"").await.expect(200);
        let skipper = super::SKIPPER;
        let outdated = failure(ask(path, "if-match", "\"1\"").await, 412, skipper);
        assert!(outdated.contains("`ETag` is \"0\""), "{outdated}");
    }
    let change = host.app.store.write_unaudited(|change| {
        let mut row = packages::find_by_id(change, 1)?.expect("it is there");
        packages::update(change, &mut row)
    });
    change.await.unwrap();
    let changed = ask("/api/packageMetadata/1", "if-none-match", "\"0\"").await.expect(200);
    assert_eq!(changed.header("etag"), "\"1\"");
    let deployer = hal(&host, "/api/deployers").await["_embedded"]["deployers"][0].clone();
    let own = deployer["_links"]["self"]["href"].as_str().unwrap().replace(BASE, "");
    assert_eq!(host.get(&own).await.expect(200).header("etag"), "");
    assert_eq!(hal(&host, &own).await, deployer);
}

#[tokio::test]
async fn what_is_not_there_is_a_404_and_what_is_no_id_a_400() {
    let host = host().await;
    for path in [PACKAGES, "/api/repositories", RELEASES] {
        for id in ["7", "0", "-1", "9223372036854775807"] {
            let message = failure(host.get(&format!("{path}/{id}")).await, 404, NOT_FOUND);
            assert!(message.starts_with("there is no "), "{message}");
        }
        for id in ["x", "1.0", "9223372036854775808", "%20", "%ff"] {
            let answer = host.get(&format!("{path}/{id}")).await.expect(400).json();
            assert_eq!(answer["error"], "Bad Request", "{id}");
        }
    }
    failure(host.get("/api/deployers/7").await, 404, NOT_FOUND);
    for path in ["repositories", "deployers"] {
        for query in ["?name=nobody", "", "?name=%00"] {
            let path = format!("/api/{path}/search/findByName{query}");
            assert_eq!(host.get(&path).await.expect(404).text(), "", "{path}");
        }
    }
    let found = hal(&host, "/api/deployers/search/findByName?name=default").await;
    assert_eq!((&found["type"], &found["description"]), (&json!("local"), &json!("pretend")));
    host.get("/api/packageMetadata/search/nothing").await.expect(404);
}

#[tokio::test]
async fn a_deployer_that_is_not_there_says_so_in_the_list() {
    let host = Host::with(vec![chandlery_tests::guest::allow_all()]).await;
    let list = hal(&host, "/api/deployers").await;
    let description = members(&list, "deployers", "description").remove(0);
    assert!(description.contains("`deployer-local`"), "{description}");
}

#[tokio::test]
async fn nothing_of_it_can_be_written() {
    let host = host().await;
    packages(&host, &[("log", "1.0.0")]).await;
    let method = "org.springframework.web.HttpRequestMethodNotSupportedException";
    for path in ["packageMetadata", "repositories", "deployers", "releases"] {
        for (verb, at) in [("POST", ""), ("PUT", "/1"), ("PATCH", "/1"), ("DELETE", "/1")] {
            let path = format!("/api/{path}{at}");
            let answer = send_as(&host, verb, &path, b"*/*", &json!({ "name": "x" })).await;
            let message = failure(answer, 405, method);
            assert_eq!(message, format!("Request method '{verb}' not supported"));
        }
    }
    assert_eq!(hal(&host, "/api/packageMetadata/1").await["name"], "log");
}

#[tokio::test]
async fn a_list_is_hal_whatever_is_asked_for() {
    let host = host().await;
    packages(&host, &[("log", "1.0.0")]).await;
    let odd: [&[u8]; 4] = [
        b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        b"text/html",
        b"%%%",
        b"\xff\xfe",
    ];
    for accept in odd {
        let answer = send_as(&host, "GET", PACKAGES, accept, &Value::Null).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/hal+json;charset=UTF-8");
    }
    for path in [PACKAGES, "/api/packageMetadata/1", "/api/repositories", "/api/deployers"] {
        let accept = b"application/json, application/*+json";
        let answer = send_as(&host, "GET", path, accept, &Value::Null).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json;charset=UTF-8");
        assert_eq!(answer.text(), get(&host, path).await.expect(200).text(), "{path}");
        let head = host.head(path).await.expect(200);
        assert_eq!(head.text(), "");
    }
}

#[tokio::test]
async fn every_version_of_a_release_is_listed_and_has_a_history() {
    let host = host().await;
    let files = [
        ("log-1.0.0/package.yml", "name: log\nversion: 1.0.0\n"),
        (
            "log-1.0.0/templates/log.yml",
            "kind: SpringBootApp\nmetadata: {name: log}\nspec: {resource: 'docker:log'}\n",
        ),
    ];
    host.post(UPLOAD, &upload_of(&zip(&files))).await.expect(201);
    for name in ["beta", "Alpha", "alphabet"] {
        let properties = json!({ "releaseName": name, "platformName": "default" });
        let install = json!({
            "packageIdentifier": { "packageName": "log" }, "installProperties": properties,
        });
        host.post("/api/package/install", &install).await.expect(201);
        host.delete(&format!("/api/release/{name}")).await.expect(200);
        host.post("/api/package/install", &install).await.expect(201);
    }

    let all = hal(&host, RELEASES).await;
    let names = ["beta", "beta", "Alpha", "Alpha", "alphabet", "alphabet"];
    assert_eq!(members(&all, "releases", "name"), names);
    assert_eq!(members(&all, "releases", "version"), ["1", "2", "1", "2", "1", "2"]);
    assert_eq!(all["page"]["totalElements"], 6);
    let sorted = hal(&host, "/api/releases?sort=version,desc&sort=name&size=2&page=1").await;
    assert_eq!(members(&sorted, "releases", "name"), ["beta", "Alpha"]);
    let sorted = hal(&host, "/api/releases?sort=name,desc&size=3").await;
    assert_eq!(members(&sorted, "releases", "version"), ["2", "1", "2"]);

    let history = hal(&host, &format!("{HISTORY}?name=ALPHA")).await;
    assert_eq!(members(&history, "releases", "name"), ["Alpha", "Alpha", "alphabet", "alphabet"]);
    assert_eq!(members(&history, "releases", "version"), ["2", "1", "2", "1"]);
    assert!(history.get("page").is_none(), "{history}");
    let nobody = hal(&host, &format!("{HISTORY}?name=zz")).await;
    assert_eq!(nobody["_embedded"], json!({ "releases": [] }));
    let searches = hal(&host, "/api/releases/search").await;
    assert_eq!(links(&searches)[0].1, format!("{BASE}{HISTORY}{{?name}}"));

    let own = all["_embedded"]["releases"][0]["_links"]["self"]["href"].as_str().unwrap();
    assert_eq!(own, format!("{BASE}/api/releases/1"));
    let answer = get(&host, "/api/releases/1").await.expect(200);
    assert_eq!(answer.json(), all["_embedded"]["releases"][0]);
    assert_eq!(answer.json()["info"]["status"]["statusCode"], "DELETED");
    // It was kept once, and changed when it was deleted.
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(answer.json()["_links"]["release"]["href"], own);
}
