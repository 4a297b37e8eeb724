//! What changes after the first copy, in a world small enough to be changed by hand.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

mod beside;
mod clocks;
mod counting;
mod feeds;
mod following;
mod gaps;
mod moving;
mod parents;
mod pushing;
mod refused;
mod rereading;
mod room;
mod small;
#[path = "../support/mod.rs"]
mod support;
mod withheld;
