//! Rounds over parents whose objects are listed only one parent at a time (traps 8 and 9): each parent whose row changed
//! since the last round is asked for its own.
//!
//! What is due stands in the warehouse itself: a parent that was listed, named by an event or read again has a newer
//! `_as_of` than the round before began. So nothing has to be remembered between the two, whatever happens in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use catalog::{List, Parent, Resource};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use warehouse::{Age, Batch, Belonging, Change, Ids, Warehouse, Write};

use crate::{
    Began, SyncError, TableReport, TableState, Walks,
    change::Changes,
    cycle::Cycle,
    error::unless_stopped,
    set::Set,
    state::{round_checkpoint, table_checkpoint},
};

/// Parents whose sets are stored together.
const TOGETHER: usize = 32;
/// As long as none was answered, fewer: a list that Stripe refuses is refused for each.
const FIRST: usize = 4;
/// A round that met more refusals and failures than this waits until some of those parents answer.
const MOST_OWED: usize = 50;
/// A parent may be stored so long after it was asked for: a push reads some before it stores them. In microseconds.
const MARGIN: i64 = 300_000_000;

/// One round over the parents of a table, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Only parents whose rows show a state from then on; none for all.
    since_micros: Option<i64>,
    /// When it began: what changed from then on is the next round's.
    pub(crate) began: Began,
    /// The last parent whose set is stored.
    after: String,
    /// Every parent was asked.
    over: bool,
    /// Parents that were refused, or could not be read: they are asked first the next time.
    #[serde(default)]
    owed: BTreeSet<String>,
    /// Some parent was answered in this round.
    #[serde(default)]
    answered: bool,
    /// When the last round over all parents began that came to its end, by Stripe's clock.
    whole_micros: Option<i64>,
}

impl Round {
    /// The round to go now: the one that was broken off, or a new one, over all parents when that is due.
    fn next(held: Option<&Self>, now: Began, whole_every: Duration) -> Self {
        let Some(held) = held else { return Self::new(None, now, None, BTreeSet::new()) };
        if !held.over {
            return held.clone();
        }
        let every = i64::try_from(whole_every.as_micros()).unwrap_or(i64::MAX);
        let whole = held.whole_micros.is_none_or(|last| now.dated_micros.saturating_sub(last) >= every);
        let since = held.began.as_of_micros.saturating_sub(MARGIN);
        Self::new(Some(since).filter(|_| !whole), now, held.whole_micros, held.owed.clone())
    }

    fn new(
        since_micros: Option<i64>,
        began: Began,
        whole_micros: Option<i64>,
        owed: BTreeSet<String>,
    ) -> Self {
        Self { since_micros, began, after: String::new(), over: false, owed, answered: false, whole_micros }
    }

    /// Notes who answered and who did not; the last reason.
    fn count(&mut self, sets: &mut [Set]) -> Option<SyncError> {
        let mut last = None;
        for set in sets {
            match set.failure() {
                Some((parent, error)) => {
                    self.owed.insert(parent);
                    last = Some(error);
                }
                None => {
                    self.owed.remove(set.parent());
                    self.answered = true;
                }
            }
        }
        last
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
    Unavailable {
        why: String,
    },
    NotYet,
    /// None of them can have any yet.
    Childless,
}

/// How a round went.
struct Went {
    around: Around,
    round: Round,
    rows: u64,
    outcome: Result<TableState, SyncError>,
    trouble: Option<SyncError>,
    is_under_way: bool,
}

impl Went {
    /// There was no time for the rest.
    fn was_broken_off(&self) -> bool {
        let goes_on = matches!(self.outcome, Ok(TableState::Copying { .. } | TableState::Live { .. }));
        self.is_under_way && goes_on && !self.round.over
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
        held: &BTreeMap<String, Round>,
        tables: &mut Vec<TableReport>,
    ) -> Result<bool, SyncError> {
        let mut going = Vec::new();
        for around in all() {
            let ready = match parents(around, tables) {
                Parents::Live if self.is_childless(around, tables).await? => Parents::Childless,
                ready @ (Parents::Live
                | Parents::Unavailable { .. }
                | Parents::NotYet
                | Parents::Childless) => ready,
            };
            going.push(self.round(around, ready, held.get(around.resource.table.name).cloned()));
        }
        let width = self.cycle.engine.options.tables;
        let went: Vec<Went> = stream::iter(going).buffer_unordered(width).collect().await;
        let over = !went.iter().any(Went::was_broken_off);
        for went in went {
            report(went, tables)?;
        }
        Ok(over)
    }

