//! What is stored between runs: where each table and the change feed stand.

use std::collections::{BTreeMap, BTreeSet};

use catalog::Table;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stripe_api::Stripe;
use warehouse::Checkpoint;

use crate::{Slice, SyncError, around::arounds, round::Round};

/// Seconds that objects and events may stay invisible after their `created` (trap 4); every watermark is held back by it.
pub(crate) const HOLD_BACK: i64 = 120;

/// The feed whose checkpoint does not name its table.
const FIRST_FEED: &str = "events";

/// Where a table is in its life. Only the engine moves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TableState {
    /// Its slices are being walked. Set with the first page.
    Copying {
        /// The frontier that the table will have when it is live.
        frontier: Option<i64>,
        /// When the walk began; none for tables that were begun by an earlier version.
        #[serde(default)]
        began: Option<Began>,
    },
    /// It was live, and changes were or may have been missed: its list is walked again, over the rows it has.
    Comparing {
        /// The frontier that the table will have when it is live.
        frontier: Option<i64>,
        /// When the walk began: rows that show an older state are not compared yet.
        began: Began,
        /// Only what was created from this second on is walked; none for all of it.
        #[serde(default)]
        from: Option<i64>,
        /// When the list was last walked before; never, as far as that counts, where changes were missed.
        #[serde(default)]
        walks: Walks,
    },
    /// The first copy is complete. New objects are looked for from `frontier` on.
    Live {
        /// Every object created before this second is stored; none while the list has been empty.
        frontier: Option<i64>,
        /// When the list was last walked.
        #[serde(default)]
        walks: Walks,
    },
    /// Stripe refuses this resource, in its own words. Asked again in every cycle.
    Unavailable {
        /// Stripe's words.
        why: String,
    },
}

/// When a walk began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// By the clock that stamps rows.
    pub as_of_micros: i64,
    /// By Stripe's clock.
    pub dated_micros: i64,
}

impl Began {
    /// Now. Before Stripe's first answer its clock is taken to be this machine's.
    pub(crate) fn now(stripe: &Stripe) -> Self {
        let as_of = stripe.now();
        let dated = stripe.date().unwrap_or(as_of);
        Self { as_of_micros: as_of.timestamp_micros(), dated_micros: dated.timestamp_micros() }
    }
}

/// Objects that events named and that could not be read again when they were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owed {
    pub(crate) ids: BTreeSet<String>,
    /// There were too many: the whole table is to be compared.
    pub(crate) all: bool,
}

/// More owed objects than this are no longer kept one by one.
const MOST_OWED: usize = 5_000;

impl Owed {
    pub(crate) fn add(&mut self, ids: impl IntoIterator<Item = String>) {
        self.ids.extend(ids);
        if self.ids.len() > MOST_OWED {
            self.ids.clear();
            self.all = true;
        }
    }
}

/// When the walks over a list began that went well, by Stripe's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walks {
    /// The last over all of it.
    pub whole_micros: Option<i64>,
    /// The last over its recent part at least.
    pub recent_micros: Option<i64>,
}

impl Walks {
    /// These, and one more, over all or only the recent part.
    pub(crate) fn and(self, began: Began, whole: bool) -> Self {
        let whole_micros = if whole { Some(began.dated_micros) } else { self.whole_micros };
        Self { whole_micros, recent_micros: Some(began.dated_micros) }
    }
}

/// Where the change feed stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// Every event created before this second is applied; none when the account had no event yet.
    pub since: Option<i64>,
    /// The first copy ran meanwhile: an event that is stored may still have to be applied.
    pub catching_up: bool,
    /// The second, by Stripe's clock, at which the feed was last read to its end.
    #[serde(default)]
    pub read_at: Option<i64>,
    /// Stripe refused it when it was last asked: nobody hears what it tells.
    #[serde(default)]
    pub refused: bool,
}

const DAY: i64 = 86_400;
/// Seconds for which Stripe keeps events (trap 14).
pub(crate) const KEPT: i64 = 30 * DAY;

impl Feed {
    /// Whether events may have been dropped by Stripe before they were read, when it is `now` there; a day early, to be
    /// sure.
    pub(crate) fn has_gap(&self, now: Option<i64>) -> bool {
        self.read_at.zip(now).is_some_and(|(read, now)| now - read > KEPT - DAY)
    }
}

/// Everything the checkpoints of one connection say.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) tables: BTreeMap<String, TableState>,
    pub(crate) slices: BTreeMap<String, Vec<Slice>>,
    /// By the table of their events.
    pub(crate) feeds: BTreeMap<String, Feed>,
    /// By table.
    pub(crate) rounds: BTreeMap<String, Round>,
    /// By table.
    pub(crate) owed: BTreeMap<String, Owed>,
}

impl Stored {
    /// When the walks and rounds began that are under way or went before: what is asked now must look newer.
    pub(crate) fn began(&self) -> impl Iterator<Item = Began> {
        let walks = self.tables.values().filter_map(|state| match state {
            TableState::Copying { began, .. } => *began,
            TableState::Comparing { began, .. } => Some(*began),
            TableState::Live { .. } | TableState::Unavailable { .. } => None,
        });
        walks.chain(self.rounds.values().map(|round| round.began))
    }

