//! What every warehouse must do, told as stories and run for each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, Schema};
use catalog::Table;
use proptest::prelude::*;
use serde_json::json;

use crate::{
    Age, Batch, Belonging, Change, Checkpoint, Ended, Ids, SchemaName, Warehouse, WarehouseError, Write,
};

/// A warehouse under test.
pub(crate) trait Subject {
    type Warehouse: Warehouse;
    /// The same store each time, opened again if it was shut.
    fn open(&mut self) -> &Self::Warehouse;
    /// Shuts it; nothing is told to it first.
    fn shut(&mut self);
    /// Columns of all rows, by the first column.
    async fn dump(&mut self, table: &Table, columns: &[&str]) -> Vec<String>;
}

/// Runs every story, each on a new warehouse.
pub(crate) async fn all<S: Subject>(new: impl Fn() -> S) {
    rows_and_checkpoints_come_together(new()).await;
    trap_30_checkpoint_commits_with_its_rows(new()).await;
    batches_that_come_at_once_are_stored_one_after_the_other(new()).await;
    trap_15_newest_state_wins_in_any_order(new()).await;
    trap_11_deleted_rows_are_marked_not_blanked(new()).await;
    children_are_replaced_as_a_set(new()).await;
    children_without_their_parent_go_by_their_own_time(new()).await;
    long_sets_come_in_parts(new()).await;
    trap_11_a_set_that_comes_late_is_buried_with_its_parent(new()).await;
    sets_end_before_a_mark_of_the_same_batch(new()).await;
    sealing_makes_ids_unique(new()).await;
    names_what_is_missing(new()).await;
    tells_old_states_from_new(new()).await;
    trap_11_children_of_a_deleted_parent_are_marked(new()).await;
    what_is_gone_at_different_times_is_marked_each_with_its_own(new()).await;
    of_two_sets_of_one_parent_in_a_batch_the_later_stays(new()).await;
    every_type_comes_back(new()).await;
    rejects_are_kept_once(new()).await;
}

pub(crate) fn name() -> SchemaName {
    SchemaName::new("acct_1").unwrap()
}

pub(crate) fn customers() -> &'static Table {
    catalog::resource("customers").unwrap().table
}

pub(crate) fn invoices() -> &'static Table {
    catalog::resource("invoices").unwrap().table
}

pub(crate) fn lines() -> &'static Table {
    let children = &catalog::resource("invoices").unwrap().children;
    children.iter().find(|child| child.table.name == "invoice_line_items").unwrap().table
}

pub(crate) async fn prepared<S: Subject>(subject: &mut S) -> &S::Warehouse {
    let warehouse = subject.open();
    warehouse.prepare(&name(), vec![customers(), invoices(), lines()]).await.unwrap();
    warehouse
}

/// A value of a row that is built by hand.
#[derive(Clone)]
pub(crate) enum Cell {
    Text(String),
    Whole(i64),
    Truth(bool),
}

type Cells = BTreeMap<&'static str, Cell>;

/// Rows with the table's columns; null where `cells` says nothing.
pub(crate) fn batch_of(table: &Table, rows: &[Cells]) -> RecordBatch {
    let fields: Vec<Field> =
        catalog::schema(table).fields().iter().map(|f| Field::clone(f).with_nullable(true)).collect();
    let columns = fields.iter().map(|field| column(field, rows)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "rows have five types; of the fifth only nulls are built")]
fn column(field: &Field, rows: &[Cells]) -> ArrayRef {
    let cells = rows.iter().map(|row| row.get(field.name().as_str()));
    let whole = |cell: Option<&Cell>| if let Some(Cell::Whole(n)) = cell { Some(*n) } else { None };
    let truth = |cell: Option<&Cell>| if let Some(Cell::Truth(b)) = cell { Some(*b) } else { None };
    let text = |cell: Option<&Cell>| if let Some(Cell::Text(t)) = cell { Some(t.clone()) } else { None };
    match field.data_type() {
        DataType::Utf8 => Arc::new(cells.map(text).collect::<StringArray>()),
        DataType::Int64 => Arc::new(cells.map(whole).collect::<Int64Array>()),
        DataType::Boolean => Arc::new(cells.map(truth).collect::<BooleanArray>()),
        DataType::Timestamp(..) => Arc::new(cells.map(whole).collect::<TimestampMicrosecondArray>()),
        other => new_null_array(other, rows.len()),
    }
}

fn row(id: &str, as_of: i64) -> Cells {
    let id = Cell::Text(id.to_owned());
    Cells::from([("id", id), ("_as_of", Cell::Whole(as_of)), ("_deleted", Cell::Truth(false))])
}

