use std::collections::HashSet;

use super::{
    super::{Take, View, in_memory::Rows},
    *,
};
use crate::plugins::types::PrincipalKind;

impl Rows {
    fn announce(&mut self, hooks: &[&str], name: &str) {
        announce(self, &announcement(hooks, name, "")).unwrap();
    }

    fn due(&self, hook: &str) -> Vec<Pending> {
        due(self, hook, &wanted(now_ms())).unwrap()
    }

    fn settle(&mut self, hook: &str, fate: impl Fn(&Pending) -> Fate) {
        let fates = self.due(hook).into_iter().map(|it| (it.clone(), fate(&it))).collect();
        settle(self, hook, fates, now_ms()).unwrap();
    }

    fn rows(&self, table: &'static str) -> usize {
        let all = Take { reverse: false, limit: usize::MAX };
        self.range(Table(table), b"", b"", all).unwrap().len()
    }
}

fn wanted(now: u64) -> Due {
    Due { now, busy: HashSet::new(), only_fresh: false, limit: 64, bytes_max: 1 << 20 }
}

fn announcement(hooks: &[&str], name: &str, padding: &str) -> Announcement {
    Announcement {
        id: uuid::Uuid::new_v4().to_string(),
        action: "inventory:version:register".to_owned(),
        target: Target {
            kind: "version".to_owned(),
            namespace: "acme".to_owned(),
            name: name.to_owned(),
            version: Some("1.0".to_owned()),
            labels: Vec::new(),
        },
        actor: Principal {
            id: "user:ana".to_owned(),
            kind: PrincipalKind::User,
            groups: Vec::new(),
            roles: Vec::new(),
            claims: Vec::new(),
        },
        object: Some(serde_json::json!({ "name": name, "padding": padding })),
        failure: None,
        hooks: hooks.iter().map(ToString::to_string).collect(),
    }
}

fn names(pending: &[Pending]) -> Vec<(&str, u64, u32)> {
    pending
        .iter()
        .map(|it| (it.event.target.name.as_str(), it.event.sequence, it.attempt))
        .collect()
}

#[test]
fn nothing_is_kept_where_no_hook_wants_it() {
    let mut store = Rows::default();
    store.announce(&[], "web");
    assert_eq!(store.len(), 0);
}

#[test]
fn an_event_goes_when_the_last_hook_has_it() {
    let mut store = Rows::default();
    store.announce(&["mail", "chat"], "web");
    assert_eq!(names(&store.due("mail")), [("web", 1, 1)]);

    store.settle("mail", |_| Fate::Delivered);
    assert_eq!(names(&store.due("mail")), []);
    assert_eq!(names(&store.due("chat")), [("web", 1, 1)]);
    assert_eq!(store.rows("outbox_events"), 1);

    store.settle("chat", |_| Fate::Delivered);
    assert_eq!(
        queues(&store).unwrap().iter().map(|it| it.1).collect::<Vec<_>>(),
        [Queue::default(), Queue::default()]
    );
    for table in ["outbox_events", "outbox_rows", "outbox_lanes", "outbox_due"] {
        assert_eq!(store.rows(table), 0, "{table}");
    }
}

#[test]
fn a_later_event_of_a_target_waits_for_the_earlier_one_and_others_do_not() {
    let mut store = Rows::default();
    for name in ["web", "web", "api"] {
        store.announce(&["mail"], name);
    }
    assert_eq!(names(&store.due("mail")), [("web", 1, 1), ("api", 3, 1)]);

    let later = now_ms() + 60_000;
    store.settle("mail", |it| match it.event.target.name.as_str() {
        "web" => Fate::Later(later),
        _ => Fate::Delivered,
    });
    assert_eq!(names(&store.due("mail")), []);
    assert_eq!(next_due(&store, "mail", now_ms()).unwrap(), Some(later));

    let then = due(&store, "mail", &wanted(later)).unwrap();
    assert_eq!(names(&then), [("web", 1, 2)]);
    settle(&mut store, "mail", vec![(then[0].clone(), Fate::Delivered)], now_ms()).unwrap();
    assert_eq!(names(&store.due("mail")), [("web", 2, 1)]);
}

#[test]
fn a_busy_lane_is_passed_over_and_a_batch_is_bounded() {
    let mut store = Rows::default();
    for name in ["a", "b", "c", "d"] {
        announce(&mut store, &announcement(&["mail"], name, &"x".repeat(1000))).unwrap();
    }
    let first = store.due("mail")[0].lane.clone();
    let busy = HashSet::from([first]);
    let found = |limit, bytes_max| {
        let wanted = Due { busy: busy.clone(), limit, bytes_max, ..wanted(now_ms()) };
        due(&store, "mail", &wanted).unwrap().len()
    };
    assert_eq!(found(64, 1 << 20), 3);
    assert_eq!(found(2, 1 << 20), 2);
    assert_eq!(found(64, 3000), 2);
    assert_eq!(found(64, 1), 1);
}

#[test]
fn what_is_given_up_is_kept_whole_with_its_reason() {
    let mut store = Rows::default();
    store.announce(&["mail"], "web");
    store.settle("mail", |_| Fate::Dead("no such address".to_owned()));

    let letters = dead_letters(&store, "mail", 10).unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].reason, "no such address");
    assert_eq!(letters[0].attempts, 1);
    assert_eq!(letters[0].event.object.as_ref().unwrap()["name"], "web");
    assert_eq!((store.rows("outbox_events"), store.rows("outbox_rows")), (0, 0));
}

