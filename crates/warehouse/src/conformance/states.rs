//! Of states of one object the newest stays, whatever comes when.

use super::rows::{Cell, batch, batch_of, owned, row, some_customers, some_invoices, some_lines};
use super::{Subject, customers, invoices, lines, name, prepared};
use crate::{Age, Belonging, Change, Ids, SchemaName, Warehouse, WarehouseError};

pub(super) async fn trap_15_newest_state_wins_in_any_order(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let states = [("cus_1", 30, 3), ("cus_1", 10, 1), ("cus_1", 20, 2)];
    for state in states {
        let merge = Change::Merge(some_customers(&[state]));
        let rows = warehouse.apply(batch(vec![(customers(), merge)])).await.unwrap().rows;
        assert_eq!(rows, u64::from(state.2 == 3));
    }
    let within_one = [("cus_2", 10, 1), ("cus_2", 30, 3), ("cus_2", 20, 2), ("cus_1", 31, 3)];
    warehouse.apply(batch(vec![(customers(), Change::Merge(some_customers(&within_one)))])).await.unwrap();
    let rows = subject.dump(customers(), &["id", "balance"]).await;
    assert_eq!(rows, ["cus_1|31", "cus_2|30"], "and of states as old, the later one stays");
}

pub(super) async fn trap_11_deleted_rows_are_marked_not_blanked(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let live = Change::Insert(some_customers(&[("cus_1", 5, 1), ("cus_2", 6, 9), ("cus_3", 7, 1)]));
    warehouse.apply(batch(vec![(customers(), live)])).await.unwrap();
    let ids = owned(&["cus_1", "cus_2", "cus_never_seen", "cus_3"]);
    let gone = Change::MarkDeleted { ids, as_of_micros: 5 };
    assert_eq!(warehouse.apply(batch(vec![(customers(), gone)])).await.unwrap().rows, 3);
    let late = Change::Merge(some_customers(&[("cus_1", 50, 4), ("cus_3", 70, 6), ("cus_never_seen", 1, 4)]));
    warehouse.apply(batch(vec![(customers(), late)])).await.unwrap();
    assert_eq!(warehouse.stale(&name(), customers(), owned(&["cus_never_seen"]), 0).await.unwrap(), [""; 0]);
    let rows = subject.dump(customers(), &["id", "balance", "_deleted", "_as_of"]).await;
    assert_eq!(
        rows,
        [
            "cus_1|5|true|1970-01-01T00:00:00.000005",
            "cus_2|6|false|1970-01-01T00:00:00.000009",
            "cus_3|70|false|1970-01-01T00:00:00.000006",
            "cus_never_seen|-|true|1970-01-01T00:00:00.000005",
        ]
    );
}

pub(super) async fn sealing_makes_ids_unique(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    for rows in [
        [("cus_1", 1, 1), ("cus_2", 2, 2)],
        [("cus_2", 3, 3), ("cus_3", 3, 3)],
        [("cus_2", 1, 1), ("cus_4", 4, 1)],
    ] {
        warehouse.apply(batch(vec![(customers(), Change::Insert(some_customers(&rows)))])).await.unwrap();
    }
    let same = some_lines(&[("il_1", "in_1", 1), ("il_1", "in_2", 1), ("il_1", "in_1", 1)]);
    warehouse.apply(batch(vec![(lines(), Change::Insert(same))])).await.unwrap();
    assert_eq!(warehouse.count(&name(), customers()).await.unwrap(), 6);
    assert_eq!(warehouse.seal(&name(), customers()).await.unwrap(), 2);
    assert_eq!(warehouse.seal(&name(), customers()).await.unwrap(), 0);
    assert_eq!(warehouse.seal(&name(), lines()).await.unwrap(), 1);
    let rows = subject.dump(customers(), &["id", "balance"]).await;
    assert_eq!(rows, ["cus_1|1", "cus_2|3", "cus_3|3", "cus_4|4"]);
    assert_eq!(subject.dump(lines(), &["id", "_parent"]).await, ["il_1|in_1", "il_1|in_2"]);
}

pub(super) async fn names_what_is_missing(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let writes = vec![
        (customers(), Change::Insert(some_customers(&[("cus_1", 1, 1)]))),
        (
            invoices(),
            Change::Insert(some_invoices(&[
                ("in_1", "cus_1", 1),
                ("in_2", "cus_9", 1),
                ("in_3", "cus_9", 1),
            ])),
        ),
    ];
    warehouse.apply(batch(writes)).await.unwrap();
    assert_eq!(warehouse.dangling(&name(), invoices(), "customer", customers()).await.unwrap(), ["cus_9"]);
    let asked = owned(&["cus_9", "cus_1", "it's \"x\"", "cus_9"]);
    assert_eq!(warehouse.stale(&name(), customers(), asked, 0).await.unwrap(), ["cus_9", "it's \"x\""]);
    assert!(warehouse.dangling(&name(), invoices(), "no_such_column", customers()).await.is_err());
    let nowhere = SchemaName::new("nowhere").unwrap();
    assert!(matches!(warehouse.count(&nowhere, customers()).await, Err(WarehouseError::Failed { .. })));
}

