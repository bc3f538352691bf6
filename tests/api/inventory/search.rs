//! Searching, over HTTP. What is found and in which order is tested beside the rule.

use chandlery_tests::{Answer, Host};
use serde_json::{Value, json};

use super::{at, expect_empty, expect_text, host, register, register_version};

const SEARCH: &str = "/api/v1/inventory/search";

async fn filled() -> Host {
    let host = host().await;
    for (namespace, release) in [
        (
            "acme",
            json!({
                "name": "payments-api", "version": "1.9", "description": "Takes <cards>",
                "metadata": { "team": "checkout" }, "license": "Apache-2.0",
                "provides": [{ "name": "payment-http" }], "consumes": [{ "name": "postgres" }],
            }),
        ),
        (
            "acme",
            json!({
                "name": "payments-api", "version": "1.10", "description": "Takes <cards>",
                "metadata": { "team": "checkout" }, "license": "Apache-2.0",
                "provides": [{ "name": "payment-http" }], "consumes": [{ "name": "postgres" }],
            }),
        ),
        ("acme", json!({ "name": "ledger", "version": "1", "description": "books of payments" })),
        ("_", json!({ "name": "shop", "version": "2", "description": "Größe, журнал, 支付服务" })),
    ] {
        register(&host, namespace, &release).await.expect(200);
    }
    host
}

async fn search(host: &Host, query: &str) -> Answer {
    host.get(&format!("{SEARCH}?{query}")).await
}

fn ids(answer: &Answer) -> Vec<String> {
    answer.json().as_object().expect("an object").keys().cloned().collect()
}

#[tokio::test]
async fn a_unit_is_found_as_its_latest_release() {
    let host = filled().await;
    let answer = search(&host, "q=payments").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    let expected = concat!(
        r#"{"acme/payments-api-v1.10":{"application":"payments-api","project":"acme","#,
        r#""version":"1.10","description":"Takes \u003ccards\u003e","score":16},"#,
        r#""acme/ledger-v1":{"application":"ledger","project":"acme","version":"1","#,
        r#""description":"books of payments","score":2}}"#,
        "\n"
    );
    assert_eq!((answer.text(), answer.header("link")), (expected, ""));
    host.restart().await.get(&format!("{SEARCH}?q=ledger")).await.expect(200);
}

#[tokio::test]
async fn everything_that_a_release_says_of_itself_is_searched() {
    let host = filled().await;
    for word in ["PAYM", "api", "cards", "team", "Checkout", "apache", "http", "postgres", "1"] {
        let found = ids(&search(&host, &format!("q={word}")).await.expect(200));
        let expected = if word == "1" { vec![] } else { vec!["acme/payments-api-v1.10"] };
        assert_eq!(found.iter().filter(|it| it.contains("api")).collect::<Vec<_>>(), expected);
    }
    let shop = ["gr%C3%B6%C3%9Fe", "GR%C3%96SSE", "%D0%96%D0%A3%D0%A0", "%E6%94%AF%E4%BB%98"];
    for word in shop {
        assert_eq!(ids(&search(&host, &format!("q={word}")).await.expect(200)), ["_/shop-v2"]);
    }
    for nothing in ["payments+ledgers", "ments", "zzz", "%D7%90"] {
        assert_eq!(search(&host, &format!("q={nothing}")).await.expect(200).text(), "{}\n");
    }
}

#[tokio::test]
async fn what_is_asked_for_in_a_body_is_answered_alike() {
    let host = filled().await;
    let asked = search(&host, "q=cards+payments&limit=1").await.expect(200);
    for body in [
        json!({ "query": "cards payments", "limit": 1 }),
        json!({ "QUERY": "cards payments", "limit": 1, "cursor": null, "unknown": [1] }),
    ] {
        let answer = host.post(SEARCH, &body).await.expect(200);
        assert_eq!(answer.bytes, asked.bytes);
    }
    let twice = r#"{"query":"zzz","query":"cards payments"} trailing"#;
    let answer = host.post_bytes(SEARCH, "text/plain", twice).await.expect(200);
    assert_eq!(answer.bytes, asked.bytes);
    expect_text(host.post(SEARCH, &json!(null)).await, 400, NO_WORD);
}

/// Follows the links from page to page.
async fn all_pages(host: &Host, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut path = format!("{SEARCH}?{query}");
    loop {
        let answer = host.get(&path).await.expect(200);
        pages.push(ids(&answer));
        let link = answer.header("link");
        if link.is_empty() {
            return pages;
        }
        let next = link.strip_prefix('<').and_then(|it| it.strip_suffix(">; rel=\"next\""));
        path = next.expect("a link to the next page").to_owned();
    }
}

