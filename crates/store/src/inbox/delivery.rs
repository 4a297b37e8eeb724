use chrono::{DateTime, Utc};

/// An event that Stripe pushed, to be kept until it is in the warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whose it is.
    pub connection_id: String,
    /// Stripe's `evt_...`; a repeated delivery has the same.
    pub event_id: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// As it came.
    pub body: Vec<u8>,
}

/// An event of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Stripe's `evt_...`
    pub event_id: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// As it came.
    pub body: Vec<u8>,
    /// How often it was looked at in vain.
    pub tries: u32,
    /// When it was first looked at, in microseconds of the clock that stamps Stripe's answers.
    pub looked_at_micros: Option<i64>,
}

/// Events that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Those that have been so longest, first.
    pub events: Vec<Waiting>,
    /// They are as many as are read at once, so that more may be due.
    pub is_cut: bool,
}

/// An event that could not be applied now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postponed {
    /// Stripe's `evt_...`
    pub event_id: String,
    /// When to look again; never at what cannot be understood, which stays to be shown.
    pub due_at: Option<DateTime<Utc>>,
    /// As [`Waiting::looked_at_micros`].
    pub looked_at_micros: Option<i64>,
    /// Why it waits, in a sentence.
    pub why: String,
    /// The table whose first copy it waits for: [`hasten_deliveries`](crate::Store::hasten_deliveries) makes it due once that may be complete.
    pub awaits_copy_of: Option<String>,
}

/// What becomes of events that were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// They are in the warehouse, and leave the inbox.
    pub applied: Vec<String>,
    /// They stay, for later or for people to look at.
    pub postponed: Vec<Postponed>,
    /// They leave without being in the warehouse, and are counted with why: others see to them.
    pub handed_over: Vec<Postponed>,
    /// Rows were written for the connection.
    pub wrote: bool,
}

/// What came for a connection and what of it waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbox {
    /// Deliveries so far, repeated ones too.
    pub received: u64,
    /// When the last one came.
    pub last_received_at: Option<DateTime<Utc>>,
    /// Deliveries that were not for the connection's account and mode.
    pub dropped: u64,
    /// The last of these: when, and why it was dropped.
    pub last_dropped: Option<(DateTime<Utc>, String)>,
    /// Events that could not be applied for days and were left to updates.
    pub handed_over: u64,
    /// The last of these: when, and why it could not be applied.
    pub last_handed_over: Option<(DateTime<Utc>, String)>,
    /// Events that are not in the warehouse yet.
    pub waiting: u64,
    /// When the oldest of them came.
    pub oldest_at: Option<DateTime<Utc>>,
    /// Why some of them wait, each sentence with how many, the most first.
    pub reasons: Vec<(String, u64)>,
    /// Events that cannot be understood: id, when it came, and why.
    pub rejected: Vec<(String, DateTime<Utc>, String)>,
}

/// How much of a connection's events waits to be applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// How many.
    pub events: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}
