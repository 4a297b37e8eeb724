//! The socket within the data folder: DuckDB lets one process write, so other commands ask the running server.
//!
//! HTTP over a Unix socket that only the folder's owner can reach. Nothing else guards it: who can open the socket could
//! open the warehouse.

mod client;
mod server;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use client::Client;
pub use server::{Socket, serve};

use crate::{cli::Format, updates::Summary, web::ProgressView};

/// One SELECT, and how to give its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ask {
    /// The SELECT.
    pub sql: String,
    /// How.
    pub format: Format,
    /// Where a Parquet file goes: absolute, since the server has another working folder.
    pub output: Option<PathBuf>,
}

/// Rows as they are to be printed; a Parquet file prints nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answered {
    /// Them.
    pub text: String,
    /// How many.
    pub rows: usize,
    /// There were more.
    pub truncated: bool,
}

/// What an update says of itself, one a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// How it goes.
    Progress(ProgressView),
    /// It is over.
    Ended(Summary),
}
