use std::path::PathBuf;

/// Why, in the warehouse's own words, which can quote values of rows: for the log, never for a page.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a warehouse did not do as asked. What was asked did not happen, not even in part.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// The writer is gone, which the log says. The caller must assume nothing and open the warehouse again.
    #[error("the warehouse has stopped")]
    Stopped,
    /// Another process has the file open.
    #[error("{} is in use: a running server holds it; ask the server, or stop it first", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// What the warehouse said.
        #[source]
        source: Source,
    },
    /// The file was written by a later version than this program can read.
    #[error("{} was written by a newer version; use that version or a later one", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What the warehouse said.
        #[source]
        source: Source,
    },
    /// The file cannot be opened; or not again, which each further call tries.
    #[error("could not open the warehouse at {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the warehouse said.
        #[source]
        source: Source,
    },
    /// A statement failed.
    #[error("could not {attempted}")]
    Failed {
        /// What was attempted: "merge rows into charges".
        attempted: String,
        /// What the warehouse said.
        #[source]
        source: Source,
    },
    /// A record batch does not have the columns of its table.
    #[error("rows for {table} lack a {column} column of the right type")]
    Shape {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
}

impl WarehouseError {
    /// Wraps the failure of `attempted` ("count charges").
    #[cfg_attr(not(feature = "duckdb"), expect(dead_code, reason = "memory does not fail this way"))]
    pub(crate) fn failed(attempted: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Failed { attempted: attempted.into(), source: source.into() }
    }
}
