//! The end of inserting.

use catalog::Resource;
use warehouse::{SchemaName, Warehouse};

use crate::{SyncError, reread::is_feed};

/// What a first copy inserted without looking it up is there once from now on, with what belongs to it. No first copy may end, be
/// it before its time, without this: what comes later only merges.
pub(crate) async fn seal(
    warehouse: &impl Warehouse,
    schema: &SchemaName,
    resource: &'static Resource,
) -> Result<(), SyncError> {
    let children = resource.children.iter().map(|child| child.table);
    for sealed in std::iter::once(resource.table).chain(children) {
        let removed = warehouse.seal(schema, sealed).await?;
        // Events are pushed meanwhile.
        if removed > 0 && !is_feed(sealed) {
            tracing::warn!(table = sealed.name, removed, "removed {removed} rows that were stored twice");
        }
    }
    Ok(())
}
