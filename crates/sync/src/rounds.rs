//! Rounds over parents whose objects are listed only one parent at a time (traps 8 and 9): each parent whose row changed
//! since the last round is asked for its own.
//!
//! What is due stands in the warehouse itself: a parent that was listed, named by an event or read again has a newer
//! `_as_of` than the round before began. So nothing has to be remembered between the two, whatever happens in between.

use std::{collections::BTreeMap, time::Duration};

use catalog::{List, Parent, Resource};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use warehouse::{Age, Batch, Belonging, Ids, Warehouse};

use crate::{
    Began, SyncError, TableReport, TableState, Walks,
    change::Changes,
    cycle::Cycle,
    error::unless_stopped,
    set::{Answered, Set},
    state::{round_checkpoint, table_checkpoint},
};

/// Parents whose sets are stored together.
const TOGETHER: usize = 32;
/// As long as none was answered, fewer: a list that Stripe refuses is refused for each.
const FIRST: usize = 4;

/// One round over the parents of a table, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Only parents whose rows show a state from then on; none for all.
    since_micros: Option<i64>,
    /// When it began: what changed from then on is the next round's.
    began: Began,
    /// The last parent whose set is stored.
    after: String,
    /// Every parent was asked.
    over: bool,
    /// When the last round over all parents began that came to its end, by Stripe's clock.
    whole_micros: Option<i64>,
}

impl Round {
    /// The round to go now: the one that was broken off, or a new one, over all parents when that is due.
    fn next(held: Option<&Self>, now: Began, whole_every: Duration) -> Self {
        let Some(held) = held else { return Self::new(None, now, None) };
        if !held.over {
            return held.clone();
        }
        let every = i64::try_from(whole_every.as_micros()).unwrap_or(i64::MAX);
        let whole = held.whole_micros.is_none_or(|last| now.dated_micros.saturating_sub(last) >= every);
        Self::new(Some(held.began.as_of_micros).filter(|_| !whole), now, held.whole_micros)
    }

    fn new(since_micros: Option<i64>, began: Began, whole_micros: Option<i64>) -> Self {
        Self { since_micros, began, after: String::new(), over: false, whole_micros }
    }

    fn ended(&mut self) {
        self.over = true;
        self.after.clear();
        self.whole_micros = self.since_micros.map_or(Some(self.began.dated_micros), |_| self.whole_micros);
    }

    /// The next one is to go over all parents.
    pub(crate) fn begin_anew(&mut self) {
        self.over = true;
        self.whole_micros = self.whole_micros.map(|_| i64::MIN);
    }

    /// Whether every parent was asked at least once.
    pub(crate) fn was_whole(&self) -> bool {
        self.whole_micros.is_some()
    }

    /// Where a table stands whose rows all come from rounds.
    fn state(&self) -> TableState {
        if !self.was_whole() {
            return TableState::Copying { frontier: None, began: Some(self.began) };
        }
        let walks = Walks { whole_micros: self.whole_micros, recent_micros: Some(self.began.dated_micros) };
        TableState::Live { frontier: None, walks }
    }
}

/// A table whose list must be asked parent by parent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around {
    pub(crate) resource: &'static Resource,
    pub(crate) list: &'static List,
    parent: Parent,
}

/// All of them: those that have no other list, and those that show more of a table that has its own.
fn all() -> impl Iterator<Item = Around> {
    catalog::resources().iter().filter_map(|&resource| {
        let list = if resource.is_apart() { resource.list } else { resource.also? };
        Some(Around { resource, list, parent: list.parent? })
    })
}

/// Whether the parents are all there.
enum Parents {
    Live,
    Unavailable { why: String },
    NotYet,
}

/// How a round went.
struct Went {
    around: Around,
    round: Round,
    rows: u64,
    outcome: Result<TableState, SyncError>,
}

impl Went {
    /// There was no time for the rest.
    fn was_broken_off(&self) -> bool {
        matches!(self.outcome, Ok(TableState::Copying { .. } | TableState::Live { .. })) && !self.round.over
    }
}

/// The rounds of one cycle.
pub(crate) struct Rounds<'a, W> {
    pub(crate) cycle: &'a Cycle<'a, W>,
    pub(crate) changes: Changes<'a, W>,
    /// Rounds are broken off then, so that changes of other tables do not wait for hours.
    pub(crate) until: Instant,
}

