use warehouse::QueryError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The warehouse did not answer. The source can quote values of rows.
    #[error("could not ask for {metric}")]
    Ask {
        /// The metric's id.
        metric: &'static str,
        /// What the warehouse said.
        #[source]
        source: QueryError,
    },
    /// The answer has more rows than a reader gives; drawn, it would be wrong.
    #[error("could not draw {metric}: the answer has too many rows")]
    TooLong {
        /// The metric's id.
        metric: &'static str,
    },
    /// The answer has a row that means nothing: a column that is missing or of another type, a period that was not
    /// asked for, or a sum beyond 64 bits.
    #[error("could not draw {metric}: row {row} of the answer is not what was asked for")]
    Shape {
        /// The metric's id.
        metric: &'static str,
        /// Which row, from 0.
        row: usize,
    },
}