#[tokio::test]
async fn a_long_answer_comes_in_pages() {
    let host = host().await;
    let mut all: Vec<_> = (0..25).map(|it| format!("team-{it:02}")).collect();
    for unit in &all {
        let release = json!({ "name": unit, "version": "1", "description": "& its page" });
        register(&host, "ns", &release).await.expect(200);
    }
    all = all.into_iter().map(|it| format!("ns/{it}-v1")).collect();
    for (query, sizes) in [
        ("q=team", vec![20, 5]),
        ("q=team&limit=10", vec![10, 10, 5]),
        ("q=its+%26+te&limit=10", vec![10, 10, 5]),
        ("q=page&limit=25", vec![25]),
        ("q=t&limit=100", vec![25]),
    ] {
        let pages = all_pages(&host, query).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{query}");
        assert_eq!(pages.concat(), all, "{query}");
    }
    let body = json!({ "query": "team page", "limit": 20 });
    let link = host.post(SEARCH, &body).await.expect(200).header("link").to_owned();
    let cursor = link.split("cursor=").nth(1).unwrap().split('>').next().unwrap();
    let body = json!({ "query": "team page", "limit": 20, "cursor": cursor });
    assert_eq!(ids(&host.post(SEARCH, &body).await.expect(200)), all[20..]);
}

const NO_WORD: &str = "The search has no word: send letters or digits";

#[tokio::test]
async fn what_cannot_be_searched_for_is_told() {
    let host = filled().await;
    for query in ["", "q", "q=", "q=+", "q=%00", "q=--%2A", "query=payments"] {
        expect_text(search(&host, query).await, 400, NO_WORD);
    }
    expect_empty_answer(&search(&host, "q=a%00b%FF").await);
    let limit = "Invalid limit '1x': send a number from 1 to 100";
    expect_text(search(&host, "q=a&limit=1x").await, 400, limit);
    let limit = "Invalid limit '101': send a number from 1 to 100";
    expect_text(host.post(SEARCH, &json!({ "query": "a", "limit": 101 })).await, 400, limit);
    let cursor = "Invalid cursor: send the one of a page of the same search, as it came";
    for wrong in ["x", "AAAA", "%00", "MCAwIDAAYgBucwBhcHA"] {
        expect_text(search(&host, &format!("q=a&cursor={wrong}")).await, 400, cursor);
    }
    let long = "The search is longer than 1024 bytes";
    expect_text(search(&host, &format!("q={}", "a".repeat(1025))).await, 400, long);
    let words: String = (0..20).map(|it| format!("w{it}+")).collect();
    let many = "The search has more than 16 words";
    expect_text(search(&host, &format!("q={words}")).await, 400, many);
}

fn expect_empty_answer(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (200, "{}\n"));
}

#[tokio::test]
async fn a_body_that_is_no_search_is_refused() {
    let host = filled().await;
    let deep = format!("{{\"query\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let digits = format!("{{\"query\":\"a\",\"limit\":{}}}", "9".repeat(1000));
    for body in ["", "{", "[]", "12", r#"{"query":1}"#, r#"{"limit":"1","query":"a"}"#, &deep] {
        let answer = host.post_bytes(SEARCH, "application/json", body.to_owned()).await;
        expect_text(answer, 400, "Invalid JSON");
    }
    host.post_bytes(SEARCH, "application/json", digits).await.expect(400);
    let long = json!({ "query": "a".repeat(1_000_000) });
    expect_text(host.post(SEARCH, &long).await, 400, "The search is longer than 1024 bytes");
    let long = json!({ "query": "a".repeat(1_100_000) });
    host.post(SEARCH, &long).await.expect(413);
}

#[tokio::test]
async fn search_with_a_final_slash_is_a_namespace() {
    let host = filled().await;
    expect_empty(host.get(&format!("{SEARCH}/?q=payments")).await, 404);
    register_version(&host, "search", "app", "1").await;
    let namespace: Value = host.get(&format!("{SEARCH}/")).await.expect(200).json();
    assert_eq!(namespace["name"], "search");
    assert_eq!(ids(&search(&host, "q=app").await.expect(200)), ["search/app-v1"]);
    host.get(&at("/search/units/app/")).await.expect(200);
    host.head(&format!("{SEARCH}?q=app")).await.expect(200);
}

#[tokio::test]
async fn a_unit_is_not_found_by_a_release_that_is_yanked() {
    let host = host().await;
    for (version, description) in [("1", "steady words"), ("2", "broken words")] {
        let release = json!({ "name": "app", "version": version, "description": description });
        register(&host, "ns", &release).await.expect(200);
    }
    let yank = |version: &str| at(&format!("/ns/units/app/versions/{version}/yank"));
    host.post(&yank("v2"), &json!({})).await.expect(200);
    assert_eq!(ids(&search(&host, "q=words").await.expect(200)), ["ns/app-v1"]);
    assert_eq!(ids(&search(&host, "q=steady").await.expect(200)), ["ns/app-v1"]);
    expect_empty_answer(&search(&host, "q=broken").await);
    host.delete(&yank("v2")).await.expect(200);
    assert_eq!(ids(&search(&host, "q=broken").await.expect(200)), ["ns/app-v2"]);
    expect_empty_answer(&search(&host, "q=steady").await);

    // Where none is left, it goes by the greatest of all, as its description does.
    for version in ["v2", "v1"] {
        host.post(&yank(version), &json!({})).await.expect(200);
    }
    let unit = host.get(&at("/ns/units/app/")).await.expect(200).json();
    assert_eq!(unit["description"], "broken words");
    assert_eq!(ids(&search(&host, "q=broken").await.expect(200)), ["ns/app-v2"]);
    expect_empty_answer(&search(&host, "q=steady").await);
}