pub(super) async fn tells_old_states_from_new(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    assert_eq!(warehouse.newest(&name(), vec![customers()]).await.unwrap(), None);
    let rows = some_customers(&[("a", 1, 10), ("b", 1, 20), ("c", 1, 10), ("d", 1, 10), ("e", 1, 19)]);
    let gone = Change::MarkDeleted { ids: owned(&["c"]), as_of_micros: 11 };
    warehouse.apply(batch(vec![(customers(), Change::Insert(rows)), (customers(), gone)])).await.unwrap();
    let asked = owned(&["b", "a", "never seen", "e"]);
    assert_eq!(warehouse.stale(&name(), customers(), asked, 20).await.unwrap(), ["a", "e", "never seen"]);
    let asked = async |asked: Ids| warehouse.ids(&name(), customers(), asked).await.unwrap();
    let before = |created_from, after: &str, most| {
        asked(Ids {
            age: Age::Before(20),
            created_from,
            belonging: Belonging::Any,
            prefix: "",
            after: after.to_owned(),
            most,
        })
    };
    assert_eq!(before(None, "", 10).await, ["a", "d", "e"], "neither new ones nor tombstones");
    assert_eq!(before(None, "a", 1).await, ["d"]);
    let any = Ids {
        age: Age::Any,
        created_from: None,
        belonging: Belonging::Any,
        prefix: "",
        after: String::new(),
        most: 10,
    };
    assert_eq!(asked(any.clone()).await, ["a", "b", "d", "e"]);
    assert_eq!(asked(Ids { age: Age::Since(19), ..any.clone() }).await, ["b", "e"]);
    assert_eq!(asked(Ids { belonging: Belonging::Nowhere("balance"), ..any.clone() }).await, [""; 0]);
    assert_eq!(asked(Ids { belonging: Belonging::To("balance"), ..any.clone() }).await.len(), 4);
    assert_eq!(asked(Ids { prefix: "d", ..any }).await, ["d"]);
    let dated = |id, created: i64| {
        let mut row = row(id, 10);
        row.insert("created", Cell::Whole(created * 1_000_000));
        row
    };
    let rows = batch_of(customers(), &[dated("f", 5), dated("g", 9)]);
    warehouse.apply(batch(vec![(customers(), Change::Insert(rows))])).await.unwrap();
    assert_eq!(
        before(Some(("created", 9)), "", 10).await,
        ["g"],
        "the others are older, or do not say how old"
    );
    assert_eq!(before(Some(("created", 5)), "", 10).await, ["f", "g"]);
    assert_eq!(warehouse.newest(&name(), vec![invoices(), customers()]).await.unwrap(), Some(20));
}

pub(super) async fn what_is_gone_at_different_times_is_marked_each_with_its_own(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let live = Change::Insert(some_customers(&[("cus_1", 5, 2), ("cus_2", 6, 8), ("cus_3", 7, 2)]));
    let of_two = Change::Insert(some_lines(&[("il_1", "in_1", 2), ("il_2", "in_2", 8), ("il_3", "in_2", 2)]));
    warehouse.apply(batch(vec![(customers(), live), (lines(), of_two)])).await.unwrap();
    let gone =
        |id: &str, as_of_micros| (customers(), Change::MarkDeleted { ids: owned(&[id]), as_of_micros });
    let left = |id: &str, as_of_micros| {
        (lines(), Change::MarkChildrenDeleted { parents: owned(&[id]), as_of_micros })
    };
    let all = vec![
        gone("cus_1", 3),
        left("in_1", 3),
        gone("cus_2", 7),
        gone("cus_3", 9),
        left("in_2", 7),
        gone("cus_new", 4),
        gone("cus_new", 6),
    ];
    warehouse.apply(batch(all)).await.unwrap();
    let rows = subject.dump(customers(), &["id", "_deleted", "_as_of"]).await;
    let at = |micros: u8| format!("1970-01-01T00:00:00.00000{micros}");
    let told = [("cus_1", true, 3), ("cus_2", false, 8), ("cus_3", true, 9), ("cus_new", true, 6)];
    assert_eq!(rows, told.map(|(id, gone, as_of)| format!("{id}|{gone}|{}", at(as_of))));
    let rows = subject.dump(lines(), &["id", "_deleted", "_as_of"]).await;
    let told = [("il_1", true, 3), ("il_2", false, 8), ("il_3", true, 7)];
    assert_eq!(rows, told.map(|(id, gone, as_of)| format!("{id}|{gone}|{}", at(as_of))));
}
