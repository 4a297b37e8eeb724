//! The lists that must be asked parent by parent.

use catalog::{List, Parent, Resource, Table};

/// A table whose list must be asked parent by parent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around {
    pub(crate) resource: &'static Resource,
    pub(crate) list: &'static List,
    pub(crate) parent: Parent,
}

/// All of them: those that have no other list, and those that show more of a table that has its own.
pub(crate) fn arounds() -> impl Iterator<Item = Around> {
    catalog::resources().iter().filter_map(|&resource| {
        let list = if resource.is_apart() { resource.list } else { resource.also? };
        Some(Around { resource, list, parent: list.parent? })
    })
}

impl Around {
    pub(crate) fn table(self) -> &'static Table {
        self.resource.table
    }

    /// Whether the round begins only when that table is walked.
    pub(crate) fn waits_for(self, table: &str) -> bool {
        let own = !self.resource.is_apart() && self.table().name == table;
        own || self.parent.table == table || self.parent.needs == Some(table)
    }

    /// The parents' table.
    pub(crate) fn parents(self) -> Option<&'static Table> {
        catalog::table(self.parent.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_parent_by_parent_has_no_nested_lists() {
        assert!(arounds().count() > 20);
        for around in arounds() {
            assert!(!around.resource.is_apart() || around.resource.children.is_empty(), "{around:?}");
            assert!(!around.list.thin, "{around:?}");
            assert!(around.parents().is_some(), "{around:?}");
        }
    }

    /// What a round asks about must not be what another one still brings.
    #[test]
    fn parents_are_complete_when_their_own_list_is() {
        for around in arounds() {
            let owner = catalog::resource_with(around.parent.table).unwrap();
            assert!(!owner.is_apart() && owner.also.is_none(), "{around:?}");
        }
    }
}