    /// Reads checkpoints; keys of others are passed over.
    pub(crate) fn read(checkpoints: Vec<Checkpoint>) -> Result<Self, SyncError> {
        let mut stored = Self::default();
        for Checkpoint { key, value } in checkpoints {
            let Some(value) = value else { continue };
            let mut parts = key.split('/');
            match (parts.next(), parts.next()) {
                (Some("feed"), table) => {
                    stored.feeds.insert(table.unwrap_or(FIRST_FEED).to_owned(), parse(&key, value)?);
                }
                (Some("owed"), Some(table)) => {
                    stored.owed.insert(table.to_owned(), parse(&key, value)?);
                }
                (Some("round"), Some(table)) => {
                    stored.rounds.insert(table.to_owned(), parse(&key, value)?);
                }
                (Some("table"), Some(table)) => {
                    stored.tables.insert(table.to_owned(), parse(&key, value)?);
                }
                (Some("slice"), Some(table)) => {
                    stored.slices.entry(table.to_owned()).or_default().push(parse(&key, value)?);
                }
                (_, _) => {}
            }
        }
        Ok(stored)
    }
}

/// Where each table stands, by its name, as the checkpoints of a connection say.
///
/// # Errors
/// When another version of the program wrote them.
pub fn table_states(checkpoints: Vec<Checkpoint>) -> Result<BTreeMap<String, TableState>, SyncError> {
    let Stored { mut tables, rounds, .. } = Stored::read(checkpoints)?;
    for around in arounds() {
        let name = around.table().name;
        let Some(&TableState::Live { frontier, .. }) = tables.get(name) else { continue };
        let round = rounds.get(name);
        let is_asked = round.is_some_and(|round| round.was_whole() || round.is_refused());
        let parents =
            catalog::resource_with(around.parent.table).and_then(|owner| tables.get(owner.table.name));
        let state = match parents {
            // What was missed of parents was missed of what belongs to them (trap 14).
            Some(compared @ TableState::Comparing { walks, .. }) if *walks == Walks::default() => {
                compared.clone()
            }
            Some(TableState::Unavailable { .. }) => continue,
            // Its own list is copied, but not yet what only parents show.
            _ if !around.resource.is_apart() && !is_asked => TableState::Copying { frontier, began: None },
            _ => continue,
        };
        tables.insert(name.to_owned(), state);
    }
    Ok(tables)
}

/// Whether update cycles read the events of API v1, as the checkpoints of a connection say: its key may not be allowed to.
///
/// # Errors
/// When another version of the program wrote them.
pub fn are_events_read(checkpoints: Vec<Checkpoint>) -> Result<bool, SyncError> {
    let Stored { tables, feeds, .. } = Stored::read(checkpoints)?;
    let are_there =
        tables.get(FIRST_FEED).is_some_and(|state| !matches!(state, TableState::Unavailable { .. }));
    Ok(are_there && !feeds.get(FIRST_FEED).is_some_and(|feed| feed.refused))
}

pub(crate) fn table_checkpoint(table: &str, state: &TableState) -> Result<Checkpoint, SyncError> {
    checkpoint(format!("table/{table}"), state)
}

pub(crate) fn slice_checkpoint(table: &str, slice: &Slice) -> Result<Checkpoint, SyncError> {
    checkpoint(slice_key(table, slice.number), slice)
}

pub(crate) fn slice_removed(table: &str, number: u32) -> Checkpoint {
    Checkpoint { key: slice_key(table, number), value: None }
}

pub(crate) fn feed_checkpoint(events: &Table, feed: &Feed) -> Result<Checkpoint, SyncError> {
    let key = if events.name == FIRST_FEED { "feed".to_owned() } else { format!("feed/{}", events.name) };
    checkpoint(key, feed)
}

/// What is owed to a table; nothing removes the checkpoint.
pub(crate) fn owed_checkpoint(table: &str, owed: Option<&Owed>) -> Result<Checkpoint, SyncError> {
    let key = format!("owed/{table}");
    match owed.filter(|owed| owed.all || !owed.ids.is_empty()) {
        Some(owed) => checkpoint(key, owed),
        None => Ok(Checkpoint { key, value: None }),
    }
}

pub(crate) fn round_checkpoint(table: &str, round: &Round) -> Result<Checkpoint, SyncError> {
    checkpoint(format!("round/{table}"), round)
}

fn slice_key(table: &str, number: u32) -> String {
    format!("slice/{table}/{number}")
}

fn checkpoint<T: Serialize>(key: String, value: &T) -> Result<Checkpoint, SyncError> {
    match serde_json::to_value(value) {
        Ok(value) => Ok(Checkpoint { key, value: Some(value) }),
        Err(source) => Err(SyncError::Checkpoint { key, source }),
    }
}

fn parse<T: DeserializeOwned>(key: &str, value: serde_json::Value) -> Result<T, SyncError> {
    serde_json::from_value(value).map_err(|source| SyncError::Checkpoint { key: key.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_14_what_was_missed_of_parents_was_missed_of_what_belongs_to_them() {
        let live = TableState::Live { frontier: None, walks: Walks::default() };
        let began = Began { as_of_micros: 0, dated_micros: 0 };
        let belonging = "customer_balance_transactions";
        let compared = |walks| TableState::Comparing { frontier: None, began, from: None, walks };
        let when_customers_are = |state: TableState| {
            let stored = [("customers", &state), (belonging, &live)];
            let stored = stored.map(|(table, state)| table_checkpoint(table, state).unwrap());
            table_states(stored.to_vec()).unwrap().remove(belonging).unwrap()
        };
        assert_eq!(when_customers_are(compared(Walks::default())), compared(Walks::default()));
        let due = Walks { whole_micros: Some(1), recent_micros: Some(1) };
        assert_eq!(when_customers_are(compared(due)), live, "it was time");
    }
}
