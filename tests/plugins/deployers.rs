//! Deployers.

use std::time::Duration;

use chandlery::plugins::{
    Kind,
    deployer::{App, Scope, State},
};
use chandlery_tests::guest::{self, Wat};

use crate::runtime;

pub(crate) fn scope() -> Scope {
    Scope {
        platform: "local".into(),
        account: "default".into(),
        settings: "{}".into(),
        operation_id: "op-1".into(),
    }
}

fn app() -> App {
    App {
        release: "web".into(),
        revision: 1,
        name: "web".into(),
        definition_name: "web-v1".into(),
        group: "web".into(),
        version: None,
        resource: "inventory://acme/web/1".into(),
        artifact: None,
        application_properties: Vec::new(),
        deployment_properties: Vec::new(),
        count: 1,
    }
}

#[tokio::test]
async fn an_application_is_deployed_looked_at_and_ended() {
    let (_host, plugins) = runtime().await;
    let set = plugins.build(vec![guest::pretending_deployer()]).await.unwrap();
    assert!(set.deployer("nobody").is_none());
    let deployer = set.deployer("pretending-deployer").unwrap();
    assert_eq!(deployer.describe(&scope()).await.unwrap(), "pretend");
    assert!(deployer.validate(&scope(), &[app()]).await.unwrap().is_empty());
    let placement = deployer.deploy(&scope(), &app(), None).await.unwrap().unwrap();
    assert_eq!((&*placement.handle, placement.status.state), ("{}", State::Deployed));
    let handles = vec![placement.handle.clone(), placement.handle.clone()];
    let states = deployer.status(&scope(), &handles).await.unwrap();
    assert_eq!(states.len(), 2);
    for state in states {
        assert_eq!(state.unwrap().deployment_id, "id-1");
    }
    let second = Duration::from_secs(1);
    let gone = deployer.undeploy(&scope(), &placement.handle, second).await.unwrap().unwrap();
    assert_eq!(gone.state, State::Undeployed);
}

#[tokio::test]
async fn a_handle_must_be_json_and_small() {
    let (_host, plugins) = runtime().await;
    for (length, part) in [(3, "its handle is not JSON"), (65_537, "65537 bytes")] {
        let body = format!(
            "(i32.store (i32.const 4) (i32.const 131072)) (i32.store (i32.const 8) (i32.const {length}))
             (i32.const 0)"
        );
        let guest = Wat::new("deployment-platform").pages(4).on("deployer#deploy", &body);
        let component = guest.data(131072, b"{x}").component();
        let set =
            plugins.build(vec![guest::binding("odd", Kind::Deployer, component)]).await.unwrap();
        let deployer = set.deployer("odd").unwrap();
        let error = deployer.deploy(&scope(), &app(), None).await.err().unwrap();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_status_call_that_leaves_somebody_out_is_refused() {
    let (_host, plugins) = runtime().await;
    let guest = Wat::new("deployment-platform").on("deployer#status", "(i32.const 0)");
    let binding = guest::binding("forgetful", Kind::Deployer, guest.component());
    let set = plugins.build(vec![binding]).await.unwrap();
    let deployer = set.deployer("forgetful").unwrap();
    let error = deployer.status(&scope(), &["{}".to_owned()]).await.err().unwrap();
    assert!(error.to_string().contains("0 answers for 1 handles"), "{error}");
}
