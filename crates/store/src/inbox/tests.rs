use super::*;
use crate::connections::{NewConnection, tests::shop};
use crate::store::testing::{at, key, store};

fn delivery(connection_id: &str, event: &str, second: i64) -> Delivery {
    Delivery {
        connection_id: connection_id.to_owned(),
        event_id: event.to_owned(),
        received_at: at(second),
        body: format!("{{\"id\":\"{event}\"}}").into_bytes(),
    }
}

async fn with_shop() -> (Store, String) {
    let store = store().await;
    let id = store.insert_connection(&shop(), at(0)).await.unwrap().id;
    (store, id)
}

async fn due(store: &Store, id: &str, second: i64) -> Vec<String> {
    let due = store.due_deliveries(id, 10, at(second)).await.unwrap();
    due.events.into_iter().map(|waiting| waiting.event_id).collect()
}

fn later(event: &str, second: i64, why: &str) -> Postponed {
    let (event_id, why) = (event.to_owned(), why.to_owned());
    Postponed { event_id, due_at: Some(at(second)), looked_at_micros: Some(7), why, awaits_copy_of: None }
}

async fn postpone(store: &Store, id: &str, postponed: &[Postponed]) {
    let settled = Settled { postponed: postponed.to_vec(), ..Settled::default() };
    store.settle_deliveries(id, &settled, at(0)).await.unwrap();
}

async fn finish(store: &Store, id: &str, applied: &[String]) {
    let settled = Settled { applied: applied.to_vec(), ..Settled::default() };
    store.settle_deliveries(id, &settled, at(0)).await.unwrap();
}

#[tokio::test]
async fn trap_15_a_repeated_delivery_is_kept_once_until_it_is_done() {
    let (store, id) = with_shop().await;
    let twice = [delivery(&id, "evt_2", 2), delivery(&id, "evt_1", 1), delivery(&id, "evt_2", 3)];
    store.keep_deliveries(&twice).await.unwrap();
    store.keep_deliveries(&twice).await.unwrap();
    assert_eq!(due(&store, &id, 5).await, ["evt_1", "evt_2"]);
    let first = store.due_deliveries(&id, 1, at(5)).await.unwrap().events.remove(0);
    assert_eq!(
        (first.body.as_slice(), first.received_at, first.tries),
        (&b"{\"id\":\"evt_1\"}"[..], at(1), 0)
    );
    let inbox = store.inbox(&id).await.unwrap();
    assert_eq!((inbox.received, inbox.last_received_at), (6, Some(at(3))));
    assert_eq!((inbox.waiting, inbox.oldest_at), (2, Some(at(1))));
    finish(&store, &id, &["evt_1".to_owned(), "evt_2".to_owned()]).await;
    let inbox = store.inbox(&id).await.unwrap();
    assert_eq!((inbox.waiting, inbox.received), (0, 6));
}

