//! Whatever is stored in whatever company, `DuckDb` holds what [`Memory`] holds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::File;
use crate::conformance::{
    Subject, batch, customers, invoices, lines, name, prepared, some_customers, some_invoices, some_lines,
    told,
};
use crate::{Batch, Change, Ended, Memory, Warehouse};

/// A change, of few objects and few times.
#[derive(Debug, Clone)]
enum Step {
    Customers(Vec<(u8, i64, i64)>),
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
    let step = prop_oneof![
        3 => prop::collection::vec((id.clone(), 0_i64..100, time.clone()), 0..6).prop_map(Step::Customers),
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

fn these_customers(of: &[(u8, i64, i64)]) -> arrow_array::RecordBatch {
    let ids = named("cus", of.iter().map(|(id, ..)| *id));
    let rows: Vec<(&str, i64, i64)> =
        ids.iter().zip(of).map(|(id, (_, balance, at))| (id.as_str(), *balance, *at)).collect();
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

async fn agree(steps: Vec<Vec<Step>>) {
    let (mut file, memory) = (File::new(), Memory::new());
    memory.prepare(&name(), vec![customers(), invoices(), lines()]).await.unwrap();
    for step in &steps {
        // Of a row that comes several times at once, one counts each of them and the other the last.
        memory.apply(stored(step)).await.unwrap();
        prepared(&mut file).await.apply(stored(step)).await.unwrap();
    }
    let columns: [(_, &[&str]); 3] = [
        (customers(), &["id", "balance", "_as_of", "_deleted"]),
        (invoices(), &["id", "customer", "_as_of", "_deleted"]),
        (lines(), &["_parent", "id", "_as_of", "_deleted"]),
    ];
    for (table, columns) in columns {
        let rows = memory.rows(&name(), table);
        let order: Vec<usize> = columns.iter().map(|name| rows.schema().index_of(name).unwrap()).collect();
        let mut held = told(&rows.project(&order).unwrap());
        held.sort();
        assert_eq!(file.dump(table, columns).await, held, "{}", table.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn duckdb_holds_what_memory_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agree(steps));
    }
}
