//! What is missing of tables that stand, as it is stored.

use std::collections::BTreeMap;

use warehouse::Checkpoint;

use crate::{
    SyncError,
    around::arounds,
    error::counted,
    expansions::{refusals, refused},
    state::Stored,
};

/// What is missing of tables, by table, each in a sentence: what Stripe does not let the key expand, what parents did not show,
/// and objects that could not be read again.
///
/// # Errors
/// When another version of the program wrote the checkpoints.
pub fn missing_parts(checkpoints: &[Checkpoint]) -> Result<BTreeMap<String, String>, SyncError> {
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut say = |table: &str, what: String| missing.entry(table.to_owned()).or_default().push(what);
    for (table, why) in refusals(checkpoints) {
        if let Some(resource) = catalog::resource(table) {
            say(table, refused(resource, why.to_owned()).to_string());
        }
    }
    let Stored { rounds, owed, .. } = Stored::read(checkpoints.to_vec())?;
    for around in arounds() {
        let table = around.table().name;
        if let Some(round) = rounds.get(table).filter(|round| round.was_whole() && !round.owed.is_empty()) {
            let (parents, of) = (around.parent.table, round.owing());
            say(
                table,
                format!("what belongs to {of} in {parents} could not be read; each update asks again"),
            );
        }
    }
    for (table, owed) in owed.iter().filter(|(_, owed)| !owed.ids.is_empty()) {
        let objects = counted(owed.ids.len(), "changed object");
        say(table, format!("{objects} could not be read; each update asks again"));
    }
    Ok(missing.into_iter().map(|(table, what)| (table, what.join("; "))).collect())
}