impl<W: Warehouse> Rounds<'_, W> {
    /// Goes every round that can go, side by side; whether all came to their end.
    ///
    /// # Errors
    /// What concerns all tables; what concerns one is in its report.
    pub(crate) async fn run(
        &self,
        held: &mut BTreeMap<String, Round>,
        tables: &mut Vec<TableReport>,
    ) -> Result<bool, SyncError> {
        let going: Vec<_> = all()
            .map(|around| {
                self.round(around, parents(around, tables), held.get(around.resource.table.name).cloned())
            })
            .collect();
        let width = self.cycle.engine.options.tables;
        let went: Vec<Went> = stream::iter(going).buffer_unordered(width).collect().await;
        let over = !went.iter().any(Went::was_broken_off);
        for went in went {
            held.insert(went.around.resource.table.name.to_owned(), went.round.clone());
            report(went, tables)?;
        }
        Ok(over)
    }

    async fn round(&self, around: Around, parents: Parents, held: Option<Round>) -> Went {
        let now = Began::now(&self.cycle.fetch.stripe);
        let mut round = Round::next(held.as_ref(), now, self.cycle.engine.options.reread.rounds_every);
        let mut rows = 0;
        let outcome = match parents {
            Parents::Live => self.go(around, &mut round, &mut rows).await,
            Parents::Unavailable { why } => self.unavailable(around, why).await,
            Parents::NotYet => Err(SyncError::Parents { parents: around.parent.table }),
        };
        let holds_nothing = !round.was_whole() && round.after.is_empty() && around.resource.is_apart();
        let outcome = match outcome {
            Err(error) => self.cycle.concluded(around.resource, Err(error), holds_nothing).await,
            Ok(state) => Ok(state),
        };
        Went { around, round, rows, outcome }
    }

    /// Asks parent after parent until there is none left, or no time.
    async fn go(&self, around: Around, round: &mut Round, rows: &mut u64) -> Result<TableState, SyncError> {
        let mut answered = Answered::default();
        loop {
            unless_stopped(&self.cycle.fetch.stop)?;
            if Instant::now() >= self.until {
                return Ok(round.state());
            }
            let most = if answered.any() { TOGETHER } else { FIRST };
            let ids = self.parents(around, round, most).await?;
            let Some(last) = ids.last().cloned() else { return self.finish(around, round, &answered).await };
            let mut sets: Vec<Set> = stream::iter(ids)
                .map(|parent| Set::ask(&self.changes, around, parent))
                .buffer_unordered(self.changes.width)
                .try_collect()
                .await?;
            answered.count(&mut sets);
            if let Some(refusal) = answered.of_all() {
                return Err(refusal);
            }
            round.after = last;
            *rows += self.store(around, sets, round).await?;
        }
    }

    /// The next parents to ask.
    async fn parents(&self, around: Around, round: &Round, most: usize) -> Result<Vec<String>, SyncError> {
        let Some(table) = table(around.parent.table) else { return Ok(Vec::new()) };
        let age = round.since_micros.map_or(Age::Any, Age::Since);
        let (prefix, after) = (around.parent.ids, round.after.clone());
        let asked = Ids { age, created_from: None, belonging: Belonging::Any, prefix, after, most };
        Ok(self.changes.warehouse.ids(self.changes.schema, table, asked).await?)
    }

    /// Sets, and how far the round has come with them, in one transaction.
    async fn store(&self, around: Around, sets: Vec<Set>, round: &Round) -> Result<u64, SyncError> {
        let mut batch = Batch::of(self.changes.schema);
        let mut stored: u64 = sets.iter().map(|set| set.stored).sum();
        for set in sets {
            set.into_batch(around, &mut batch);
        }
        self.checkpoint(around, round, &mut batch)?;
        stored += self.changes.warehouse.apply(batch).await?.rows;
        self.cycle.show(around.resource.table.name, |shown| shown.rows += stored);
        Ok(stored)
    }

    async fn finish(
        &self,
        around: Around,
        round: &mut Round,
        answered: &Answered,
    ) -> Result<TableState, SyncError> {
        let whole_again = round.since_micros.is_none() && round.was_whole();
        if whole_again && !around.resource.is_apart() {
            // What no parent showed is gone, or no parent's any more.
            let belonging = Belonging::To(around.parent.place.name());
            self.changes.reread_untouched(around.resource, round.began.as_of_micros, None, belonging).await?;
        }
        round.ended();
        let mut batch = Batch::of(self.changes.schema);
        self.checkpoint(around, round, &mut batch)?;
        self.changes.warehouse.apply(batch).await?;
        let why = answered.sentence(around.parent.table);
        self.cycle.show(around.resource.table.name, |shown| {
            (shown.complete, shown.permille, shown.why) = (true, Some(1000), why);
        });
        Ok(round.state())
    }

    fn checkpoint(&self, around: Around, round: &Round, batch: &mut Batch) -> Result<(), SyncError> {
        let table = around.resource.table.name;
        batch.checkpoints.push(round_checkpoint(table, round)?);
        if around.resource.is_apart() {
            batch.checkpoints.push(table_checkpoint(table, &round.state())?);
        }
        Ok(())
    }

    /// Where the parents are refused, so is what belongs to them.
    async fn unavailable(&self, around: Around, why: String) -> Result<TableState, SyncError> {
        let state = TableState::Unavailable { why: why.clone() };
        if around.resource.is_apart() {
            let table = around.resource.table.name;
            let mut batch = Batch::of(self.changes.schema);
            batch.checkpoints.push(table_checkpoint(table, &state)?);
            self.changes.warehouse.apply(batch).await?;
            self.cycle.show(table, |shown| (shown.unavailable, shown.why) = (true, Some(why)));
        }
        Ok(state)
    }
}

