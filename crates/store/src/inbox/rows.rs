//! What the tables of the inbox say.

use super::{Inbox, Waiting};
use crate::error::StoreError;
use crate::store::time;

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    event_id: String,
    received_at: i64,
    body: Vec<u8>,
    tries: i64,
    looked_at: Option<i64>,
}

impl Row {
    pub(super) fn waiting(self) -> Result<Waiting, StoreError> {
        Ok(Waiting {
            event_id: self.event_id,
            received_at: time(self.received_at)?,
            body: self.body,
            tries: u32::try_from(self.tries).unwrap_or(u32::MAX),
            looked_at_micros: self.looked_at,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct Counts {
    received: i64,
    last_received_at: Option<i64>,
    dropped: i64,
    last_dropped_at: Option<i64>,
    last_dropped_why: Option<String>,
    handed_over: i64,
    last_handed_over_at: Option<i64>,
    last_handed_over_why: Option<String>,
}

impl Counts {
    pub(super) fn inbox(self) -> Result<Inbox, StoreError> {
        let last = |(at, why)| Ok::<_, StoreError>((time(at)?, why));
        let dropped = self.last_dropped_at.zip(self.last_dropped_why);
        let handed_over = self.last_handed_over_at.zip(self.last_handed_over_why);
        Ok(Inbox {
            received: wide(self.received),
            last_received_at: self.last_received_at.map(time).transpose()?,
            dropped: wide(self.dropped),
            last_dropped: dropped.map(last).transpose()?,
            handed_over: wide(self.handed_over),
            last_handed_over: handed_over.map(last).transpose()?,
            ..Inbox::default()
        })
    }
}

pub(super) fn wide(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
