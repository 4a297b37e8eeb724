//! How far the lists of a turn are walked, for the rounds that wait for them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use catalog::Table;
use tokio::sync::Notify;

use crate::{SyncError, TableReport, TableState, around::Around};

/// The lists of a turn.
#[derive(Default)]
pub(crate) struct Walked {
    stage: Mutex<Stage>,
    /// Those who wait look again.
    moved: Notify,
}

enum Stage {
    /// Those that are walked so far.
    Walking(Vec<TableReport>),
    /// All are, and changes are followed.
    Following,
    /// What changed meanwhile is applied too.
    Followed(Vec<TableReport>),
}

impl Default for Stage {
    fn default() -> Self {
        Self::Walking(Vec::new())
    }
}

impl Walked {
    /// One more list is walked.
    pub(crate) fn add(&self, report: TableReport) {
        if let Stage::Walking(tables) = &mut *self.stage() {
            tables.push(report);
        }
        self.moved.notify_waiters();
    }

    /// The reports, for whoever follows changes now, or at the end.
    pub(crate) fn take(&self) -> Vec<TableReport> {
        let stage = std::mem::replace(&mut *self.stage(), Stage::Following);
        self.moved.notify_waiters();
        match stage {
            Stage::Walking(tables) | Stage::Followed(tables) => tables,
            Stage::Following => Vec::new(),
        }
    }

    /// Changes have been followed.
    pub(crate) fn followed(&self, tables: Vec<TableReport>) {
        *self.stage() = Stage::Followed(tables);
        self.moved.notify_waiters();
    }

    /// Waits until a round can go beside the walks; none when they end before.
    pub(crate) async fn beside(&self, around: Around) -> Option<Parents> {
        self.wait_for(|stage| match stage {
            Stage::Walking(tables) => is_live(around, tables).then(|| Some(parents(around, tables))),
            Stage::Following | Stage::Followed(_) => Some(None),
        })
        .await
    }

    /// Waits until changes have been followed.
    pub(crate) async fn after(&self, around: Around) -> Parents {
        self.wait_for(|stage| match stage {
            Stage::Walking(_) | Stage::Following => None,
            Stage::Followed(tables) => Some(parents(around, tables)),
        })
        .await
    }

    async fn wait_for<T>(&self, what: impl Fn(&Stage) -> Option<T>) -> T {
        loop {
            // It hears of what moves from now on.
            let moved = self.moved.notified();
            if let Some(found) = what(&self.stage()) {
                return found;
            }
            moved.await;
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a round can go.
pub(crate) enum Parents {
    /// They are all there. They can have any only if this table holds something.
    Live {
        needs: Option<&'static Table>,
    },
    Unavailable {
        why: String,
    },
    NotYet,
}

fn standing<'a>(table: &str, tables: &'a [TableReport]) -> Option<&'a Result<TableState, SyncError>> {
    tables.iter().find(|report| report.table == table).map(|report| &report.outcome)
}

/// Whether a round can go while lists are walked yet: all that it takes is walked.
fn is_live(around: Around, walked: &[TableReport]) -> bool {
    let needs = around.parent.needs;
    matches!(parents(around, walked), Parents::Live { .. })
        && needs.is_none_or(|needs| standing(needs, walked).is_some())
}

/// Whether what has to be there before the round is: the parents, and the table's own list where it has one.
fn parents(around: Around, tables: &[TableReport]) -> Parents {
    let own = around.table().name;
    if !around.resource.is_apart() && !matches!(standing(own, tables), Some(Ok(TableState::Live { .. }))) {
        return Parents::NotYet;
    }
    let owner = catalog::resource_with(around.parent.table).map(|owner| owner.table.name);
    match owner.and_then(|owner| standing(owner, tables)) {
        Some(Ok(TableState::Live { .. })) => {
            let needs = around.parent.needs.and_then(catalog::table);
            let is_copied =
                |needs: &&Table| matches!(standing(needs.name, tables), Some(Ok(TableState::Live { .. })));
            Parents::Live { needs: needs.filter(is_copied) }
        }
        Some(Ok(TableState::Unavailable { why })) => Parents::Unavailable { why: why.clone() },
        Some(Ok(TableState::Copying { .. } | TableState::Comparing { .. }) | Err(_)) | None => {
            Parents::NotYet
        }
    }
}