    async fn round(&self, around: Around, parents: Parents, held: Option<Round>) -> Went {
        let now = Began::now(&self.cycle.fetch.stripe);
        let mut round = Round::next(held.as_ref(), now, self.cycle.engine.options.reread.rounds_every);
        let (mut rows, mut trouble) = (0, None);
        let is_under_way = matches!(parents, Parents::Live);
        let outcome = match parents {
            Parents::Live => self.go(around, &mut round, &mut rows, &mut trouble).await,
            // No round is begun: the first that is goes over all.
            Parents::Childless => {
                return Went {
                    around,
                    round,
                    rows,
                    outcome: self.childless(around).await,
                    trouble,
                    is_under_way,
                };
            }
            Parents::Unavailable { why } => self.unavailable(around, why).await,
            Parents::NotYet => Err(SyncError::Parents { parents: around.parent.table }),
        };
        let holds_nothing = !round.was_whole() && !round.answered && around.resource.is_apart();
        if outcome.is_err() && holds_nothing {
            // Asked from the first parent on the next time.
            round = Round::new(None, now, None, BTreeSet::new());
        }
        let outcome = match outcome {
            Err(error) => self.cycle.concluded(around.resource, Err(error), holds_nothing).await,
            Ok(state) => Ok(state),
        };
        Went { around, round, rows, outcome, trouble, is_under_way }
    }