/// Customers `(id, balance, as of)`.
pub(crate) fn some_customers(of: &[(&str, i64, i64)]) -> RecordBatch {
    let rows: Vec<Cells> = of
        .iter()
        .map(|(id, balance, as_of)| {
            let mut row = row(id, *as_of);
            row.insert("balance", Cell::Whole(*balance));
            row
        })
        .collect();
    batch_of(customers(), &rows)
}

/// Invoices `(id, customer, as of)`.
pub(crate) fn some_invoices(of: &[(&str, &str, i64)]) -> RecordBatch {
    let rows: Vec<Cells> = of
        .iter()
        .map(|(id, customer, as_of)| {
            let mut row = row(id, *as_of);
            row.insert("customer", Cell::Text((*customer).to_owned()));
            row
        })
        .collect();
    batch_of(invoices(), &rows)
}

/// Lines `(id, parent, as of)`.
pub(crate) fn some_lines(of: &[(&str, &str, i64)]) -> RecordBatch {
    let rows: Vec<Cells> = of
        .iter()
        .zip(0..)
        .map(|((id, parent, as_of), position)| {
            let mut row = row(id, *as_of);
            row.insert("_parent", Cell::Text((*parent).to_owned()));
            row.insert("_position", Cell::Whole(position));
            row
        })
        .collect();
    batch_of(lines(), &rows)
}

