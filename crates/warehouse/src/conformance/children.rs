//! Children come and go as the set of their parent.

use super::rows::{batch, owned, some_invoices, some_lines};
use super::{Subject, invoices, lines, prepared};
use crate::{Batch, Change, Ended, Warehouse};

/// The children of `parents` together with the state of the parents they came with.
pub(super) fn sets(as_of: i64, parents: &[&str], children: &[(&str, &str, i64)]) -> Batch {
    let of_parents: Vec<_> = parents.iter().map(|id| (*id, "cus_1", as_of)).collect();
    let replace = Change::ReplaceChildren { parents: owned(parents), rows: some_lines(children) };
    batch(vec![(invoices(), Change::Merge(some_invoices(&of_parents))), (lines(), replace)])
}

pub(super) async fn children_are_replaced_as_a_set(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let first = [("il_1", "in_1", 1), ("il_2", "in_1", 1), ("il_3", "in_2", 1)];
    warehouse.apply(sets(1, &["in_1", "in_2", "in_3"], &first)).await.unwrap();
    // One line is gone, one is new, one comes from a parent that was not asked about; in_2 has none any more.
    let second = [("il_2", "in_1", 5), ("il_4", "in_1", 5), ("il_5", "in_3", 5)];
    assert_eq!(warehouse.apply(sets(5, &["in_1", "in_2"], &second)).await.unwrap().rows, 4);
    // An older set comes late: also the parent that is known to have none keeps none.
    assert_eq!(warehouse.apply(sets(3, &["in_1", "in_2"], &first)).await.unwrap().rows, 0);
    assert_eq!(warehouse.apply(sets(3, &["in_1"], &[])).await.unwrap().rows, 0);
    let rows = subject.dump(lines(), &["id", "_parent", "_position"]).await;
    assert_eq!(rows, ["il_2|in_1|0", "il_4|in_1|1"]);
}

pub(super) async fn children_without_their_parent_go_by_their_own_time(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let set = |children: &[(&str, &str, i64)]| {
        let rows = some_lines(children);
        batch(vec![(lines(), Change::ReplaceChildren { parents: owned(&["in_1"]), rows })])
    };
    warehouse.apply(set(&[("il_1", "in_1", 5)])).await.unwrap();
    warehouse.apply(set(&[("il_2", "in_1", 3)])).await.unwrap();
    assert_eq!(subject.dump(lines(), &["id"]).await, ["il_1"]);
    subject.open().apply(set(&[("il_3", "in_1", 7)])).await.unwrap();
    assert_eq!(subject.dump(lines(), &["id"]).await, ["il_3"]);
    subject.open().apply(set(&[])).await.unwrap();
    assert_eq!(subject.dump(lines(), &["id"]).await, [""; 0]);
}

pub(super) async fn long_sets_come_in_parts(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let ended =
        |parent: &str, since_micros| Change::EndSets(vec![Ended { parent: parent.to_owned(), since_micros }]);
    let merged = |rows| (lines(), Change::Merge(rows));
    // The same id with two parents is two rows.
    let first = some_lines(&[("l1", "i1", 10), ("l2", "i1", 10), ("l1", "i2", 10)]);
    warehouse.apply(batch(vec![merged(first), (lines(), ended("i1", 10))])).await.unwrap();
    let part = some_lines(&[("l3", "i1", 20)]);
    warehouse.apply(batch(vec![merged(part)])).await.unwrap();
    // Older than what is there: neither it nor its end takes anything away.
    let late = some_lines(&[("l3", "i1", 19)]);
    warehouse.apply(batch(vec![merged(late), (lines(), ended("i2", 10))])).await.unwrap();
    let columns = ["_parent", "id", "_as_of"];
    assert_eq!(subject.dump(lines(), &columns).await.len(), 4);
    let warehouse = subject.open();
    let rest = some_lines(&[("l1", "i1", 21)]);
    warehouse.apply(batch(vec![merged(rest), (lines(), ended("i1", 20))])).await.unwrap();
    assert_eq!(
        subject.dump(lines(), &columns).await,
        [
            "i1|l1|1970-01-01T00:00:00.000021",
            "i1|l3|1970-01-01T00:00:00.000020",
            "i2|l1|1970-01-01T00:00:00.000010"
        ]
    );
}

