//! How warehouse and Stripe stay equal: plan, fetch, apply.
//!
//! [`Engine::run`] is one update cycle of one connection. It resumes or begins the first copy of every table, then
//! applies what changed since, and says for each table what came of it. [`Engine::apply_pushed`] applies what Stripe pushes.
//!
//! What holds at every moment, kill -9 included: a checkpoint names only rows that the same transaction wrote, so the
//! next run ends with the same tables. Deliberately absent: DuckDB, the environment, the wall clock, spawned tasks.

mod again;
mod around;
mod asking;
mod change;
mod copy;
mod cycle;
mod engine;
mod error;
mod event;
mod expansions;
mod fan_out;
mod feeds;
mod fetch;
mod follow;
mod gathered;
mod left;
mod line;
mod missing;
mod nested;
mod progress;
mod pushed;
mod reread;
mod room;
mod round;
mod rounds;
mod seal;
mod set;
mod slice;
mod state;
mod time;
mod told;
mod walked;

pub use engine::{Engine, Options, Report, TableReport};
pub use error::SyncError;
pub use missing::missing_parts;
pub use progress::{Phase, Progress, TableProgress};
pub use reread::Reread;
pub use slice::{Ask, Position, Slice};
pub use state::{Began, Feed, TableState, Walks, are_events_read, table_states};
pub use told::{Awaited, Pass, Pushed, PushedEvent};
