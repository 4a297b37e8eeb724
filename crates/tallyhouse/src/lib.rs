//! Self-hosted commerce intelligence for Stripe: the program's parts. `main.rs` only starts them.

pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod output;
pub mod progress;
pub mod web;
