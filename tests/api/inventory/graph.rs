//! What releases need of each other, and what they provide.

use chandlery::inventory::{PAGE_ROWS, UnitPlace};
use chandlery_tests::Host;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{at, expect_empty, host, register};

/// Registers `ns/unit-vX`, which needs these.
async fn release(host: &Host, id: &str, depends: Value, extends: &[&str]) {
    let (namespace, rest) = id.split_once('/').unwrap();
    let (unit, version) = rest.rsplit_once("-v").unwrap();
    let extends: Vec<_> = extends.iter().map(|it| json!({ "release_id": it })).collect();
    let release = json!({
        "name": unit, "version": version, "project": namespace, "depends": depends,
        "extends": extends,
    });
    register(host, namespace, &release).await.expect(200);
}

async fn plain(host: &Host, id: &str, depends: &[&str]) {
    let depends = depends.iter().map(|it| json!({ "release_id": it })).collect();
    release(host, id, depends, &[]).await;
}

fn of(id: &str, verb: &str) -> String {
    let (namespace, rest) = id.split_once('/').unwrap();
    let (unit, version) = rest.rsplit_once('-').unwrap();
    at(&format!("/{namespace}/units/{unit}/versions/{version}/{verb}"))
}

async fn downstream(host: &Host, id: &str) -> Value {
    let answer = host.get(&of(id, "downstream")).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

fn dependant(id: &str, build: bool, deploy: bool, is_extension: bool) -> Value {
    let (project, rest) = id.split_once('/').unwrap();
    let (name, version) = rest.rsplit_once("-v").unwrap();
    json!({
        "project": project, "name": name, "version": version, "build": build, "deploy": deploy,
        "is_extension": is_extension,
    })
}

#[tokio::test]
async fn a_release_without_dependants_has_an_empty_list() {
    let host = host().await;
    plain(&host, "deps/lib-v1.0", &[]).await;
    let answer = host.get(&of("deps/lib-v1.0", "downstream")).await.expect(200);
    assert_eq!(answer.text(), "[]\n");
}

#[tokio::test]
async fn dependants_are_listed_the_last_registered_first_as_the_documents_show_them() {
    let host = host().await;
    plain(&host, "deps/lib-v1.0", &[]).await;
    let build = json!([{ "release_id": "deps/lib-v1.0", "scopes": ["build"] }]);
    release(&host, "deps/svc-v1.0", build, &[]).await;
    release(&host, "zz/ext-v2", json!([]), &["deps/lib-v1.0"]).await;
    plain(&host, "aa/all-v0.1", &["deps/lib-v1.0"]).await;
    // Neither of these needs exactly that release.
    plain(&host, "aa/all-v0.2", &["deps/lib-v1.0.0", "deps/lib-v01.0", "lib-v1.0"]).await;

    let expected = json!([
        dependant("aa/all-v0.1", true, true, false),
        dependant("zz/ext-v2", true, true, true),
        dependant("deps/svc-v1.0", true, false, false),
    ]);
    assert_eq!(downstream(&host, "deps/lib-v1.0").await, expected);
    assert_eq!(downstream(&host, "deps/lib-latest").await, expected);
    let answer = host.get(&of("deps/lib-v1.0", "downstream/")).await.expect(200);
    let first = "[{\"project\":\"aa\",\"name\":\"all\",\"version\":\"0.1\",\"build\":true,\
                 \"deploy\":true,\"is_extension\":false},";
    assert!(answer.text().starts_with(first), "{}", answer.text());
}

#[tokio::test]
async fn a_release_that_is_named_twice_counts_as_it_is_named_first() {
    let host = host().await;
    plain(&host, "deps/lib-v1", &[]).await;
    let twice = json!([
        { "release_id": "deps/lib-v1 as one", "scopes": ["deploy"] },
        { "release_id": "deps/lib-v1 as two", "scopes": ["build"] },
    ]);
    release(&host, "deps/svc-v1", twice, &["deps/lib-v1", "deps/base-v1", "deps/base-v1"]).await;
    let expected = json!([dependant("deps/svc-v1", false, true, false)]);
    assert_eq!(downstream(&host, "deps/lib-v1").await, expected);
    let graph = host.get(&of("deps/svc-v1", "dependency-graph")).await.expect(200).json();
    let kinds: Vec<_> = graph["nodes"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(kinds, ["maindeps/svc-v1", "upstreamdeps/lib-v1", "extensiondeps/base-v1"]);
}

#[tokio::test]
async fn a_dependency_may_come_before_what_it_names() {
    let host = host().await;
    plain(&host, "deps/svc-v1", &["deps/lib-v1"]).await;
    expect_empty(host.get(&of("deps/lib-v1", "downstream")).await, 404);
    plain(&host, "deps/lib-v1", &[]).await;
    let expected = json!([dependant("deps/svc-v1", true, true, false)]);
    assert_eq!(downstream(&host, "deps/lib-v1").await, expected);
}

#[tokio::test]
async fn what_is_not_there_has_no_graph() {
    let host = host().await;
    plain(&host, "deps/lib-v1", &[]).await;
    for verb in ["downstream", "downstream/", "dependency-graph", "dependency-graph/"] {
        for id in ["deps/lib-v2", "deps/lib-production", "deps/other-v1", "other/lib-latest"] {
            expect_empty(host.get(&of(id, verb)).await, 404);
        }
        expect_empty(host.get(&at(&format!("/Bad/units/lib/versions/v1/{verb}"))).await, 404);
    }
}

#[tokio::test]
async fn a_graph_shows_one_step_in_each_direction() {
    let host = host().await;
    plain(&host, "deps/far-v1", &[]).await;
    plain(&host, "deps/lib-v1", &["deps/far-v1"]).await;
    let svc = json!({
        "name": "svc", "version": "1.0", "project": "body",
        "consumes": [{ "name": "db" }, { "name": "queue", "scopes": ["build"] }],
        "provides": [{ "name": "api" }],
        "depends": [{ "release_id": "deps/lib-v1" }, { "release_id": "bare-v2" }],
        "extends": [{ "release_id": "deps/base-v1" }],
    });
    register(&host, "deps", &svc).await.expect(200);
    plain(&host, "aa/web-v1", &["deps/svc-v1.0"]).await;
    release(&host, "aa/more-v1", json!([]), &["deps/svc-v1.0"]).await;
    plain(&host, "aa/far-v1", &["aa/web-v1"]).await;

    let node = |kind: &str, label: &str| json!({ "id": format!("{kind}{label}"), "label": label, "type": kind });
    let edge = |from: &str, to: &str, kind: &str| json!({ "from": from, "to": to, "type": kind });
    // The release names itself as its metadata does.
    let main = "mainbody/svc-v1.0";
    let expected = json!({
        "nodes": [
            node("main", "body/svc-v1.0"),
            node("consumer", "db"),
            node("consumer", "queue"),
            node("provider", "api"),
            node("upstream", "deps/lib-v1"),
            node("upstream", "_/bare-v2"),
            node("extension", "deps/base-v1"),
            node("extension", "aa/more-v1"),
            node("downstream", "aa/web-v1"),
        ],
        "edges": [
            edge("consumerdb", main, "consumes"),
            edge("consumerqueue", main, "consumes"),
            edge(main, "providerapi", "provides"),
            edge(main, "upstreamdeps/lib-v1", "upstream"),
            edge(main, "upstream_/bare-v2", "upstream"),
            edge(main, "extensiondeps/base-v1", "extends"),
            edge("extensionaa/more-v1", main, "extends"),
            edge("downstreamaa/web-v1", main, "downstream"),
        ],
    });
    for verb in ["dependency-graph", "dependency-graph/"] {
        let answer = host.get(&of("deps/svc-latest", verb)).await.expect(200);
        assert_eq!(answer.json(), expected);
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn a_lonely_release_is_its_own_graph() {
    let host = host().await;
    plain(&host, "deps/lib-v1", &[]).await;
    let answer = host.get(&of("deps/lib-v1", "dependency-graph")).await.expect(200);
    let expected = "{\"nodes\":[{\"id\":\"maindeps/lib-v1\",\"label\":\"deps/lib-v1\",\
                    \"type\":\"main\"}],\"edges\":[]}\n";
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn many_dependants_are_listed_whole_and_in_order() {
    let host = host().await;
    plain(&host, "deps/lib-v1", &["deps/base-v1"]).await;
    for count in [PAGE_ROWS, 2 * PAGE_ROWS + 1] {
        let known = downstream(&host, "deps/lib-v1").await.as_array().unwrap().len();
        stream::iter(known..count)
            .for_each_concurrent(64, |it| {
                let host = &host;
                async move { plain(host, &format!("ns{}/u{it}x-v1", it % 3), &["deps/lib-v1"]).await }
            })
            .await;
        plain(&host, &format!("last/u{count}x-v1"), &["deps/lib-v1"]).await;

        let listed = downstream(&host, "deps/lib-v1").await;
        let listed = listed.as_array().unwrap();
        let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
        assert_eq!(name(&listed[0]), format!("u{count}x"));
        let mut names: Vec<_> = listed.iter().map(name).collect();
        let in_order = names.clone();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), in_order.len());

        let graph = host.get(&of("deps/lib-v1", "dependency-graph")).await.expect(200).json();
        let (nodes, edges) =
            (graph["nodes"].as_array().unwrap(), graph["edges"].as_array().unwrap());
        assert_eq!((nodes.len(), edges.len()), (2 + in_order.len(), 1 + in_order.len()));
        for (at, name) in in_order.iter().enumerate() {
            let node = nodes[2 + at]["id"].as_str().unwrap();
            assert!(node.ends_with(&format!("/{name}-v1")), "{node} {name}");
            assert_eq!(edges[1 + at]["from"], node);
            assert_eq!(edges[1 + at]["to"], "maindeps/lib-v1");
        }
    }
}

#[tokio::test]
async fn names_that_cannot_exist_are_shown_and_harm_nothing() {
    let host = host().await;
    let odd = ["Bad/lib-v1", "project/a/name-v1", "x-v1"];
    plain(&host, "deps/svc-v1", &odd).await;
    let graph = host.get(&of("deps/svc-v1", "dependency-graph")).await.expect(200).json();
    let labels: Vec<_> = graph["nodes"].as_array().unwrap().iter().map(|it| &it["label"]).collect();
    assert_eq!(labels, ["deps/svc-v1", "Bad/lib-v1", "project/a/name-v1", "_/x-v1"]);
}

async fn provide(host: &Host, namespace: &str, release: Value) {
    register(host, namespace, &release).await.expect(200);
}

async fn providers(host: &Host, query: &str) -> String {
    let answer = host.get(&at(&format!("/__providers{query}"))).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.text().to_owned()
}

#[tokio::test]
async fn providers_are_the_greatest_versions_that_ever_provided() {
    let host = host().await;
    assert_eq!(providers(&host, "?name=libapi").await, "{}\n");
    let release = |version: &str, description: &str, name: &str| {
        json!({
            "name": "lib", "version": version, "project": "deps", "description": description,
            "provides": [{ "name": name }],
        })
    };
    provide(&host, "deps", release("1.0", "old", "libapi")).await;
    provide(&host, "deps", release("2.0", "newer", "libapi")).await;
    provide(&host, "deps", release("1.5", "between", "libapi")).await;
    provide(&host, "deps", release("3.0", "another", "other")).await;
    let expected = "{\"deps/lib-v2.0\":{\"application\":\"lib\",\"project\":\"deps\",\
                    \"version\":\"2.0\",\"description\":\"newer\"}}\n";
    assert_eq!(providers(&host, "?name=libapi").await, expected);
    assert_eq!(providers(&host, "?name=LibApi").await, "{}\n");
    assert_eq!(providers(&host, "").await, "{}\n");
    // The place with a final slash is that of a namespace, and none has such a name.
    expect_empty(host.get(&at("/__providers/?name=libapi")).await, 404);
}

#[tokio::test]
async fn the_provider_without_a_name_is_one_as_well() {
    let host = host().await;
    let release = |unit: &str, name: &str| json!({ "name": unit, "version": "1", "provides": [{ "name": name }] });
    provide(&host, "ns", release("nameless", "")).await;
    provide(&host, "ns", release("named", "a b")).await;
    for query in ["", "?name=", "?name", "?other=a"] {
        assert!(providers(&host, query).await.starts_with("{\"ns/nameless-v1\":"), "{query}");
    }
    assert!(providers(&host, "?name=a+b").await.starts_with("{\"ns/named-v1\":"));
}

#[tokio::test]
async fn providers_belong_to_the_namespace_they_were_registered_in() {
    let host = host().await;
    let release = json!({
        "name": "lib", "version": "1", "project": "victim", "provides": [{ "name": "api" }],
    });
    provide(&host, "ns", release.clone()).await;
    provide(&host, "ns-x", release).await;
    let found: Value = serde_json::from_str(&providers(&host, "?name=api").await).unwrap();
    let ids: Vec<_> = found.as_object().unwrap().keys().collect();
    assert_eq!(ids, ["ns-x/lib-v1", "ns/lib-v1"]);
    assert_eq!(found["ns/lib-v1"]["project"], "ns");
}

#[tokio::test]
async fn many_providers_are_listed_whole_by_release_id() {
    let host = host().await;
    let count = PAGE_ROWS + 1;
    let ids: Vec<_> = (0..count).map(|it| format!("u{it}-x")).collect();
    stream::iter(&ids)
        .for_each_concurrent(64, |unit| {
            let release = json!({ "name": unit, "version": "1", "provides": [{ "name": "api" }] });
            provide(&host, "ns", release)
        })
        .await;
    let found: Value = serde_json::from_str(&providers(&host, "?name=api").await).unwrap();
    let mut expected: Vec<_> = ids.iter().map(|it| format!("ns/{it}-v1")).collect();
    expected.sort();
    assert_eq!(found.as_object().unwrap().keys().cloned().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn ties_are_there_after_a_restart() {
    let host = host().await;
    plain(&host, "deps/lib-v1", &[]).await;
    plain(&host, "deps/svc-v1", &["deps/lib-v1"]).await;
    let host = host.restart().await;
    plain(&host, "deps/svc-v2", &["deps/lib-v1"]).await;
    let expected = json!([
        dependant("deps/svc-v2", true, true, false),
        dependant("deps/svc-v1", true, true, false),
    ]);
    assert_eq!(downstream(&host, "deps/lib-v1").await, expected);
}

async fn subscribers(host: &Host, unit: &str) -> Vec<String> {
    let (namespace, unit) = unit.split_once('/').unwrap();
    let place = UnitPlace::parse(namespace, unit).unwrap();
    let page = move |view: &dyn chandlery::store::View| {
        chandlery::store::dependencies::subscribers_page(view, place.key(), None, 10)
    };
    let found = host.app.store.read(page).await.unwrap();
    found.iter().map(|it| format!("{}/{}", it.namespace, it.unit)).collect()
}

#[tokio::test]
async fn a_unit_is_followed_by_those_whose_last_release_names_any_version_of_it() {
    let host = host().await;
    plain(&host, "ns/web-v2", &["deps/lib-v1", "deps/old-v1"]).await;
    release(&host, "ns/ext-v1", json!([]), &["deps/lib-v7"]).await;
    assert_eq!(subscribers(&host, "deps/lib").await, ["ns/ext", "ns/web"]);
    assert_eq!(subscribers(&host, "deps/old").await, ["ns/web"]);
    // The last registered counts, not the greatest.
    plain(&host, "ns/web-v1", &["deps/lib-v3"]).await;
    assert_eq!(subscribers(&host, "deps/lib").await, ["ns/ext", "ns/web"]);
    assert_eq!(subscribers(&host, "deps/old").await, Vec::<String>::new());
    // What was refused changes nothing.
    let again = json!({ "name": "web", "version": "1", "depends": [] });
    register(&host, "ns", &again).await.expect(400);
    assert_eq!(subscribers(&host, "deps/lib").await, ["ns/ext", "ns/web"]);
}

#[tokio::test]
async fn a_hard_delete_takes_the_ties_of_a_namespace_and_leaves_those_of_others() {
    let host = host().await;
    let gone = |name: &str, version: &str, depends: &[&str]| {
        let depends: Vec<_> = depends.iter().map(|it| json!({ "release_id": it })).collect();
        json!({
            "name": name, "version": version, "depends": depends,
            "provides": [{ "name": "api" }],
        })
    };
    register(&host, "gone", &gone("lib", "1", &[])).await.expect(200);
    register(&host, "gone", &gone("web", "1", &["gone/lib-v1", "kept/base-v1"])).await.expect(200);
    register(&host, "kept", &gone("base", "1", &[])).await.expect(200);
    plain(&host, "kept/svc-v1", &["gone/lib-v1", "kept/base-v1"]).await;
    host.delete(&at("/gone/hard-delete")).await.expect(200);

    let left = json!([dependant("kept/svc-v1", true, true, false)]);
    assert_eq!(downstream(&host, "kept/base-v1").await, left);
    assert!(providers(&host, "?name=api").await.starts_with("{\"kept/base-v1\":"));
    assert_eq!(subscribers(&host, "kept/base").await, ["kept/svc"]);
    expect_empty(host.get(&of("gone/lib-v1", "downstream")).await, 404);
    // What others need of it is theirs, and counts again once there is such a release.
    register(&host, "gone", &gone("lib", "1", &[])).await.expect(200);
    assert_eq!(downstream(&host, "gone/lib-v1").await, left);
    assert_eq!(subscribers(&host, "gone/lib").await, ["kept/svc"]);
    let found: Value = serde_json::from_str(&providers(&host, "?name=api").await).unwrap();
    let ids: Vec<_> = found.as_object().unwrap().keys().collect();
    assert_eq!(ids, ["gone/lib-v1", "kept/base-v1"]);
}

#[tokio::test]
async fn a_bad_extension_leaves_nothing() {
    let host = host().await;
    for extends in [json!([null]), json!([{ "release_id": "nonsense" }]), json!([{}]), json!([1])] {
        let release = json!({
            "name": "app", "version": "1", "extends": extends,
            "depends": [{ "release_id": "deps/lib-v1" }], "provides": [{ "name": "api" }],
        });
        register(&host, "ns", &release).await.expect(400);
    }
    assert_eq!(providers(&host, "?name=api").await, "{}\n");
    assert_eq!(subscribers(&host, "deps/lib").await, Vec::<String>::new());
    plain(&host, "deps/lib-v1", &[]).await;
    assert_eq!(downstream(&host, "deps/lib-v1").await, json!([]));
    expect_empty(host.get(&at("/ns/")).await, 404);
}
