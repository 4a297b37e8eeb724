//! A Stripe to run: a seeded business and a clock behind an HTTP router, with scripted faults.
//!
//! [`Sim`] answers as Stripe does over any [`World`](world::World): [`bulk::Bulk`] computes millions of objects on
//! demand, [`story::Story`] is a business that lives, [`gallery::Gallery`] has some of everything that Stripe lists.
//! Nothing here is shared with the programs under test.

pub mod bulk;
mod chance;
mod difference;
mod filter;
pub mod gallery;
mod http;
mod shapes;
mod standalone;
pub mod story;
pub mod world;

pub use crate::http::{
    Access, Application, Clock, DEMO_CLIENT_ID, DEMO_EMAIL, DEMO_KEY, DEMO_PASSWORD, DEMO_PLATFORM_KEY,
    DEMO_RESTRICTED_KEY, Delivered, Fault, FaultScript, InProcess, Key, RateLimits, Sim, SimOptions, Stats,
    User,
};
