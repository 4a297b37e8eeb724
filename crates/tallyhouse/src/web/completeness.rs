//! What numbers lack while the tables they are made of are not complete. A number that will grow must not look final.

use super::{ProgressView, TableProgressView, TableStanding, words::sentence};

/// What keeps numbers out of `tables` from being final, in sentences; none when every one of them is complete.
pub(super) fn missing(tables: &[&str], standing: &ProgressView) -> Option<String> {
    let told: Vec<String> = tables.iter().filter_map(|table| of_one(table, standing)).collect();
    (!told.is_empty()).then(|| told.join(" "))
}

fn of_one(table: &str, standing: &ProgressView) -> Option<String> {
    let name = table.replace('_', " ");
    let Some(found) = standing.tables.iter().find(|found| found.table == table) else {
        return Some(sentence(&format!("how complete {name} are could not be told: these numbers may grow")));
    };
    let told = match found.state {
        TableStanding::Live => return None,
        TableStanding::Waiting => format!("{name} are not copied yet: these numbers will grow"),
        TableStanding::Copying if standing.is_running() => {
            format!("{name} are still being copied{}: these numbers will grow", percent(found))
        }
        TableStanding::Copying => {
            format!("{name} are copied in part: these numbers will grow when the copy goes on")
        }
        TableStanding::Comparing => format!(
            "changes of {name} over 29 days or more may have been missed: until all of them are compared with \
             Stripe{}, these numbers may be wrong",
            percent(found)
        ),
        TableStanding::Unavailable => format!("{name} are not available: {}", why(found)),
        TableStanding::Failed => {
            format!("{name} are not up to date, so these numbers may be too low: {}", why(found))
        }
    };
    Some(sentence(&told))
}

/// How far it is, in brackets.
fn percent(table: &TableProgressView) -> String {
    table.percent.map(|percent| format!(" ({percent} %)")).unwrap_or_default()
}

fn why(table: &TableProgressView) -> &str {
    table.why.as_deref().unwrap_or("the log says why")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::SyncPhase;

    fn standing(state: TableStanding, phase: SyncPhase) -> ProgressView {
        let why = Some("The key lacks read access to invoices.".to_owned());
        let invoices =
            TableProgressView { state, percent: Some(42), why, ..TableProgressView::waiting("invoices") };
        let charges =
            TableProgressView { state: TableStanding::Live, ..TableProgressView::waiting("charges") };
        ProgressView { phase, began_at: None, tables: vec![charges, invoices] }
    }

    #[test]
    fn every_state_but_complete_is_told_in_words() {
        let said = |state, phase| missing(&["charges", "invoices"], &standing(state, phase));
        let copying = "Invoices are still being copied (42 %): these numbers will grow.";
        assert_eq!(said(TableStanding::Copying, SyncPhase::Copying).as_deref(), Some(copying));
        let part = "Invoices are copied in part: these numbers will grow when the copy goes on.";
        assert_eq!(said(TableStanding::Copying, SyncPhase::Resting).as_deref(), Some(part));
        let waiting = "Invoices are not copied yet: these numbers will grow.";
        assert_eq!(said(TableStanding::Waiting, SyncPhase::Copying).as_deref(), Some(waiting));
        let comparing = "Changes of invoices over 29 days or more may have been missed: until all of them are compared with \
                         Stripe (42 %), these numbers may be wrong.";
        assert_eq!(said(TableStanding::Comparing, SyncPhase::Copying).as_deref(), Some(comparing));
        let unavailable = "Invoices are not available: The key lacks read access to invoices.";
        assert_eq!(said(TableStanding::Unavailable, SyncPhase::Resting).as_deref(), Some(unavailable));
        let failed = "Invoices are not up to date, so these numbers may be too low: The key lacks read access to invoices.";
        assert_eq!(said(TableStanding::Failed, SyncPhase::Resting).as_deref(), Some(failed));
        assert_eq!(said(TableStanding::Live, SyncPhase::Changes), None);
    }

    #[test]
    fn a_table_nobody_knows_of_is_not_taken_for_complete() {
        let told = missing(&["balance_transactions"], &ProgressView::default()).unwrap();
        assert_eq!(told, "How complete balance transactions are could not be told: these numbers may grow.");
        assert_eq!(missing(&["charges"], &standing(TableStanding::Copying, SyncPhase::Copying)), None);
    }
}
