//! Self-hosted commerce intelligence for Stripe: the program's parts. `main.rs` only starts them.

pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod inbox;
pub mod installation;
pub mod local;
pub mod output;
pub mod progress;
pub mod server;
pub mod stripe_access;
#[cfg(test)]
mod testing;
pub mod updates;
pub mod web;