#[tokio::test]
async fn an_event_of_a_deleted_connection_holds_up_no_other() {
    let (store, id) = with_shop().await;
    let known =
        store.keep_deliveries(&[delivery("con_gone", "evt_1", 1), delivery(&id, "evt_1", 1)]).await.unwrap();
    assert!(known.contains(&id) && !known.contains("con_gone"));
    assert_eq!(due(&store, &id, 1).await, ["evt_1"]);
    store.delete_connection(&id).await.unwrap();
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM webhook_events").fetch_one(&store.pool).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_is_postponed_comes_again_later_or_when_it_is_hastened() {
    let (store, id) = with_shop().await;
    store.keep_deliveries(&[delivery(&id, "evt_1", 1), delivery(&id, "evt_2", 1)]).await.unwrap();
    let mut again = later("evt_1", 9, "its table is copied");
    postpone(&store, &id, &[again.clone()]).await;
    assert_eq!(due(&store, &id, 5).await, ["evt_2"]);
    assert_eq!(due(&store, &id, 9).await, ["evt_2", "evt_1"]);
    store.hasten_deliveries(&id, at(6)).await.unwrap();
    assert_eq!(due(&store, &id, 6).await, ["evt_2"], "whatever its words say, it waits for no first copy");
    let copied = Postponed { awaits_copy_of: Some("customers".to_owned()), ..again.clone() };
    postpone(&store, &id, &[copied]).await;
    store.hasten_deliveries(&id, at(6)).await.unwrap();
    assert_eq!(due(&store, &id, 6).await, ["evt_2", "evt_1"]);
    again.looked_at_micros = Some(8);
    postpone(&store, &id, &[again]).await;
    let waiting = store.due_deliveries(&id, 10, at(9)).await.unwrap().events.remove(1);
    assert_eq!((waiting.tries, waiting.looked_at_micros), (3, Some(7)), "the first look is what counts");
    let inbox = store.inbox(&id).await.unwrap();
    assert_eq!((inbox.waiting, inbox.reasons), (2, vec![("its table is copied".to_owned(), 1)]));
    let due = store.connections_with_deliveries(at(1)).await.unwrap();
    assert_eq!(due, [(id.clone(), "shop".to_owned())]);
    assert!(store.connections_with_deliveries(at(0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_understood_stays_to_be_shown() {
    let (store, id) = with_shop().await;
    store.keep_deliveries(&[delivery(&id, "evt_1", 1)]).await.unwrap();
    let never = Postponed { due_at: None, ..later("evt_1", 0, "it is no event") };
    postpone(&store, &id, &[never]).await;
    store.hasten_deliveries(&id, at(9)).await.unwrap();
    assert_eq!(due(&store, &id, 9).await, [""; 0]);
    let inbox = store.inbox(&id).await.unwrap();
    assert_eq!(inbox.rejected, [("evt_1".to_owned(), at(1), "it is no event".to_owned())]);
    assert_eq!(inbox.waiting, 0);
}

#[tokio::test]
async fn what_is_handed_over_leaves_the_inbox_and_is_counted_with_why() {
    let (store, id) = with_shop().await;
    let three = ["evt_1", "evt_2", "evt_3"].map(|event| delivery(&id, event, 1));
    store.keep_deliveries(&three).await.unwrap();
    let left = |event, why| Settled { handed_over: vec![later(event, 9, why)], ..Settled::default() };
    store.settle_deliveries(&id, &left("evt_1", "no"), at(2)).await.unwrap();
    store.settle_deliveries(&id, &left("evt_2", "never"), at(3)).await.unwrap();
    store.settle_deliveries(&id, &Settled::default(), at(4)).await.unwrap();
    let inbox = store.inbox(&id).await.unwrap();
    assert_eq!((inbox.handed_over, inbox.last_handed_over), (2, Some((at(3), "never".to_owned()))));
    assert_eq!(due(&store, &id, 9).await, ["evt_3"]);
}

#[tokio::test]
async fn the_level_is_of_one_connection_and_counts_what_waits() {
    let (store, id) = with_shop().await;
    assert_eq!(store.inbox_level(&id).await.unwrap(), Level::default());
    let twice = [delivery(&id, "evt_1", 1), delivery(&id, "evt_2", 1), delivery(&id, "evt_2", 1)];
    store.keep_deliveries(&twice).await.unwrap();
    let never = Postponed { due_at: None, ..later("evt_1", 0, "it is no event") };
    postpone(&store, &id, &[never]).await;
    let bytes = u64::try_from(twice[1].body.len()).unwrap();
    assert_eq!(
        store.inbox_level(&id).await.unwrap(),
        Level { events: 1, bytes },
        "what can never be applied keeps nothing out"
    );
    assert_eq!(store.inbox_level("con_other").await.unwrap(), Level::default());
}

#[tokio::test]
async fn what_cannot_be_understood_leaves_in_the_end_and_what_waits_does_not() {
    let (store, id) = with_shop().await;
    let three = [delivery(&id, "evt_1", 1), delivery(&id, "evt_2", 5), delivery(&id, "evt_3", 1)];
    store.keep_deliveries(&three).await.unwrap();
    let never =
        ["evt_1", "evt_2"].map(|event| Postponed { due_at: None, ..later(event, 0, "it is no event") });
    postpone(&store, &id, &never).await;
    assert!(store.forget_rejected_deliveries(at(1)).await.unwrap().is_empty());
    assert_eq!(store.forget_rejected_deliveries(at(5)).await.unwrap(), BTreeMap::from([(id.clone(), 1)]));
    let left = store.inbox(&id).await.unwrap();
    assert_eq!((left.waiting, left.rejected.len()), (1, 1));
    assert_eq!(left.rejected[0].0, "evt_2");
}

#[tokio::test]
async fn of_what_cannot_be_understood_a_thousand_stay_and_a_thousand_leave_at_a_time() {
    let (store, id) = with_shop().await;
    let other = NewConnection { name: "other".to_owned(), account_id: "acct_other".to_owned(), ..shop() };
    let other = store.insert_connection(&other, at(0)).await.unwrap().id;
    let odd = |connection_id: &str, number: i64| delivery(connection_id, &format!("evt_{number}"), number);
    let many: Vec<Delivery> = (0..2_500).map(|number| odd(&id, number)).chain([odd(&other, 0)]).collect();
    store.keep_deliveries(&many).await.unwrap();
    sqlx::query("UPDATE webhook_events SET due_at = NULL").execute(&store.pool).await.unwrap();
    store.keep_deliveries(&[delivery(&id, "evt_waits", 0)]).await.unwrap();
    for count in [1_000, 500] {
        let gone = store.forget_rejected_deliveries(at(-1)).await.unwrap();
        assert_eq!(gone, BTreeMap::from([(id.clone(), count)]));
    }
    assert!(store.forget_rejected_deliveries(at(-1)).await.unwrap().is_empty());
    let left: (i64, i64) = sqlx::query_as(
        "SELECT count(*), min(received_at) FROM webhook_events WHERE connection_id = $1 AND due_at IS NULL",
    )
    .bind(&id)
    .fetch_one(&store.pool)
    .await
    .unwrap();
    assert_eq!(left, (1_000, at(1_500).timestamp_micros()));
    assert_eq!(
        (store.inbox(&id).await.unwrap().waiting, store.inbox(&other).await.unwrap().rejected.len()),
        (1, 1)
    );
}

#[tokio::test]
async fn what_is_due_says_whether_there_is_more() {
    let (store, id) = with_shop().await;
    let large = |event| Delivery { body: vec![b'x'; 9 * 1024 * 1024], ..delivery(&id, event, 1) };
    store.keep_deliveries(&[large("evt_1"), large("evt_2")]).await.unwrap();
    let seen = async |limit| {
        let due = store.due_deliveries(&id, limit, at(9)).await.unwrap();
        (due.events.len(), due.is_cut)
    };
    assert_eq!(seen(10).await, (1, true), "one has no room beside the other");
    finish(&store, &id, &["evt_1".to_owned()]).await;
    assert_eq!([seen(10).await, seen(1).await], [(1, false), (1, true)]);
}

#[tokio::test]
async fn what_was_dropped_is_counted_and_says_why() {
    let (store, id) = with_shop().await;
    store.note_dropped(&id, 1, "first", at(1)).await.unwrap();
    store.note_dropped(&id, 4, "second", at(2)).await.unwrap();
    let inbox = store.inbox(&id).await.unwrap();
    assert_eq!((inbox.dropped, inbox.last_dropped), (5, Some((at(2), "second".to_owned()))));
    assert_eq!((inbox.received, inbox.last_received_at), (0, None));
}

#[tokio::test]
async fn trap_21_what_is_kept_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = Store::open(&path, key(1)).await.unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&store.pool).await.unwrap();
    assert!(synchronous >= 2, "a commit is on disk before it returns: FULL or more");
    let id = store.insert_connection(&shop(), at(0)).await.unwrap().id;
    store.keep_deliveries(&[delivery(&id, "evt_1", 1)]).await.unwrap();
    // Not closed: as a killed process leaves it.
    let again = Store::open(&path, key(1)).await.unwrap();
    assert_eq!(due(&again, &id, 1).await, ["evt_1"]);
}

#[test]
fn no_more_is_read_at_once_than_memory_has_room_for() {
    assert_eq!(within(&[]), 1);
    assert_eq!(within(&[BYTES + 1, 1]), 1);
    assert_eq!(within(&[BYTES - 2, 1, 1, 1]), 3);
}