    /// Asks parent after parent until there is none left, or no time; those that are owed first.
    async fn go(
        &self,
        around: Around,
        round: &mut Round,
        rows: &mut u64,
        trouble: &mut Option<SyncError>,
    ) -> Result<TableState, SyncError> {
        let mut owed: Vec<String> = round.owed.iter().cloned().collect();
        loop {
            unless_stopped(&self.cycle.fetch.stop)?;
            let most = if round.answered { TOGETHER } else { FIRST };
            let (ids, last) = match owed.len() {
                0 => {
                    let ids = self.parents(around, round, most).await?;
                    let last = ids.last().cloned();
                    (ids, last)
                }
                left => (owed.split_off(left.saturating_sub(most)), Some(round.after.clone())),
            };
            let Some(last) = last else { break };
            let mut sets: Vec<Set> = stream::iter(ids)
                .map(|parent| Set::ask(&self.changes, around, parent))
                .buffer_unordered(self.changes.width)
                .try_collect()
                .await?;
            *trouble = round.count(&mut sets).or(trouble.take());
            round.after = last;
            *rows += self.store(around, sets, round).await?;
            if round.owed.len() > MOST_OWED && owed.is_empty() {
                break;
            }
            if Instant::now() >= self.until {
                return Ok(round.state());
            }
        }
        match trouble.take() {
            // Nobody answered: it is about the list, not about a parent (trap 23).
            Some(error) if !round.answered => Err(error),
            Some(error) if round.owed.len() > MOST_OWED => Err(error),
            last => {
                let state = self.finish(around, round, last.as_ref()).await?;
                *trouble = last.filter(|error| !error.is_unavailable());
                Ok(state)
            }
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
        let mut ended = Vec::new();
        for set in sets {
            ended.extend(set.into_batch(around, &mut batch));
        }
        if !ended.is_empty() {
            batch.writes.push(Write { table: around.resource.table, change: Change::EndSets(ended) });
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
        last: Option<&SyncError>,
    ) -> Result<TableState, SyncError> {
        let whole_again = round.since_micros.is_none() && round.was_whole();
        if whole_again && !around.resource.is_apart() {
            // What no parent showed is gone, or no parent's any more.
            let belonging = Belonging::To(around.parent.place.name());
            let since_micros = round.began.as_of_micros;
            let again = self.changes.reread_untouched(around.resource, since_micros, None, belonging).await?;
            for (id, error) in again.failed {
                let (table, why) = (around.resource.table.name, error.sentence());
                tracing::warn!(table, id, why, "an object could not be read again; its row stays as it was");
            }
        }
        round.ended();
        let mut batch = Batch::of(self.changes.schema);
        self.checkpoint(around, round, &mut batch)?;
        self.changes.warehouse.apply(batch).await?;
        let (parents, owed) = (around.parent.table, round.owed.len());
        let why =
            last.map(|last| format!("{owed} of {parents} did not answer. The last: {}", last.sentence()));
        self.cycle.show(around.resource.table.name, |shown| {
            (shown.complete, shown.permille) = (true, Some(1000));
            shown.why = why.or(shown.why.take());
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

    async fn childless(&self, around: Around) -> Result<TableState, SyncError> {
        let (table, state) =
            (around.resource.table.name, TableState::Live { frontier: None, walks: Walks::default() });
        let mut batch = Batch::of(self.changes.schema);
        batch.checkpoints.push(table_checkpoint(table, &state)?);
        self.changes.warehouse.apply(batch).await?;
        self.cycle.show(table, |shown| (shown.complete, shown.permille) = (true, Some(1000)));
        Ok(state)
    }

    /// Whether parents cannot have any, since what it takes is not there.
    async fn is_childless(&self, around: Around, tables: &[TableReport]) -> Result<bool, SyncError> {
        let Some(needs) = around.parent.needs.and_then(table) else { return Ok(false) };
        let standing = tables.iter().find(|report| report.table == needs.name).map(|report| &report.outcome);
        let is_live = matches!(standing, Some(Ok(TableState::Live { .. })));
        Ok(is_live && self.changes.warehouse.count(self.changes.schema, needs).await? == 0)
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

/// Whether what has to be there before the round is: the parents, and the table's own list where it has one.
fn parents(around: Around, tables: &[TableReport]) -> Parents {
    let standing =
        |table: &str| tables.iter().find(|report| report.table == table).map(|report| &report.outcome);
    let own = around.resource.table.name;
    if !around.resource.is_apart() && !matches!(standing(own), Some(Ok(TableState::Live { .. }))) {
        return Parents::NotYet;
    }
    let owner = catalog::resource_with(around.parent.table).map(|owner| owner.table.name);
    match owner.and_then(standing) {
        Some(Ok(TableState::Live { .. })) => Parents::Live,
        Some(Ok(TableState::Unavailable { why })) => Parents::Unavailable { why: why.clone() },
        Some(Ok(TableState::Copying { .. } | TableState::Comparing { .. }) | Err(_)) | None => {
            Parents::NotYet
        }
    }
}

/// Puts what came of a round into its table's report; what concerns all ends the cycle. Where the table has a list of its
/// own, it stands as that says.
fn report(went: Went, tables: &mut Vec<TableReport>) -> Result<(), SyncError> {
    let Went { around, rows, outcome, trouble, round: _, is_under_way: _ } = went;
    let table = around.resource.table.name;
    if outcome.as_ref().is_err_and(SyncError::concerns_all) {
        return outcome.map(|_| ());
    }
    let Some(held) = tables.iter_mut().find(|report| report.table == table) else {
        tables.push(TableReport { trouble, ..TableReport::new(table, rows, outcome) });
        return Ok(());
    };
    held.rows += rows;
    let waits = |error: &SyncError| error.is_unavailable() || matches!(error, SyncError::Parents { .. });
    held.trouble = held.trouble.take().or(trouble).or(outcome.err().filter(|error| !waits(error)));
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
        assert_eq!((second.since_micros, second.began), (Some(DAY - MARGIN), day(3)));
        second.ended();
        assert_eq!(Round::next(Some(&second), day(28), every).since_micros, Some(3 * DAY - MARGIN));
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
