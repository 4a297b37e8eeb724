//! Which rounds go, and when.
//!
//! What is due stands in the warehouse itself: a parent that was listed, named by an event or read again has a newer
//! `_as_of` than the round before began. So nothing has to be remembered between the two, whatever happens in between.
//!
//! A round over all parents goes beside the walks over whole lists, from the moment in which its parents are there:
//! Stripe's limits are for each endpoint, and the walks leave most of the account's unused. It goes on while changes are
//! followed; one over what changed goes when they are.

use std::{collections::BTreeMap, pin::pin};

use catalog::{Resource, Table};
use futures::{
    FutureExt,
    future::try_join,
    stream::{FuturesUnordered, Stream, StreamExt},
};
use tokio::{sync::Semaphore, task::yield_now};
use warehouse::{Batch, Warehouse};

use crate::{
    SyncError, TableReport, TableState, Walks,
    around::{Around, arounds},
    change::Changes,
    cycle::Cycle,
    fan_out::{Done, FanOut},
    round::{Beginning, Round},
    state::table_checkpoint,
    time::Time,
    walked::{Parents, Walked},
};

/// The rounds of one cycle.
pub(crate) struct Rounds<'a, W> {
    pub(crate) cycle: &'a Cycle<'a, W>,
    pub(crate) changes: Changes<'a, W>,
    pub(crate) time: Time,
    /// As they are stored, by table.
    pub(crate) held: BTreeMap<String, Round>,
    /// Where tables stood before lists were walked.
    pub(crate) stood: BTreeMap<String, TableState>,
    /// Those that came to their end in this cycle: what changed since is the next cycle's, or a cycle might never end.
    pub(crate) ended: Ended,
}

/// Tables whose rounds came to their end, and why the last parent that was not answered was not.
pub(crate) type Ended = BTreeMap<&'static str, Option<SyncError>>;

/// How a round went.
pub(crate) struct Went {
    around: Around,
    round: Option<Round>,
    rows: u64,
    outcome: Result<TableState, SyncError>,
    trouble: Option<SyncError>,
}

impl Went {
    /// There was no time for the rest.
    fn was_broken_off(&self) -> bool {
        let goes_on = matches!(self.outcome, Ok(TableState::Copying { .. } | TableState::Live { .. }));
        goes_on && self.round.as_ref().is_some_and(|round| !round.is_over())
    }

    /// It came to its end.
    fn ended(&self) -> Option<&Round> {
        self.round.as_ref().filter(|round| round.is_over() && self.outcome.is_ok())
    }
}

