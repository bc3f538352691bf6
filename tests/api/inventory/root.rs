use axum::{
    body::Body,
    http::{Request, header},
};

use super::{NO_ROUTE, at, expect_text, host};

#[tokio::test]
async fn escapes_clients_know_the_server_by_its_text() {
    let host = host().await;
    expect_text(host.get("/").await, 200, "Escape Release Inventory v0.16.12");
    assert_eq!(host.head("/").await.expect(200).text(), "");
}

#[tokio::test]
async fn a_browser_gets_a_page() {
    let host = host().await;
    let request = Request::get("/").header(header::ACCEPT, "text/html,*/*;q=0.8");
    let page = host.send(request.body(Body::empty()).unwrap()).await.expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text().contains("/api/v1/inventory/"));
}

#[tokio::test]
async fn what_is_no_route_is_answered_in_the_originals_way() {
    let host = host().await;
    for path in ["/nothing", "/ns/nothing/", "/ns/units/app/nothing/", "/ns/hard-delete"] {
        let answer = expect_text(host.get(&at(path)).await, 404, NO_ROUTE);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_no_route() {
    let host = host().await;
    for path in ["/", "/ns/", "/ns/units/", "/ns/units/app/", "/ns/units/app/versions/v1/"] {
        expect_text(host.post(&at(path), &serde_json::json!({})).await, 404, NO_ROUTE);
        expect_text(host.delete(&at(path)).await, 404, NO_ROUTE);
    }
    for path in ["/ns/register", "/ns/units/app/versions/v1/upload"] {
        expect_text(host.get(&at(path)).await, 404, NO_ROUTE);
    }
}