pub(crate) fn batch(writes: Vec<(&'static Table, Change)>) -> Batch {
    let writes = writes.into_iter().map(|(table, change)| Write { table, change }).collect();
    Batch { schema: name(), writes, checkpoints: Vec::new(), rejects: Vec::new() }
}

fn at(key: &str, value: Option<serde_json::Value>) -> Checkpoint {
    Checkpoint { key: key.to_owned(), value }
}

fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// A table as text, a line for each row: what tests compare.
pub(crate) fn told(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("-");
    let formatters: Vec<_> =
        batch.columns().iter().filter_map(|column| ArrayFormatter::try_new(column, &options).ok()).collect();
    let line =
        |row| formatters.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(line).collect()
}

async fn rows_and_checkpoints_come_together(mut subject: impl Subject) {
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
async fn trap_30_checkpoint_commits_with_its_rows(mut subject: impl Subject) {
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

async fn batches_that_come_at_once_are_stored_one_after_the_other(mut subject: impl Subject) {
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

async fn trap_15_newest_state_wins_in_any_order(mut subject: impl Subject) {
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

async fn trap_11_deleted_rows_are_marked_not_blanked(mut subject: impl Subject) {
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

/// The children of `parents` together with the state of the parents they came with.
fn sets(as_of: i64, parents: &[&str], children: &[(&str, &str, i64)]) -> Batch {
    let of_parents: Vec<_> = parents.iter().map(|id| (*id, "cus_1", as_of)).collect();
    let replace = Change::ReplaceChildren { parents: owned(parents), rows: some_lines(children) };
    batch(vec![(invoices(), Change::Merge(some_invoices(&of_parents))), (lines(), replace)])
}

async fn children_are_replaced_as_a_set(mut subject: impl Subject) {
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

async fn children_without_their_parent_go_by_their_own_time(mut subject: impl Subject) {
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

async fn long_sets_come_in_parts(mut subject: impl Subject) {
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

async fn trap_11_a_set_that_comes_late_is_buried_with_its_parent(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let gone = Change::MarkDeleted { ids: owned(&["i1"]), as_of_micros: 20 };
    warehouse.apply(batch(vec![(invoices(), gone)])).await.unwrap();
    let ended = ["i1", "i2"].map(|parent| Ended { parent: parent.to_owned(), since_micros: 19 });
    let late = Change::Merge(some_lines(&[("l1", "i1", 19), ("l2", "i2", 19)]));
    warehouse.apply(batch(vec![(lines(), late), (lines(), Change::EndSets(ended.to_vec()))])).await.unwrap();
    assert_eq!(subject.dump(lines(), &["_parent", "_deleted"]).await, ["i1|true", "i2|false"]);
}

async fn sets_end_before_a_mark_of_the_same_batch(mut subject: impl Subject) {
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

async fn sealing_makes_ids_unique(mut subject: impl Subject) {
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

async fn names_what_is_missing(mut subject: impl Subject) {
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

async fn tells_old_states_from_new(mut subject: impl Subject) {
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

async fn trap_11_children_of_a_deleted_parent_are_marked(mut subject: impl Subject) {
    let warehouse = prepared(&mut subject).await;
    let lines_held = [("il_1", "in_1", 1), ("il_2", "in_1", 9), ("il_3", "in_2", 1)];
    warehouse.apply(batch(vec![(lines(), Change::Insert(some_lines(&lines_held)))])).await.unwrap();
    let gone = Change::MarkChildrenDeleted { parents: owned(&["in_1", "in_9"]), as_of_micros: 5 };
    assert_eq!(warehouse.apply(batch(vec![(lines(), gone)])).await.unwrap().rows, 1);
    let rows = subject.dump(lines(), &["id", "_deleted"]).await;
    assert_eq!(rows, ["il_1|true", "il_2|false", "il_3|false"]);
}

async fn what_is_gone_at_different_times_is_marked_each_with_its_own(mut subject: impl Subject) {
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

async fn of_two_sets_of_one_parent_in_a_batch_the_later_stays(mut subject: impl Subject) {
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

async fn every_type_comes_back(mut subject: impl Subject) {
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

async fn rejects_are_kept_once(mut subject: impl Subject) {
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

/// What may happen to a customer or an invoice, at a time of its own.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Seen { id: u8, balance: i64 },
    Gone { id: u8 },
    Lines { parent: u8, children: Vec<u8> },
}

/// Events in the order of their times, and an order in which they arrive.
pub(crate) fn histories() -> impl Strategy<Value = (Vec<Event>, Vec<usize>)> {
    let event = prop_oneof![
        (0_u8..3, 0_i64..100).prop_map(|(id, balance)| Event::Seen { id, balance }),
        (0_u8..3).prop_map(|id| Event::Gone { id }),
        (0_u8..2, prop::collection::vec(0_u8..4, 0..3))
            .prop_map(|(parent, children)| Event::Lines { parent, children }),
    ];
    prop::collection::vec(event, 1..10).prop_flat_map(|events| {
        let order: Vec<usize> = (0..events.len()).collect();
        (Just(events), Just(order).prop_shuffle())
    })
}

/// Whatever the order of arrival, the end is that of the newest events.
pub(crate) async fn newest_wins<S: Subject>(mut subject: S, events: Vec<Event>, order: Vec<usize>) {
    let warehouse = prepared(&mut subject).await;
    for index in order {
        warehouse.apply(story(&events[index], i64::try_from(index).unwrap())).await.unwrap();
    }
    let (mut live, mut children) = (BTreeMap::new(), BTreeMap::new());
    for event in &events {
        match event {
            Event::Seen { id, balance } => drop(live.insert(*id, Some(*balance))),
            Event::Gone { id } => drop(live.insert(*id, None)),
            Event::Lines { parent, children: lines } => drop(children.insert(*parent, lines.clone())),
        }
    }
    let expected: Vec<String> =
        live.iter().map(|(id, state)| format!("cus_{id}|{}", state.is_none())).collect();
    assert_eq!(subject.dump(customers(), &["id", "_deleted"]).await, expected);
    let balances: Vec<String> = live
        .iter()
        .filter_map(|(id, state)| state.map(|balance| format!("cus_{id}|{balance}|false")))
        .collect();
    let mut rows = subject.dump(customers(), &["id", "balance", "_deleted"]).await;
    rows.retain(|row| row.ends_with("|false"));
    assert_eq!(rows, balances);
    let mut lines_of: Vec<String> = children
        .iter()
        .flat_map(|(parent, lines)| lines.iter().map(move |line| format!("il_{line}|in_{parent}")))
        .collect();
    lines_of.sort();
    lines_of.dedup(); // an id is there once within its parent, though its set showed it twice
    assert_eq!(subject.dump(lines(), &["id", "_parent"]).await, lines_of);
}

fn story(event: &Event, as_of: i64) -> Batch {
    match event {
        Event::Seen { id, balance } => {
            let rows = some_customers(&[(&format!("cus_{id}"), *balance, as_of)]);
            batch(vec![(customers(), Change::Merge(rows))])
        }
        Event::Gone { id } => {
            let ids = vec![format!("cus_{id}")];
            batch(vec![(customers(), Change::MarkDeleted { ids, as_of_micros: as_of })])
        }
        Event::Lines { parent, children } => {
            let parent = format!("in_{parent}");
            let ids: Vec<String> = children.iter().map(|id| format!("il_{id}")).collect();
            let rows: Vec<(&str, &str, i64)> =
                ids.iter().map(|id| (id.as_str(), parent.as_str(), as_of)).collect();
            sets(as_of, &[&parent], &rows)
        }
    }
}
