//! One round under way: parents are asked side by side for what belongs to them, and what came is stored in the order in
//! which they were asked.

use std::time::Duration;

use futures::stream::{FuturesOrdered, FuturesUnordered, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use warehouse::{Age, Batch, Belonging, Change, Ids, Warehouse, Write};

use crate::{
    SyncError, TableState,
    around::Around,
    change::Changes,
    cycle::Cycle,
    error::unless_stopped,
    line::{Known, Line, Turn},
    round::Round,
    set::Set,
    state::{round_checkpoint, table_checkpoint},
    time::Time,
};

/// Parents whose sets are stored together, at most.
const TOGETHER: usize = 400;
/// Rows that are stored together, about.
const ROWS: usize = 8_192;
/// As long as none was answered, fewer are asked at once: a list that Stripe refuses is refused for each.
const FIRST: usize = 4;
/// What came is stored at least this often.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a round needs of its cycle.
pub(crate) struct FanOut<'a, W> {
    pub(crate) cycle: &'a Cycle<'a, W>,
    pub(crate) changes: &'a Changes<'a, W>,
    pub(crate) around: Around,
    pub(crate) time: &'a Time,
}

/// What a round did so far.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) rows: u64,
    /// Why the last parent that was not answered was not; one that could not be read says more than one that Stripe refuses.
    pub(crate) trouble: Option<SyncError>,
}

impl Done {
    fn note(&mut self, error: Option<SyncError>) {
        let says_less = |error: &SyncError| {
            error.is_unavailable() && self.trouble.as_ref().is_some_and(|held| !held.is_unavailable())
        };
        if let Some(error) = error.filter(|error| !says_less(error)) {
            self.trouble = Some(error);
        }
    }
}

/// How asking ended.
enum Ended {
    /// Everybody was asked.
    Over,
    /// There was no time for the rest.
    BrokenOff,
    /// Too many in a row were asked in vain.
    GivenUp,
}

/// What one parent's list brought.
struct Asked {
    set: Set,
    turn: Turn,
}

