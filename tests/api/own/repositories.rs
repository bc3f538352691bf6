//! Repositories of packages, as operators ask for them.

use chandlery::plugins::Binding;
use chandlery_tests::{Host, guest, program};
use serde_json::Value;

use super::problem;

const REPOSITORIES: &str = "/api/v1/repositories";

fn bindings() -> Vec<Binding> {
    vec![guest::allow_all()]
}

#[tokio::test]
async fn what_is_not_there_is_told_as_a_problem() {
    let host = Host::with(bindings()).await;
    for path in ["nobody", "nobody/index.yml", "local/log/log-1.0.0.zip", "local/log/other.zip"] {
        let path = format!("{REPOSITORIES}/{path}");
        let body = problem(host.get(&path).await, 404, "not-found");
        assert_eq!(body["instance"], path);
    }
    let refresh = |name: &str| format!("{REPOSITORIES}/{name}/refresh");
    problem(host.post(&refresh("nobody"), &Value::Null).await, 404, "not-found");
    problem(host.post(&refresh("local"), &Value::Null).await, 409, "conflict");
    problem(host.delete(&format!("{REPOSITORIES}/local")).await, 405, "method");
    problem(host.get(&format!("{REPOSITORIES}/local/a/b/c")).await, 404, "no-route");
    problem(host.get(&format!("{REPOSITORIES}/%FF")).await, 400, "invalid");
}

#[tokio::test]
async fn a_parameter_that_nobody_knows_is_refused() {
    let host = Host::with(bindings()).await;
    for path in ["", "/", "/local"] {
        let answer = host.get(&format!("{REPOSITORIES}{path}?kind=local")).await;
        assert_eq!(problem(answer, 400, "invalid")["field"], "kind");
    }
    // Other servers may have a query in the address of a repository.
    host.get(&format!("{REPOSITORIES}/local/index.yml?token=x")).await.expect(200);
    let one = host.get(&format!("{REPOSITORIES}/local")).await.expect(200).json();
    assert_eq!((&one["name"], &one["kind"]), (&"local".into(), &"local".into()));
    let all = host.get(&format!("{REPOSITORIES}/")).await.expect(200).json();
    assert_eq!(all[0], one);
}

#[tokio::test]
async fn the_address_of_a_local_repository_is_the_one_that_is_listened_on() {
    let server = program!().serve(&[]);
    let (status, local) = server.get(&format!("{REPOSITORIES}/local")).await;
    assert_eq!(status, 200, "{local}");
    assert!(local.contains(&format!("\"url\":\"http://{}\"", server.address)), "{local}");
}