impl<W: Warehouse> Rounds<'_, W> {
    /// Walks lists, then follows what changed meanwhile, and goes every round, beside both where it is over all parents. Gives
    /// those that came to their end when others did not, for want of time; none when nothing is left to do.
    ///
    /// # Errors
    /// What concerns all tables; what concerns one is in its report.
    pub(crate) async fn run(
        self,
        walks: impl Stream<Item = TableReport>,
        follow: impl AsyncFnOnce(Vec<TableReport>) -> Result<Vec<TableReport>, SyncError>,
    ) -> Result<(Vec<TableReport>, Option<Ended>), SyncError> {
        let walked = Walked::default();
        let places = Semaphore::new(self.cycle.engine.options.tables);
        let lists = async {
            let mut walks = pin!(walks);
            while let Some(report) = walks.next().await {
                walked.add(report);
            }
            // What can go beside following sees the last list first.
            yield_now().await;
            let tables = follow(walked.take()).await?;
            self.time.begin();
            walked.followed(tables);
            Ok::<_, SyncError>(())
        };
        let rounds =
            arounds().map(|around| self.both(around, &walked, &places)).collect::<FuturesUnordered<_>>();
        let ((), went) = try_join(lists, rounds.collect::<Vec<_>>().map(Ok)).await?;
        let mut tables = walked.take();
        let goes_on = self.conclude(went, &mut tables)?;
        Ok((tables, goes_on))
    }

    /// The round over all parents, as soon as they are there, and when changes have been followed what is left: another over
    /// those that changed.
    async fn both(&self, around: Around, walked: &Walked, places: &Semaphore) -> Went {
        let beside = if self.is_over_all(around) { walked.beside(around).await } else { None };
        let mut gone = None;
        if let Some(parents) = beside {
            let _place = places.acquire().await;
            let held = self.held.get(around.table().name).cloned();
            gone = Some(self.round(around, parents, held).await);
        }
        let parents = walked.after(around).await;
        let _place = places.acquire().await;
        self.rest(around, gone, parents).await
    }

    fn is_over_all(&self, around: Around) -> bool {
        let table = around.table().name;
        !self.ended.contains_key(table) && self.next(around, self.held.get(table)).is_over_all()
    }

    fn next(&self, around: Around, held: Option<&Round>) -> Round {
        let now = Beginning::now(&self.cycle.fetch.stripe);
        let stood =
            |owner: &Resource| matches!(self.stood.get(owner.table.name), Some(TableState::Live { .. }));
        match held {
            Some(held) => held.next(now, self.cycle.engine.options.reread.rounds_every),
            None => Round::first(now, catalog::resource_with(around.parent.table).is_some_and(stood)),
        }
    }

    /// Tells in their tables' reports how rounds went.
    fn conclude(
        mut self,
        went: Vec<Went>,
        tables: &mut Vec<TableReport>,
    ) -> Result<Option<Ended>, SyncError> {
        let goes_on = went.iter().any(Went::was_broken_off);
        for mut went in went {
            if went.ended().is_some() {
                let trouble = self.ended.entry(went.around.table().name).or_default();
                *trouble = went.trouble.take().or(trouble.take());
                went.trouble = trouble.take_if(|_| !goes_on);
            }
            report(went, tables)?;
        }
        Ok(goes_on.then_some(self.ended))
    }

    /// What is left of a round that went beside the walks, or the round if it did not.
    async fn rest(&self, around: Around, gone: Option<Went>, parents: Parents) -> Went {
        let Some(gone) = gone else {
            let held = self.held.get(around.table().name);
            if let Some(held) = held.filter(|_| self.ended.contains_key(around.table().name)) {
                let (round, outcome) = (Some(held.clone()), Ok(held.state()));
                return Went { around, round, rows: 0, outcome, trouble: None };
            }
            return self.round(around, parents, held.cloned()).await;
        };
        let Some(ended) = gone.ended() else { return gone };
        let again = self.next(around, Some(ended));
        match self.fan_out(around).parents(again.since_micros(), String::new(), 1).await {
            Ok(changed) if changed.is_empty() => gone,
            Ok(_) => {
                let more = self.round(around, parents, Some(ended.clone())).await;
                // Whom the other did not reach, this one asked again, if it came to its end.
                let before = if more.ended().is_some() { None } else { gone.trouble };
                let trouble = more.trouble.or(before);
                Went { rows: gone.rows + more.rows, trouble, ..more }
            }
            Err(error) => Went { outcome: Err(error), ..gone },
        }
    }

    fn fan_out(&self, around: Around) -> FanOut<'_, W> {
        FanOut { cycle: self.cycle, changes: &self.changes, around, time: &self.time }
    }

    async fn round(&self, around: Around, parents: Parents, held: Option<Round>) -> Went {
        let nothing = |outcome| Went { around, round: None, rows: 0, outcome, trouble: None };
        match parents {
            Parents::Live { needs } => match self.is_empty(needs).await {
                Ok(false) => self.go(around, held).await,
                // No round is begun: the first that is goes over all.
                Ok(true) => nothing(self.childless(around).await),
                Err(error) => nothing(Err(error)),
            },
            Parents::Unavailable { why } => nothing(self.unavailable(around, why).await),
            Parents::NotYet => {
                let error = Err(SyncError::Parents { parents: around.parent.table });
                nothing(self.cycle.concluded(around.resource, error, false).await)
            }
        }
    }

    async fn go(&self, around: Around, held: Option<Round>) -> Went {
        let mut round = self.next(around, held.as_ref());
        let fan_out = self.fan_out(around);
        let mut done = Done::default();
        let outcome = match self.nothing_changed(&fan_out, &round, held).await {
            Ok(Some(held)) => {
                round = held;
                self.cycle.complete(around.table().name);
                Ok(round.state())
            }
            Ok(None) => fan_out.run(&mut round, &mut done).await,
            Err(error) => Err(error),
        };
        let holds_nothing = !round.was_whole() && !round.answered && around.resource.is_apart();
        let outcome = match outcome {
            Ok(state) => Ok(state),
            Err(error) => self.cycle.concluded(around.resource, Err(error), holds_nothing).await,
        };
        let Done { rows, trouble } = done;
        Went { around, round: Some(round), rows, outcome, trouble }
    }

    /// The round that ended last, when the one to go has nobody to ask: nothing of it has to be stored.
    async fn nothing_changed(
        &self,
        fan_out: &FanOut<'_, W>,
        round: &Round,
        held: Option<Round>,
    ) -> Result<Option<Round>, SyncError> {
        let Some(held) = held.filter(Round::is_over).filter(|held| held.owed.is_empty()) else {
            return Ok(None);
        };
        if round.is_over_all() || !fan_out.parents(round.since_micros(), String::new(), 1).await?.is_empty() {
            return Ok(None);
        }
        Ok(Some(held))
    }

    async fn childless(&self, around: Around) -> Result<TableState, SyncError> {
        let state = TableState::Live { frontier: None, walks: Walks::default() };
        self.stands(around, &state).await?;
        self.cycle.complete(around.table().name);
        Ok(state)
    }

    /// Whether there is nothing of what parents need to have any.
    async fn is_empty(&self, needs: Option<&'static Table>) -> Result<bool, SyncError> {
        let Some(needs) = needs else { return Ok(false) };
        Ok(self.changes.warehouse.count(self.changes.schema, needs).await? == 0)
    }

    /// Where the parents are refused, so is what belongs to them.
    async fn unavailable(&self, around: Around, why: String) -> Result<TableState, SyncError> {
        let state = TableState::Unavailable { why: why.clone() };
        if around.resource.is_apart() {
            self.stands(around, &state).await?;
            let table = around.table().name;
            self.cycle.show(table, |shown| (shown.unavailable, shown.why) = (true, Some(why)));
        }
        Ok(state)
    }

    /// Stores where a table stands, unless it stood there before.
    async fn stands(&self, around: Around, state: &TableState) -> Result<(), SyncError> {
        if self.stood.get(around.table().name) == Some(state) {
            return Ok(());
        }
        let mut batch = Batch::of(self.changes.schema);
        batch.checkpoints.push(table_checkpoint(around.table().name, state)?);
        self.changes.warehouse.apply(batch).await?;
        Ok(())
    }
}