pub(super) async fn trap_11_a_set_that_comes_late_is_buried_with_its_parent(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let gone = Change::MarkDeleted { ids: owned(&["i1"]), as_of_micros: 20 };
    warehouse.apply(batch(vec![(invoices(), gone)])).await.unwrap();
    let ended = ["i1", "i2"].map(|parent| Ended { parent: parent.to_owned(), since_micros: 19 });
    let late = Change::Merge(some_lines(&[("l1", "i1", 19), ("l2", "i2", 19)]));
    warehouse.apply(batch(vec![(lines(), late), (lines(), Change::EndSets(ended.to_vec()))])).await.unwrap();
    assert_eq!(subject.dump(lines(), &["_parent", "_deleted"]).await, ["i1|true", "i2|false"]);
}

pub(super) async fn sets_end_before_a_mark_of_the_same_batch(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let sets = some_lines(&[("l1", "i1", 10), ("l1", "i2", 10), ("l2", "i1", 9), ("l2", "i2", 9)]);
    warehouse.apply(batch(vec![(lines(), Change::Merge(sets))])).await.unwrap();
    let gone = |parent: &str| (invoices(), Change::MarkDeleted { ids: owned(&[parent]), as_of_micros: 20 });
    let ended = |parent: &str| {
        (lines(), Change::EndSets(vec![Ended { parent: parent.to_owned(), since_micros: 10 }]))
    };
    warehouse.apply(batch(vec![gone("i1"), ended("i1")])).await.unwrap();
    warehouse.apply(batch(vec![ended("i2"), gone("i2")])).await.unwrap();
    assert_eq!(subject.dump(invoices(), &["id", "_deleted"]).await, ["i1|true", "i2|true"]);
    // Where the parent was no tombstone yet, its children are left to a mark of their own.
    let left = ["i1|l1|false", "i2|l1|false"];
    assert_eq!(subject.dump(lines(), &["_parent", "id", "_deleted"]).await, left);
}

pub(super) async fn trap_11_children_of_a_deleted_parent_are_marked(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let lines_held = [("il_1", "in_1", 1), ("il_2", "in_1", 9), ("il_3", "in_2", 1)];
    warehouse.apply(batch(vec![(lines(), Change::Insert(some_lines(&lines_held)))])).await.unwrap();
    let gone = Change::MarkChildrenDeleted { parents: owned(&["in_1", "in_9"]), as_of_micros: 5 };
    assert_eq!(warehouse.apply(batch(vec![(lines(), gone)])).await.unwrap().rows, 1);
    let rows = subject.dump(lines(), &["id", "_deleted"]).await;
    assert_eq!(rows, ["il_1|true", "il_2|false", "il_3|false"]);
}

pub(super) async fn of_two_sets_of_one_parent_in_a_batch_the_later_stays(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    warehouse.apply(sets(1, &["in_1", "in_2"], &[("il_0", "in_1", 1), ("il_9", "in_2", 1)])).await.unwrap();
    let set = |parents: &[&str], children: &[(&str, &str, i64)]| {
        (lines(), Change::ReplaceChildren { parents: owned(parents), rows: some_lines(children) })
    };
    let all = vec![
        set(&["in_1"], &[("il_1", "in_1", 5), ("il_2", "in_1", 5)]),
        // A row of another parent is not stored, whatever the others say of that one.
        set(&["in_3"], &[("il_6", "in_3", 5), ("il_7", "in_2", 5)]),
        set(&["in_1"], &[("il_2", "in_1", 6)]),
        set(&["in_2"], &[("il_8", "in_2", 5)]),
        set(&["in_4"], &[]),
    ];
    warehouse.apply(batch(all)).await.unwrap();
    let rows = subject.dump(lines(), &["id", "_parent"]).await;
    assert_eq!(rows, ["il_2|in_1", "il_6|in_3", "il_8|in_2"]);
}
