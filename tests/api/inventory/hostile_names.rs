//! Names that try to be something else: paths, markup, control characters.

use axum::{
    body::Body,
    http::{Method, Request},
};
use chandlery_tests::Host;
use serde_json::json;

use super::{at, host_with};

// As they stand in a URL.
const NAMES: [&str; 28] = [
    "%2e%2e",
    "..",
    ".",
    "%2E%2E%2F..",
    "..%2f..%2fetc",
    "a%2Fb",
    "a%00b",
    "%00",
    "%01",
    "%7F",
    "a%0Ab",
    "a%0D%0Ab",
    "%20",
    "a%20b",
    "%3Cb%3E",
    "%27",
    "%22",
    "%5C",
    "a%5Cb",
    "C:%5Cx",
    "A",
    "App",
    "%C3%A4pp",
    "%D7%90%D7%91",
    "%FF%FE",
    "%E2%80%AE",
    "a%3Fb",
    "%25%25",
];

async fn status(host: &Host, method: Method, path: &str) -> u16 {
    let body = match method {
        Method::POST | Method::PUT => {
            Body::from(json!({ "name": "app", "version": "9" }).to_string())
        }
        _ => Body::empty(),
    };
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "multipart/form-data; boundary=XX");
    host.send(request.body(body).unwrap()).await.status
}

#[tokio::test]
async fn hostile_names_never_reach_anything() {
    let host = host_with(["1"]).await;
    let before = host.get(&at("/")).await.expect(200).json();
    let long = "a".repeat(3000);
    for name in NAMES.into_iter().chain([&*long]) {
        let reads = [
            format!("/{name}/"),
            format!("/{name}/units/"),
            format!("/{name}/units/app/"),
            format!("/ns/units/{name}/"),
            format!("/ns/units/{name}/versions/"),
            format!("/{name}/units/app/versions/v1/"),
            format!("/ns/units/{name}/versions/v1/"),
            format!("/ns/units/{name}/versions/v1/download"),
            format!("/{name}/hooks/"),
            format!("/{name}/units/app/hooks/"),
            format!("/ns/units/{name}/hooks/"),
        ];
        for path in reads {
            let status = status(&host, Method::GET, &at(&path)).await;
            assert!(matches!(status, 301 | 400 | 404), "GET {path}: {status}");
        }
        let versions = [
            format!("/ns/units/app/versions/{name}/"),
            format!("/ns/units/app/versions/{name}/download"),
        ];
        for path in versions {
            let status = status(&host, Method::GET, &at(&path)).await;
            assert!(matches!(status, 301 | 400 | 404), "GET {path}: {status}");
        }
        let writes = [
            format!("/{name}/register"),
            format!("/{name}/units/app/versions/v1/upload"),
            format!("/ns/units/{name}/versions/v1/upload"),
            format!("/ns/units/app/versions/{name}/upload"),
        ];
        for path in writes {
            let status = status(&host, Method::POST, &at(&path)).await;
            assert!(matches!(status, 301 | 400 | 404), "POST {path}: {status}");
        }
        let updates =
            [format!("/{name}/"), format!("/{name}/hooks/"), format!("/ns/units/{name}/hooks/")];
        for path in updates {
            let status = status(&host, Method::PUT, &at(&path)).await;
            assert!(matches!(status, 301 | 400 | 404), "PUT {path}: {status}");
        }
        let path = format!("/{name}/hard-delete");
        let status = status(&host, Method::DELETE, &at(&path)).await;
        assert!(matches!(status, 200 | 301 | 400 | 404), "DELETE {path}: {status}");
    }
    assert_eq!(host.get(&at("/")).await.expect(200).json(), before);
    host.get(&at("/ns/units/app/versions/v1/")).await.expect(200);
}

#[tokio::test]
async fn what_is_no_text_is_not_there_like_any_other_bad_name() {
    let host = host_with(["1"]).await;
    for path in ["app/versions/%ff/", "app/versions/%ff/download", "%ff/", "%ff/versions/v1/"] {
        let answer = host.get(&at(&format!("/ns/units/{path}"))).await;
        assert_eq!((answer.status, answer.text()), (404, ""), "{path}");
    }
}
