//! Histories of one object in any order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rows::{batch, some_customers};
use super::{Subject, children::sets, customers, lines, prepared};
use crate::{Batch, Change, Warehouse};

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
