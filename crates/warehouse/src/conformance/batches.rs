//! Batches: all or nothing, one after the other, every type.

use serde_json::json;

use super::rows::{Cell, at, batch, batch_of, owned, row, some_customers};
use super::{Subject, customers, lines, name, prepared};
use crate::{Batch, Change, SchemaName, Warehouse, Write};

pub(super) async fn rows_and_checkpoints_come_together(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let mut first =
        batch(vec![(customers(), Change::Insert(some_customers(&[("cus_1", 5, 1), ("cus_2", 6, 1)])))]);
    first.checkpoints = vec![at("b", Some(json!({"through": 7}))), at("a", Some(json!("it's ☃")))];
    assert_eq!(warehouse.apply(first).await.unwrap().rows, 2);

    let mut second = batch(vec![(customers(), Change::Insert(some_customers(&[("cus_3", 7, 2)])))]);
    second.checkpoints = vec![at("b", Some(json!([8]))), at("a", None)];
    warehouse.apply(second).await.unwrap();

    subject.shut();
    let warehouse = subject.open();
    assert_eq!(warehouse.checkpoints(&name()).await.unwrap(), [at("b", Some(json!([8])))]);
    assert_eq!(warehouse.checkpoints(&SchemaName::new("other").unwrap()).await.unwrap(), []);
    assert_eq!(warehouse.count(&name(), customers()).await.unwrap(), 3);
    warehouse.prepare(&name(), vec![customers()]).await.unwrap();
    let rows = subject.dump(customers(), &["id", "balance", "_deleted"]).await;
    assert_eq!(rows, ["cus_1|5|false", "cus_2|6|false", "cus_3|7|false"]);
}

/// The failure is planted after rows were written and before the checkpoint is.
pub(super) async fn trap_30_checkpoint_commits_with_its_rows(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let mut good = batch(vec![(customers(), Change::Insert(some_customers(&[("cus_1", 1, 1)])))]);
    good.checkpoints = vec![at("customers", Some(json!(1)))];
    warehouse.apply(good).await.unwrap();

    let unfit = some_customers(&[("cus_3", 3, 2)]);
    let mut bad = batch(vec![
        (customers(), Change::Insert(some_customers(&[("cus_2", 2, 2)]))),
        (customers(), Change::Merge(some_customers(&[("cus_1", 9, 9)]))),
        (lines(), Change::Insert(unfit)),
    ]);
    bad.checkpoints = vec![at("customers", Some(json!(2)))];
    warehouse.apply(bad).await.unwrap_err();

    assert_eq!(warehouse.checkpoints(&name()).await.unwrap(), [at("customers", Some(json!(1)))]);
    assert_eq!(subject.dump(customers(), &["id", "balance"]).await, ["cus_1|1"]);
    subject.shut();
    assert_eq!(subject.dump(customers(), &["id", "balance"]).await, ["cus_1|1"]);
    // And the warehouse goes on.
    let next = batch(vec![(customers(), Change::Merge(some_customers(&[("cus_1", 2, 2)])))]);
    subject.open().apply(next).await.unwrap();
    assert_eq!(subject.dump(customers(), &["id", "balance"]).await, ["cus_1|2"]);
}

/// A batch with a customer and a checkpoint.
fn marked(state: (&str, i64, i64), value: i64) -> Batch {
    let mut marked = batch(vec![(customers(), Change::Merge(some_customers(&[state])))]);
    marked.checkpoints = vec![at("customers", Some(json!(value)))];
    marked
}

pub(super) async fn batches_that_come_at_once_are_stored_one_after_the_other(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let mut bad = marked(("cus_4", 4, 4), 4);
    bad.writes.push(Write { table: lines(), change: Change::Insert(some_customers(&[("cus_5", 5, 5)])) });
    let gone = Change::MarkDeleted { ids: owned(&["cus_1"]), as_of_micros: 2 };
    let (first, second, third, refused, last) = tokio::join!(
        warehouse.apply(marked(("cus_1", 1, 1), 1)),
        warehouse.apply(batch(vec![(customers(), gone)])),
        warehouse.apply(marked(("cus_1", 3, 1), 3)),
        warehouse.apply(bad),
        warehouse.apply(marked(("cus_2", 5, 5), 5)),
    );
    let rows = [first, second, third, last].map(|applied| applied.unwrap().rows);
    assert_eq!(rows, [1, 1, 0, 1], "each knows what it did");
    refused.unwrap_err();
    assert_eq!(warehouse.checkpoints(&name()).await.unwrap(), [at("customers", Some(json!(5)))]);
    let rows = subject.dump(customers(), &["id", "balance", "_deleted"]).await;
    assert_eq!(rows, ["cus_1|1|true", "cus_2|5|false"]);
}

pub(super) async fn every_type_comes_back(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let mut row = row("cus_1", 1_700_000_000_000_001);
    row.insert("created", Cell::Whole(1_700_000_000_000_000));
    row.insert("balance", Cell::Whole(i64::from(i32::MAX) * 4));
    row.insert("delinquent", Cell::Truth(true));
    row.insert("email", Cell::Text("ünï@example.com".to_owned()));
    row.insert("metadata", Cell::Text("{\"key\":\"it's \\\"☃\\\"\"}".to_owned()));
    row.insert("_extra", Cell::Text("{\"new\":1}".to_owned()));
    let rows = batch_of(customers(), &[row]);
    warehouse.apply(batch(vec![(customers(), Change::Insert(rows.clone()))])).await.unwrap();
    let columns =
        ["id", "created", "balance", "delinquent", "email", "metadata", "_extra", "_absent", "_as_of"];
    let told = "cus_1|2023-11-14T22:13:20|8589934588|true|ünï@example.com|{\"key\":\"it's \\\"☃\\\"\"}|{\"new\":1}|-|2023-11-14T22:13:20.000001";
    assert_eq!(subject.dump(customers(), &columns).await, [told]);
    // The same through a merge, the columns in another order.
    let order: Vec<usize> = (0..rows.num_columns()).rev().collect();
    let turned = rows.project(&order).unwrap();
    subject.open().apply(batch(vec![(customers(), Change::Merge(turned))])).await.unwrap();
    assert_eq!(subject.dump(customers(), &columns).await, [told]);
}

pub(super) async fn rejects_are_kept_once(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let reject = catalog::Reject {
        table: "customers",
        id: None,
        pointer: "/data/3".to_owned(),
        reason: "has no id".to_owned(),
        raw: "{}".to_owned(),
    };
    for _ in 0..2 {
        let with = Batch { rejects: vec![reject.clone()], ..batch(Vec::new()) };
        assert_eq!(warehouse.apply(with).await.unwrap().rows, 0);
    }
}