/// Puts what came of a round into its table's report; what concerns all ends the cycle. Where the table has a list of its
/// own, it stands as that says, and what parents do not show is said with it.
fn report(went: Went, tables: &mut Vec<TableReport>) -> Result<(), SyncError> {
    let Went { around, rows, outcome, trouble, round: _ } = went;
    let table = around.table().name;
    if outcome.as_ref().is_err_and(SyncError::concerns_all) {
        return outcome.map(|_| ());
    }
    let Some(held) = tables.iter_mut().find(|report| report.table == table) else {
        tables.push(TableReport { trouble, ..TableReport::new(table, rows, outcome) });
        return Ok(());
    };
    held.rows += rows;
    let withheld = |why| SyncError::Withheld { what: format!("{table} of {}", around.parent.table), why };
    let lacking = match outcome {
        // They are asked for once their parents are there.
        Err(SyncError::Parents { .. }) => None,
        Err(error) if error.is_unavailable() => Some(withheld(error.sentence())),
        Err(error) => Some(error),
        Ok(TableState::Unavailable { why }) => Some(withheld(why)),
        Ok(TableState::Copying { .. } | TableState::Comparing { .. } | TableState::Live { .. }) => None,
    };
    trouble.into_iter().chain(lacking).for_each(|error| held.note(error));
    Ok(())
}
