use chandlery_tests::{Host, guest};

const ABOUT: &str = "/api/about";

#[tokio::test]
async fn hal_leaves_out_links_where_there_are_none() {
    let host = Host::with(vec![guest::allow_all()]).await;

    let answer = host.get(ABOUT).await.expect(200);

    assert_eq!(answer.header("content-type"), "application/hal+json;charset=UTF-8");
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["versionInfo"]);
    assert_eq!(body["versionInfo"]["server"]["name"], "Spring Cloud Skipper Server");
}

#[tokio::test]
async fn the_policy_is_asked() {
    let host = Host::with(vec![guest::deny_action("server:read")]).await;
    let denied = "org.springframework.security.access.AccessDeniedException";
    assert_eq!(super::failure(host.get(ABOUT).await, 403, denied), "not that");
}
