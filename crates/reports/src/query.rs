use warehouse::{QueryError, QueryTable};

/// Something that answers SQL and cannot write.
pub trait Query: Sync {
    /// Asks. The text needs no parameters.
    ///
    /// # Errors
    /// When there is no answer; see [`QueryError`].
    fn query(&self, sql: &str) -> impl Future<Output = Result<QueryTable, QueryError>> + Send;
}

#[cfg(any(feature = "duckdb", test))]
impl Query for warehouse::Reader {
    async fn query(&self, sql: &str) -> Result<QueryTable, QueryError> {
        self.query(sql, Vec::new()).await
    }
}
