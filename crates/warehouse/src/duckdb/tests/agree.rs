//! Whatever is stored in whatever company, `DuckDb` holds what [`Memory`] holds.

use std::collections::BTreeSet;

use catalog::Table;
use futures::future::join_all;
use proptest::prelude::*;
use serde_json::json;

use super::File;
use crate::conformance::{
    Subject, batch, customers, invoices, lines, name, some_customers, some_invoices, some_lines, told,
};
use crate::duckdb::waiting::tests::while_held;
use crate::duckdb::{DuckDb, sql};
use crate::{Age, Batch, Belonging, Change, Checkpoint, Ended, Ids, Memory, SchemaName, Warehouse};

/// A change, of few objects and few times.
#[derive(Debug, Clone)]
enum Step {
    Inserted(Vec<(u8, i64)>),
    LinesInserted(Vec<(u8, u8, i64)>),
    Customers(Vec<(u8, i64)>),
    Invoices(Vec<(u8, i64)>),
    Lines(Vec<(u8, u8, i64)>),
    Sets { parents: BTreeSet<u8>, lines: Vec<(u8, u8, i64)> },
    Ended(Vec<(u8, i64)>),
    CustomersGone { ids: Vec<u8>, at: i64 },
    InvoicesGone { ids: Vec<u8>, at: i64 },
    LinesGone { parents: Vec<u8>, at: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let (id, time) = (0_u8..4, 1_i64..7);
    let some = |ids| prop::collection::vec(ids, 0..4);
    let line = || (0_u8..3, 0_u8..3, 1_i64..7);
    // What is there twice, as events are, is never marked as deleted: of its rows both would be as old.
    let customer = |ids| (ids, 1_i64..7);
    let step = prop_oneof![
        1 => prop::collection::vec(customer(4_u8..7), 0..4).prop_map(Step::Inserted),
        1 => prop::collection::vec(line(), 0..4).prop_map(Step::LinesInserted),
        3 => prop::collection::vec(customer(0_u8..7), 0..6).prop_map(Step::Customers),
        2 => prop::collection::vec((id.clone(), time.clone()), 0..4).prop_map(Step::Invoices),
        2 => prop::collection::vec(line(), 0..6).prop_map(Step::Lines),
        3 => (prop::collection::btree_set(0_u8..3, 0..3), prop::collection::vec(line(), 0..6))
            .prop_map(|(parents, lines)| Step::Sets { parents, lines }),
        1 => prop::collection::vec((0_u8..3, 0_i64..7), 0..3).prop_map(Step::Ended),
        1 => (some(0_u8..4), time.clone()).prop_map(|(ids, at)| Step::CustomersGone { ids, at }),
        1 => (some(0_u8..4), time.clone()).prop_map(|(ids, at)| Step::InvoicesGone { ids, at }),
        1 => (some(0_u8..4), time).prop_map(|(parents, at)| Step::LinesGone { parents, at }),
    ];
    prop::collection::vec(prop::collection::vec(step, 1..5), 1..8)
}

fn named(prefix: &str, of: impl IntoIterator<Item = u8>) -> Vec<String> {
    of.into_iter().map(|number| format!("{prefix}_{number}")).collect()
}

fn these_lines(of: &[(u8, u8, i64)]) -> arrow_array::RecordBatch {
    let names: Vec<(String, String, i64)> =
        of.iter().map(|(id, parent, at)| (format!("il_{id}"), format!("in_{parent}"), *at)).collect();
    let names: Vec<(&str, &str, i64)> =
        names.iter().map(|(id, parent, at)| (id.as_str(), parent.as_str(), *at)).collect();
    some_lines(&names)
}

/// What is as old says the same: of an insert and a merge in one batch nobody is the later.
fn these_customers(of: &[(u8, i64)]) -> arrow_array::RecordBatch {
    let ids = named("cus", of.iter().map(|(id, _)| *id));
    let rows: Vec<(&str, i64, i64)> =
        ids.iter().zip(of).map(|(id, (_, at))| (id.as_str(), *at, *at)).collect();
    some_customers(&rows)
}

fn these_invoices(of: &[(u8, i64)]) -> arrow_array::RecordBatch {
    let ids = named("in", of.iter().map(|(id, _)| *id));
    let rows: Vec<(&str, &str, i64)> =
        ids.iter().zip(of).map(|(id, (_, at))| (id.as_str(), "cus_1", *at)).collect();
    some_invoices(&rows)
}

fn stored(steps: &[Step]) -> Batch {
    let writes = steps.iter().cloned().map(|step| match step {
        Step::Inserted(of) => (customers(), Change::Insert(these_customers(&of))),
        Step::LinesInserted(of) => (lines(), Change::Insert(these_lines(&of))),
        Step::Customers(of) => (customers(), Change::Merge(these_customers(&of))),
        Step::Invoices(of) => (invoices(), Change::Merge(these_invoices(&of))),
        Step::Lines(of) => (lines(), Change::Merge(these_lines(&of))),
        Step::Sets { parents, lines: of } => {
            (lines(), Change::ReplaceChildren { parents: named("in", parents), rows: these_lines(&of) })
        }
        Step::Ended(of) => {
            let ended = |(parent, since_micros)| Ended { parent: format!("in_{parent}"), since_micros };
            (lines(), Change::EndSets(of.into_iter().map(ended).collect()))
        }
        Step::CustomersGone { ids, at } => {
            (customers(), Change::MarkDeleted { ids: named("cus", ids), as_of_micros: at })
        }
        Step::InvoicesGone { ids, at } => {
            (invoices(), Change::MarkDeleted { ids: named("in", ids), as_of_micros: at })
        }
        Step::LinesGone { parents, at } => {
            (lines(), Change::MarkChildrenDeleted { parents: named("in", parents), as_of_micros: at })
        }
    });
    batch(writes.collect())
}

/// Each batch sets a key of its own, and one that all set.
fn numbered(steps: &[Step], number: usize) -> Batch {
    let checkpoint = |key: String| Checkpoint { key, value: Some(json!(number)) };
    let checkpoints = vec![checkpoint("last".to_owned()), checkpoint(format!("batch/{number}"))];
    Batch { checkpoints, ..stored(steps) }
}

/// Batches are given to `DuckDb` three at a time, the middle one for another schema; then ids are made unique.
async fn agree(steps: Vec<Vec<Step>>) {
    let (mut file, memory) = (File::new(), Memory::new());
    let (other, tables) = (SchemaName::new("acct_2").unwrap(), [customers(), invoices(), lines()]);
    let open = file.open();
    for schema in [name(), other.clone()] {
        memory.prepare(&schema, tables.to_vec()).await.unwrap();
        open.prepare(&schema, tables.to_vec()).await.unwrap();
    }
    let batch = |(number, steps): (usize, &Vec<Step>)| {
        let schema = if number % 3 == 1 { other.clone() } else { name() };
        Batch { schema, ..numbered(steps, number) }
    };
    let batches: Vec<Batch> = steps.iter().enumerate().map(batch).collect();
    for some in batches.chunks(3) {
        for batch in some {
            memory.apply(batch.clone()).await.unwrap();
        }
        let stored =
            while_held(open, async || join_all(some.iter().map(|batch| open.apply(batch.clone()))).await);
        assert!(stored.await.iter().all(Result::is_ok));
    }
    for (schema, table) in
        [name(), other.clone()].iter().flat_map(|schema| tables.map(|table| (schema, table)))
    {
        memory.seal(schema, table).await.unwrap();
        open.seal(schema, table).await.unwrap();
        questions(open, &memory, schema, table).await;
        let columns = match table.name {
            "customers" => "id, balance, _as_of, _deleted",
            "invoices" => "id, customer, _as_of, _deleted",
            _ => "id, _as_of, _deleted",
        };
        let columns =
            if catalog::is_child(table) { format!("_parent, {columns}") } else { columns.to_owned() };
        let text = format!("SELECT {columns} FROM {}", sql::name(schema, table));
        let rows = memory.rows(schema, table);
        let order: Vec<usize> =
            columns.split(", ").map(|name| rows.schema().index_of(name).unwrap()).collect();
        let mut held = told(&rows.project(&order).unwrap());
        let answer = open.reader().unwrap().query_arrow(&text, vec![]).await.unwrap();
        let mut stored: Vec<String> = answer.batches.iter().flat_map(told).collect();
        held.sort();
        stored.sort();
        assert_eq!(stored, held, "{schema} {}", table.name);
    }
}

/// What is asked of both.
async fn questions(open: &DuckDb, memory: &Memory, schema: &SchemaName, table: &'static Table) {
    let checkpoints = (open.checkpoints(schema).await.unwrap(), memory.checkpoints(schema).await.unwrap());
    assert_eq!(checkpoints.0, checkpoints.1);
    for at in [0, 3, 6] {
        let asked = |age| Ids {
            age,
            created_from: None,
            belonging: Belonging::Any,
            prefix: "",
            after: String::new(),
            most: 9,
        };
        for age in [Age::Any, Age::Before(at), Age::Since(at)] {
            let held = memory.ids(schema, table, asked(age)).await.unwrap();
            assert_eq!(open.ids(schema, table, asked(age)).await.unwrap(), held, "{} {age:?}", table.name);
        }
    }
    let newest = memory.newest(schema, vec![table]).await.unwrap();
    assert_eq!(open.newest(schema, vec![table]).await.unwrap(), newest);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn duckdb_holds_what_memory_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agree(steps));
    }
}
