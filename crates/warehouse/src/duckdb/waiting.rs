//! Batches that wait for the writer. Those that are small are stored in one transaction, one after the other: to plan its
//! statements and to commit it costs more than what they do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use ::duckdb::Connection;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::apply::apply;
use super::instance::held;
use crate::{Applied, Batch, WarehouseError};

/// Rows that one transaction takes beside its first batch's.
const MOST_ROWS: usize = 2_048;

type Stored = Result<Applied, WarehouseError>;

/// In the order in which they came.
#[derive(Default)]
pub(super) struct Waiting(Mutex<VecDeque<Asked>>);

struct Asked {
    batch: Batch,
    answer: oneshot::Sender<Stored>,
}

/// A place among those that wait. Dropped, it is given up: what was not stored by then never is.
pub(super) struct Place {
    waiting: Arc<Waiting>,
    stored: oneshot::Receiver<Stored>,
}

impl Waiting {
    /// A place behind all others.
    pub(super) fn add(self: &Arc<Self>, batch: Batch) -> Place {
        let (answer, stored) = oneshot::channel();
        held(&self.0).push_back(Asked { batch, answer });
        Place { waiting: Arc::clone(self), stored }
    }

    /// The first, and those after it that go with it.
    fn next(&self) -> Vec<Asked> {
        let mut queue = held(&self.0);
        // Nobody has the place of those any more.
        queue.retain(|asked| !asked.answer.is_closed());
        let mut next: Vec<Asked> = queue.pop_front().into_iter().collect();
        let mut rows = 0;
        while let Some(asked) = queue.front() {
            rows += asked.batch.rows();
            if rows > MOST_ROWS {
                break;
            }
            next.extend(queue.pop_front());
        }
        next
    }
}

impl Place {
    /// Stores batches until its own was, which may have been before.
    pub(super) fn store(mut self, connection: &Connection) -> Stored {
        loop {
            match self.stored.try_recv() {
                Ok(stored) => return stored,
                Err(TryRecvError::Closed) => return Err(WarehouseError::Stopped),
                Err(TryRecvError::Empty) => store(connection, self.waiting.next()),
            }
        }
    }
}

/// Each batch is stored or refused for itself, whatever the others are.
fn store(connection: &Connection, all: Vec<Asked>) {
    let batches: Vec<&Batch> = all.iter().map(|asked| &asked.batch).collect();
    let stored = match apply(connection, &batches) {
        Ok(applied) => applied.into_iter().map(Ok).collect(),
        Err(error) if batches.len() == 1 => vec![Err(error)],
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                batches = batches.len(),
                "what cannot be stored together is stored one by one"
            );
            batches.iter().map(|batch| alone(connection, batch)).collect::<Vec<Stored>>()
        }
    };
    for (asked, stored) in all.into_iter().zip(stored) {
        // Whoever asked may wait no more.
        let _gone = asked.answer.send(stored);
    }
}

fn alone(connection: &Connection, batch: &Batch) -> Stored {
    Ok(apply(connection, &[batch])?.into_iter().sum())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::conformance::{Subject, batch, customers, name, prepared, some_customers};
    use crate::duckdb::DuckDb;
    use crate::duckdb::tests::{File, idle};
    use crate::{Change, Checkpoint, Warehouse};

    /// What is asked for together while the writer does something else, and so is stored in one transaction.
    pub(crate) async fn while_held<T>(open: &DuckDb, asked: impl AsyncFnOnce() -> T) -> T {
        let (busy, free) = std::sync::mpsc::channel::<()>();
        let held = open.write(move |_| {
            free.recv().unwrap();
            Ok(())
        });
        let let_go = async { busy.send(()).unwrap() };
        let (held, asked, ()) = tokio::join!(held, asked(), let_go);
        held.unwrap();
        asked
    }

    fn bringing(rows: usize) -> Batch {
        let ids: Vec<String> = (0..rows).map(|number| format!("cus_{number}")).collect();
        batch(vec![(customers(), Change::MarkDeleted { ids, as_of_micros: 1 })])
    }

    #[test]
    fn small_batches_go_with_the_one_before_them() {
        let waiting = Arc::<Waiting>::default();
        let large = MOST_ROWS * 4;
        let _places: Vec<Place> =
            [large, 0, 1, MOST_ROWS - 1, 1, large].map(|rows| waiting.add(bringing(rows))).into();
        let taken: Vec<usize> = std::iter::repeat_with(|| waiting.next().len()).take(4).collect();
        assert_eq!(taken, [4, 1, 1, 0]);
    }

    #[test]
    fn who_gives_up_his_place_is_forgotten() {
        let waiting = Arc::<Waiting>::default();
        let places: [Place; 3] = [1, 2, 3].map(|rows| waiting.add(bringing(rows)));
        let [_first, second, _third] = places;
        drop(second);
        let left: Vec<usize> = waiting.next().iter().map(|asked| asked.batch.rows()).collect();
        assert_eq!(left, [1, 3]);
    }

    #[tokio::test]
    async fn one_transaction_stores_what_waits() {
        let mut file = File::new();
        let open = prepared(&mut file).await;
        let store = |number: i64| {
            let row = Change::Merge(some_customers(&[("cus_1", number, number)]));
            let mut batch = batch(vec![(customers(), row)]);
            batch.checkpoints = vec![Checkpoint { key: "k".to_owned(), value: Some(json!(number)) }];
            open.apply(batch)
        };
        let transaction = "SELECT txid_current()";
        let now = async || -> i64 {
            let now = |connection: &Connection| {
                Ok(connection.query_row(transaction, [], |row| row.get(0)).unwrap())
            };
            open.write(now).await.unwrap()
        };
        store(1).await.unwrap();
        idle(open).await; // The table is described.
        let before = now().await;
        store(2).await.unwrap();
        let alone = now().await;
        let (one, two, three) = while_held(open, async || tokio::join!(store(3), store(4), store(5))).await;
        assert_eq!([one, two, three].map(|applied| applied.unwrap().rows), [1, 1, 1]);
        assert_eq!(now().await - alone, alone - before, "as many transactions as for one");
        assert_eq!(open.checkpoints(&name()).await.unwrap()[0].value, Some(json!(5)));
        assert_eq!(file.dump(customers(), &["id", "balance"]).await, ["cus_1|5"]);
    }

    #[tokio::test]
    async fn one_that_is_refused_at_its_end_harms_no_other() {
        let mut file = File::new();
        let open = prepared(&mut file).await;
        let inserted = |id: &str| (customers(), Change::Insert(some_customers(&[(id, 1, 1)])));
        let nowhere = catalog::resource("charges").unwrap().table;
        let fails = (nowhere, Change::MarkDeleted { ids: vec!["ch_1".to_owned()], as_of_micros: 1 });
        let (first, refused, last) = while_held(open, async || {
            tokio::join!(
                open.apply(batch(vec![inserted("cus_1")])),
                open.apply(batch(vec![inserted("cus_2"), fails])),
                open.apply(batch(vec![inserted("cus_3")])),
            )
        })
        .await;
        assert_eq!((first.unwrap().rows, last.unwrap().rows), (1, 1));
        refused.unwrap_err();
        assert_eq!(file.dump(customers(), &["id"]).await, ["cus_1", "cus_3"]);
    }
}