#[test]
fn the_oldest_dead_letters_go_when_there_are_too_many_bytes() {
    let mut store = Rows::default();
    for name in ["a", "b", "c"] {
        store.announce(&["mail"], name);
        store.settle("mail", |_| Fate::Dead("no".to_owned()));
    }
    let mut queue = queues(&store).unwrap()[0].1;
    queue.dead_bytes = deliveries::DEAD_BYTES_MAX;
    keep(&mut store, deliveries::QUEUES, b"mail", &queue);

    store.announce(&["mail"], "d");
    store.settle("mail", |_| Fate::Dead("no".to_owned()));
    let letters = dead_letters(&store, "mail", 10).unwrap();
    assert_eq!(letters.iter().map(|it| it.event.sequence).collect::<Vec<_>>(), [4, 3, 2]);
    assert_eq!(queues(&store).unwrap()[0].1.dead, 3);
}

#[test]
fn an_event_for_a_full_queue_goes_to_the_dead_letters() {
    let fill = [
        Queue { waiting: WAITING_MAX, ..Queue::default() },
        Queue { waiting_bytes: WAITING_BYTES_MAX, ..Queue::default() },
    ];
    for full in fill {
        let mut store = Rows::default();
        keep(&mut store, deliveries::QUEUES, b"mail", &full);
        store.announce(&["mail", "chat"], "web");

        assert_eq!(names(&store.due("mail")), []);
        assert_eq!(names(&store.due("chat")), [("web", 1, 1)]);
        let letter = dead_letters(&store, "mail", 1).unwrap().remove(0);
        assert_eq!((letter.attempts, letter.event.sequence), (0, 1));
        assert!(letter.reason.contains("already wait"), "{}", letter.reason);

        store.settle("chat", |_| Fate::Delivered);
        assert_eq!(store.rows("outbox_events"), 0);
    }
}

#[test]
fn settling_twice_changes_nothing() {
    let mut store = Rows::default();
    store.announce(&["mail"], "web");
    store.announce(&["mail"], "web");
    let first = store.due("mail");
    for _ in 0..2 {
        settle(&mut store, "mail", vec![(first[0].clone(), Fate::Delivered)], now_ms()).unwrap();
    }
    assert_eq!(names(&store.due("mail")), [("web", 2, 1)]);
    assert_eq!(queues(&store).unwrap()[0].1.waiting, 1);
}

fn notice(store: &mut Rows, of: &Event, url: &str) {
    let object = serde_json::json!({ "to": url });
    let notice = Notice { lane: url.to_owned(), address: url.to_owned(), object };
    announce_notice(store, of, notice, &["mail".to_owned()]).unwrap();
}

fn urls(pending: &[Pending]) -> Vec<&str> {
    pending.iter().map(|it| it.event.object.as_ref().unwrap()["to"].as_str().unwrap()).collect()
}

#[test]
fn a_notice_has_the_lane_of_its_url_and_the_same_id_each_time() {
    let mut store = Rows::default();
    store.announce(&[GATHERING], "web");
    let of = store.due(GATHERING).remove(0).event;
    let queue = notices_of("mail");
    for url in ["a", "b", "a"] {
        notice(&mut store, &of, url);
    }
    let first = store.due(&queue);
    assert_eq!(urls(&first), ["a", "b"]);
    assert_ne!(first[0].event.id, first[1].event.id);

    // The event that they are made of is somebody else's.
    store.settle(GATHERING, |_| Fate::Delivered);
    store.settle(&queue, |_| Fate::Delivered);
    let second = store.due(&queue);
    assert_eq!(urls(&second), ["a"]);
    assert_eq!(second[0].event.id, first[0].event.id);
    store.settle(&queue, |_| Fate::Delivered);
    for table in ["outbox_events", "outbox_rows", "outbox_lanes", "outbox_due"] {
        assert_eq!(store.rows(table), 0, "{table}");
    }
}

#[test]
fn one_url_has_only_so_many_notices_before_it() {
    let mut store = Rows::default();
    store.announce(&[GATHERING], "web");
    let of = store.due(GATHERING).remove(0).event;
    let queue = notices_of("mail");
    for _ in 0..1_001 {
        notice(&mut store, &of, "dead");
    }
    notice(&mut store, &of, "alive");
    let count = queues(&store).unwrap().into_iter().find(|it| it.0 == queue).unwrap().1;
    assert_eq!((count.waiting, count.dead), (1_001, 1));
    store.settle(&queue, |it| match it.lane.contains("notice") {
        true => Fate::Delivered,
        false => unreachable!("a notice has a lane of its own"),
    });
    notice(&mut store, &of, "dead");
    let count = queues(&store).unwrap().into_iter().find(|it| it.0 == queue).unwrap().1;
    assert_eq!((count.waiting, count.dead), (1_000, 1));
}

#[test]
fn lanes_that_failed_can_be_passed_over() {
    let mut store = Rows::default();
    for name in ["web", "api"] {
        store.announce(&["mail"], name);
    }
    store.settle("mail", |it| match it.event.target.name.as_str() {
        "web" => Fate::Later(now_ms()),
        _ => Fate::Later(now_ms() + 60_000),
    });
    store.announce(&["mail"], "new");
    let fresh = Due { only_fresh: true, ..wanted(now_ms()) };
    assert_eq!(names(&due(&store, "mail", &fresh).unwrap()), [("new", 3, 1)]);
    assert_eq!(names(&store.due("mail")), [("web", 1, 2), ("new", 3, 1)]);
}
