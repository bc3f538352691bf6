//! What every endpoint of the family has in common when something is wrong.

use chandlery_tests::{Host, guest};

use super::UPLOAD;

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_told_in_json() {
    let host = Host::with(vec![guest::allow_all()]).await;
    for path in [UPLOAD, "/api/about"] {
        let answer = host.delete(path).await;
        let exception = "org.springframework.web.HttpRequestMethodNotSupportedException";
        assert_eq!(super::failure(answer, 405, exception), "Request method 'DELETE' not supported");
    }
}

#[tokio::test]
async fn an_unknown_path_is_told_in_json() {
    let host = Host::with(vec![guest::allow_all()]).await;
    for path in ["/api/package/nothing/else", "/api/release/nothing/at/all/here", "/api/about/us"] {
        let answer = host.get(path).await.expect(404);
        assert_eq!(answer.header("content-type"), "application/json;charset=UTF-8");
        let body = answer.json();
        assert_eq!(body["error"], "Not Found");
        assert_eq!(body["path"], path);
        assert!(body["timestamp"].is_u64(), "{body}");
    }
}
