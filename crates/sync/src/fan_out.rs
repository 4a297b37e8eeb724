//! One round under way: parents are asked side by side for what belongs to them, and what came is stored in the order in
//! which they were asked.

use std::time::Duration;

use futures::stream::{FuturesOrdered, FuturesUnordered, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use warehouse::{Age, Batch, Belonging, Change, Ids, Warehouse, Write};

use crate::{
    SyncError, TableState,
    change::Changes,
    cycle::Cycle,
    error::unless_stopped,
    line::{Known, Line},
    round::{Around, Round},
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
    /// Why the last parent that was not answered was not.
    pub(crate) trouble: Option<SyncError>,
}

/// What one parent's list brought.
struct Asked {
    set: Set,
    /// It was its turn in the order of ids: the round has come so far with it.
    in_order: bool,
}

impl<W: Warehouse> FanOut<'_, W> {
    /// Asks parent after parent until there is none left, or no time.
    pub(crate) async fn run(&self, round: &mut Round, done: &mut Done) -> Result<TableState, SyncError> {
        let is_broken_off = self.ask_all(round, done).await?;
        if is_broken_off {
            return Ok(round.state());
        }
        match done.trouble.take() {
            // Nobody answered: it is about the list, not about a parent (trap 23).
            Some(error) if !round.answered => Err(error),
            Some(error) if round.owes_too_much() => Err(error),
            last => {
                let state = self.finish(round, last.as_ref()).await?;
                done.trouble = last.filter(|error| !error.is_unavailable());
                Ok(state)
            }
        }
    }

    /// Whether there was no time for the rest. Asking goes on while what came is stored; it is stored in order, so a
    /// stored round never tells of sets that are not (trap 30).
    ///
    /// Nothing is awaited but all of it together: what has a place in the warehouse's or the budget's line, and is not
    /// polled, keeps everybody behind it from theirs.
    async fn ask_all(&self, round: &mut Round, done: &mut Done) -> Result<bool, SyncError> {
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
                let Some((parent, in_order)) = line.next(&known) else { break };
                asking.push_back(self.ask(parent, in_order));
                came_further |= in_order;
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
                return Ok(is_broken_off && !line.is_over());
            }
            tokio::select! {
                biased; // what comes first is decided, so that a schedule can be played again
                Some(one) = asking.next() => {
                    let one: Asked = one?;
                    known.heard(&one.set);
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

    async fn ask(&self, parent: String, in_order: bool) -> Result<Asked, SyncError> {
        let set = Set::ask(self.changes, self.around, parent).await?;
        Ok(Asked { set, in_order })
    }

    /// What stores sets, and how far the round has come with them; how many rows of them are stored already.
    fn batch(&self, came: Vec<Asked>, round: &mut Round, done: &mut Done) -> Result<(Batch, u64), SyncError> {
        let mut batch = Batch::of(self.changes.schema);
        let (mut before, mut ended) = (0, Vec::new());
        for Asked { mut set, in_order } in came {
            if in_order {
                set.parent().clone_into(&mut round.after);
                round.asked += 1;
            }
            match set.failure() {
                Some((parent, error)) => {
                    round.owed.insert(parent);
                    done.trouble = Some(error);
                }
                None => {
                    round.owed.remove(set.parent());
                    round.answered = true;
                }
            }
            before += set.stored;
            ended.extend(set.into_batch(self.around, &mut batch));
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
        let (parents, owed) = (around.parent.table, round.owed.len());
        let why =
            last.map(|last| format!("{owed} of {parents} did not answer. The last: {}", last.sentence()));
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