impl<W: Warehouse> FanOut<'_, W> {
    /// Asks parent after parent until there is none left, or no time.
    pub(crate) async fn run(&self, round: &mut Round, done: &mut Done) -> Result<TableState, SyncError> {
        let ended = self.ask_all(round, done).await?;
        // Nobody was ever answered: it is about the list, not about a parent (trap 23).
        let is_of_all = !round.answered && !round.was_whole();
        match (ended, done.trouble.take()) {
            (Ended::BrokenOff, trouble) | (Ended::GivenUp, trouble @ None) => {
                done.trouble = trouble;
                Ok(round.state())
            }
            (Ended::GivenUp, Some(error)) => Err(error),
            (_, Some(error)) if is_of_all => Err(error),
            (_, trouble) => {
                done.trouble = trouble.map(|last| self.told(round, last));
                self.finish(round, done.trouble.as_ref()).await
            }
        }
    }

    /// What to say of parents that were not answered: a refusal is of them, not of the table.
    fn told(&self, round: &Round, last: SyncError) -> SyncError {
        if !last.is_unavailable() {
            return last;
        }
        let (table, parents) = (self.around.table().name, self.around.parent.table);
        SyncError::Withheld {
            what: format!("{table} of {} in {parents}", round.owing()),
            why: last.sentence(),
        }
    }

    /// Asks who has to be asked. Asking goes on while what came is stored; it is stored in order, so a
    /// stored round never tells of sets that are not (trap 30).
    ///
    /// Nothing is awaited but all of it together: what has a place in the warehouse's or the budget's line, and is not
    /// polled, keeps everybody behind it from theirs.
    async fn ask_all(&self, round: &mut Round, done: &mut Done) -> Result<Ended, SyncError> {
        let most = self.cycle.engine.options.parents;
        let mut line = Line::of(round);
        let mut known = Known::of(round);
        let mut backlog = self.changes.fetch.stripe.backlog(self.around.list.path);
        let all = self.all_parents(round).await?;
        let mut asking = FuturesOrdered::new();
        let mut came: Vec<Asked> = Vec::new();
        let mut storing = FuturesUnordered::new();
        let mut looking = FuturesUnordered::new();
        // Those that are owed are asked in any case, and then at least one more: every time the round comes further.
        let (mut came_further, mut due, mut is_broken_off) = (false, false, false);
        let mut patience = interval_at(Instant::now() + PATIENCE, PATIENCE);
        patience.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            unless_stopped(&self.cycle.fetch.stop)?;
            is_broken_off |= came_further && self.time.is_up();
            backlog.is(line.len(all));
            let has_room = !is_full(&came) || storing.is_empty();
            while has_room && !is_broken_off && asking.len() < self.width(&known) {
                let Some((parent, turn)) = line.next(&known) else { break };
                asking.push_back(self.ask(parent, turn));
                came_further |= turn == Turn::InOrder;
            }
            if !is_broken_off && line.is_short(TOGETHER) && looking.is_empty() {
                looking.push(self.parents(round.since_micros(), line.looked_up.clone(), most));
            }
            if storing.is_empty() && !came.is_empty() && (is_full(&came) || due || asking.is_empty()) {
                let (batch, before) = self.batch(std::mem::take(&mut came), round, done)?;
                storing.push(self.store(batch, before));
                due = false;
                patience.reset();
            }
            if asking.is_empty() && storing.is_empty() && looking.is_empty() {
                return Ok(match (line.is_over(), is_broken_off) {
                    (true, _) => Ended::Over,
                    (false, true) => Ended::BrokenOff,
                    (false, false) => Ended::GivenUp,
                });
            }
            tokio::select! {
                biased; // what comes first is decided, so that a schedule can be played again
                Some(one) = asking.next() => {
                    let one: Asked = one?;
                    known.heard(one.set.parent(), one.turn, one.set.answered());
                    came.push(one);
                }
                Some(stored) = storing.next() => done.rows += stored?,
                Some(found) = looking.next() => line.extend(found?, most),
                _ = patience.tick() => due = true,
            }
        }
    }

    /// About how many parents there are, where all of them are asked.
    async fn all_parents(&self, round: &Round) -> Result<u64, SyncError> {
        let Some(table) = self.around.parents().filter(|_| round.is_over_all()) else { return Ok(0) };
        Ok(self.changes.warehouse.count(self.changes.schema, table).await?)
    }

    fn width(&self, known: &Known) -> usize {
        if known.answered {
            self.changes.fetch.width(self.around.list.path, self.changes.width)
        } else {
            FIRST.min(self.changes.width)
        }
    }

    async fn ask(&self, parent: String, turn: Turn) -> Result<Asked, SyncError> {
        let set = Set::ask(self.changes, self.around, parent).await?;
        Ok(Asked { set, turn })
    }

    /// What stores sets, and how far the round has come with them; how many rows of them are stored already.
    fn batch(&self, came: Vec<Asked>, round: &mut Round, done: &mut Done) -> Result<(Batch, u64), SyncError> {
        let mut batch = Batch::of(self.changes.schema);
        let (mut before, mut ended) = (0, Vec::new());
        for Asked { set, turn } in came {
            round.heard(set.parent(), turn, set.answered());
            before += set.stored;
            let (whole, error) = set.into_batch(self.around, &mut batch);
            ended.extend(whole);
            done.note(error);
        }
        if !ended.is_empty() {
            batch.writes.push(Write { table: self.around.table(), change: Change::EndSets(ended) });
        }
        self.checkpoint(round, &mut batch)?;
        Ok((batch, before))
    }

    async fn store(&self, batch: Batch, before: u64) -> Result<u64, SyncError> {
        let rows = before + self.changes.warehouse.apply(batch).await?.rows;
        self.cycle.show(self.around.table().name, |shown| shown.rows += rows);
        Ok(rows)
    }

    async fn finish(&self, round: &mut Round, last: Option<&SyncError>) -> Result<TableState, SyncError> {
        let around = self.around;
        let whole_again = round.is_over_all() && round.was_whole();
        if whole_again && !around.resource.is_apart() {
            // What no parent showed is gone, or no parent's any more.
            let belonging = Belonging::To(around.parent.place.name());
            let since_micros = round.began.as_of_micros;
            let again = self.changes.reread_untouched(around.resource, since_micros, None, belonging).await?;
            for (id, error) in again.failed {
                let (table, why) = (around.table().name, error.sentence());
                tracing::warn!(table, id, why, "an object could not be read again; its row stays as it was");
            }
        }
        round.ended();
        let mut batch = Batch::of(self.changes.schema);
        self.checkpoint(round, &mut batch)?;
        self.changes.warehouse.apply(batch).await?;
        let why = last.filter(|last| !last.is_withheld()).map(SyncError::sentence);
        self.cycle.show(around.table().name, |shown| {
            (shown.complete, shown.permille) = (true, Some(1000));
            shown.why = why.or(shown.why.take());
        });
        Ok(round.state())
    }

    fn checkpoint(&self, round: &Round, batch: &mut Batch) -> Result<(), SyncError> {
        let table = self.around.table().name;
        batch.checkpoints.push(round_checkpoint(table, round)?);
        if self.around.resource.is_apart() {
            batch.checkpoints.push(table_checkpoint(table, &round.state())?);
        }
        Ok(())
    }

    /// The next parents after one of them that show a state from then on, no more than `most`.
    pub(crate) async fn parents(
        &self,
        since_micros: Option<i64>,
        after: String,
        most: usize,
    ) -> Result<Vec<String>, SyncError> {
        let Some(table) = self.around.parents() else { return Ok(Vec::new()) };
        let age = since_micros.map_or(Age::Any, Age::Since);
        let prefix = self.around.parent.ids;
        let asked = Ids { age, created_from: None, belonging: Belonging::Any, prefix, after, most };
        Ok(self.changes.warehouse.ids(self.changes.schema, table, asked).await?)
    }
}

/// Whether what came makes a transaction.
fn is_full(came: &[Asked]) -> bool {
    came.len() >= TOGETHER || came.iter().map(|asked| asked.set.rows()).sum::<usize>() >= ROWS
}