/// Whether what has to be there before the round is.
fn parents(around: Around, tables: &[TableReport]) -> Parents {
    let owner = catalog::resource_with(around.parent.table).map(|owner| owner.table.name);
    let report = tables.iter().find(|report| Some(report.table) == owner);
    match report.map(|report| &report.outcome) {
        Some(Ok(TableState::Live { .. })) => Parents::Live,
        Some(Ok(TableState::Unavailable { why })) => Parents::Unavailable { why: why.clone() },
        Some(Ok(TableState::Copying { .. } | TableState::Comparing { .. }) | Err(_)) | None => {
            Parents::NotYet
        }
    }
}

/// Puts what came of a round into its table's report; what concerns all ends the cycle.
fn report(
    Went { around, rows, outcome, round }: Went,
    tables: &mut Vec<TableReport>,
) -> Result<(), SyncError> {
    let table = around.resource.table.name;
    if outcome.as_ref().is_err_and(SyncError::concerns_all) {
        return outcome.map(|_| ());
    }
    let Some(held) = tables.iter_mut().find(|report| report.table == table) else {
        tables.push(TableReport { table, rows, outcome });
        return Ok(());
    };
    held.rows += rows;
    if around.resource.is_apart() {
        held.outcome = outcome;
    } else if held.outcome.is_ok() {
        match outcome {
            Err(error) => held.outcome = Err(error),
            Ok(TableState::Unavailable { .. }) => {}
            Ok(_) if !round.was_whole() => held.outcome = Ok(round.state()),
            Ok(_) => {}
        }
    }
    Ok(())
}

fn table(name: &str) -> Option<&'static catalog::Table> {
    catalog::tables().find(|table| table.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    /// This machine's clock is a year behind Stripe's.
    fn day(number: i64) -> Began {
        Began { as_of_micros: number * DAY, dated_micros: (365 + number) * DAY }
    }

    #[test]
    fn a_round_goes_on_where_it_was_broken_off_then_only_over_what_changed() {
        let every = Duration::from_secs(28 * 86_400);
        let mut first = Round::next(None, day(1), every);
        assert_eq!(first.since_micros, None, "every parent");
        first.after = "cus_7".to_owned();
        assert_eq!(Round::next(Some(&first), day(2), every), first);
        assert!(matches!(first.state(), TableState::Copying { .. }));
        first.ended();
        assert!(matches!(first.state(), TableState::Live { .. }));
        let mut second = Round::next(Some(&first), day(3), every);
        assert_eq!((second.since_micros, second.began), (Some(DAY), day(3)));
        second.ended();
        assert_eq!(Round::next(Some(&second), day(28), every).since_micros, Some(3 * DAY));
        assert_eq!(Round::next(Some(&second), day(29), every).since_micros, None, "all again");
        second.begin_anew();
        assert_eq!(Round::next(Some(&second), day(4), every).since_micros, None);
    }

    #[test]
    fn what_is_asked_parent_by_parent_has_no_nested_lists() {
        assert!(all().count() > 20);
        for around in all() {
            assert!(!around.resource.is_apart() || around.resource.children.is_empty(), "{around:?}");
            assert!(!around.list.thin, "{around:?}");
            assert!(table(around.parent.table).is_some(), "{around:?}");
        }
    }
}
