//! Rows as DuckDB takes them over.

use ::duckdb::Error;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use catalog::Table;

use super::apply::Store;
use super::open;

/// Batches are put together as far as they have no more rows and bytes than these.
const SMALL_ROWS: usize = 2_048;
const SMALL_BYTES: usize = 8 << 20;
/// What DuckDB takes over, it holds once more until it is told that this is all; it plans each part as a statement of its own.
const MOST_BYTES: usize = 8 << 20;

impl Store<'_> {
    /// Appends by column name, within the transaction.
    pub(super) fn append(&self, table: &Table, batches: &[&RecordBatch]) -> ::duckdb::Result<()> {
        let (catalog, schema) = (open::CATALOG_NAME, self.schema.as_str());
        let mut same_columns = batches.chunk_by(|one, other| one.schema() == other.schema());
        same_columns.try_for_each(|batches| {
            let Some(fields) = batches.first().map(|rows| rows.schema()) else { return Ok(()) };
            let columns: Vec<&str> = fields.fields().iter().map(|field| field.name().as_str()).collect();
            let mut appender = self
                .connection
                .appender_with_columns_to_catalog_and_db(table.name, catalog, schema, &columns)?;
            let mut bytes = 0;
            for rows in together(&fields, batches)? {
                bytes += rows.get_array_memory_size();
                appender.append_record_batch(rows)?;
                if bytes > MOST_BYTES {
                    appender.flush()?;
                    bytes = 0;
                }
            }
            appender.flush()
        })
    }
}

/// Neighbours that are small in one: DuckDB takes over a batch of one row nearly as slowly as one of a thousand.
fn together(fields: &SchemaRef, batches: &[&RecordBatch]) -> ::duckdb::Result<Vec<RecordBatch>> {
    let mut groups: Vec<Vec<RecordBatch>> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for &batch in batches.iter().filter(|rows| rows.num_rows() > 0) {
        rows += batch.num_rows();
        bytes += batch.get_array_memory_size();
        match groups.last_mut().filter(|_| rows <= SMALL_ROWS && bytes <= SMALL_BYTES) {
            Some(group) => group.push(batch.clone()),
            None => {
                (rows, bytes) = (batch.num_rows(), batch.get_array_memory_size());
                groups.push(vec![batch.clone()]);
            }
        }
    }
    let whole = |group: Vec<RecordBatch>| match <[RecordBatch; 1]>::try_from(group) {
        Ok([only]) => Ok(only),
        Err(group) => concat_batches(fields, &group),
    };
    groups
        .into_iter()
        .map(whole)
        .collect::<Result<_, _>>()
        .map_err(|source| Error::ToSqlConversionFailure(source.into()))
}
