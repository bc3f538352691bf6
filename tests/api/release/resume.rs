//! What becomes of an upgrade when the server ends in the middle of it.

use chandlery::store::operations::{self, Operation, Phase, StepState};
use chandlery_tests::{Host, dry_run::upgrade};
use serde_json::json;

use super::upgrade::{UPGRADE, is, never, plain, running, settled, told, versioned};

#[tokio::test]
async fn a_server_that_starts_goes_on_waiting_where_the_last_one_ended() {
    let host = running(&[plain("web")]).await;
    let slow = versioned("web", "2", json!({ "deployed-after": 400 }));
    host.post(UPGRADE, &upgrade("a", &[slow])).await.expect(201);
    assert_eq!(told(&host, 2).await.0, "UNKNOWN");

    let host = host.restart().await;

    let operation = settled(&host).await;
    assert_eq!(operation.phase, Phase::Done);
    assert_eq!(told(&host, 2).await, is("DEPLOYED", "Upgrade complete"));
    assert_eq!(told(&host, 1).await, is("DELETED", "Delete complete"));
}

/// Leaves the open operation as a server would that was killed in this moment.
async fn killed(host: Host, at: fn(&mut Operation)) -> Host {
    let write = host.app.store.write_unaudited(move |change| {
        let mut operation = operations::open_of(change, "a")?.expect("it is open");
        at(&mut operation);
        operations::advance(change, &mut operation)
    });
    write.await.unwrap();
    host.restart().await
}

#[tokio::test]
async fn an_upgrade_that_nobody_was_told_of_is_undone_by_the_next_server() {
    for (what, at) in [
        (
            "before the first",
            (|it| {
                it.phase = Phase::Doing;
                it.steps[0].state = StepState::Planned;
                it.steps[0].handle = None;
            }) as fn(&mut Operation),
        ),
        ("while it is started", |it| {
            it.phase = Phase::Doing;
            it.steps[0].state = StepState::Begun;
            it.steps[0].handle = None;
        }),
        ("after it was started", |it| it.phase = Phase::Doing),
        ("while it is undone", |it| {
            it.phase = Phase::Undoing;
            it.message = Some("it did not work".to_owned());
        }),
    ] {
        let host = running(&[plain("web")]).await;
        host.post(UPGRADE, &upgrade("a", &[never("web")])).await.expect(201);

        let host = killed(host, at).await;

        let operation = settled(&host).await;
        assert_eq!(operation.phase, Phase::Failed, "{what}");
        let untouched = [StepState::Planned, StepState::Undone];
        assert!(untouched.contains(&operation.steps[0].state), "{what}");
        assert_eq!(told(&host, 2).await, is("FAILED", "Could not deploy app."), "{what}");
        assert_eq!(told(&host, 1).await.0, "DEPLOYED", "{what}");
    }
}

#[tokio::test]
async fn an_upgrade_that_has_won_is_finished_by_the_next_server() {
    let host = running(&[plain("web"), plain("db")]).await;
    host.post(UPGRADE, &upgrade("a", &[never("web"), plain("db")])).await.expect(201);

    // The new version is healthy now, and the old one was being ended.
    let host = killed(host, |it| {
        it.phase = Phase::Retiring;
        it.retired[0].state = StepState::Begun;
    })
    .await;

    let operation = settled(&host).await;
    assert_eq!(operation.phase, Phase::Done);
    assert_eq!(operation.retired[0].state, StepState::Done);
    assert_eq!(told(&host, 1).await, is("DELETED", "Delete complete"));
}
