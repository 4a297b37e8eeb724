//! What every warehouse must do, told as stories and run for each of them.

mod batches;
mod children;
mod histories;
mod rows;
mod states;

use catalog::Table;

pub(crate) use self::histories::{histories, newest_wins};
pub(crate) use self::rows::{batch, some_customers, some_invoices, some_lines, told};
use crate::{SchemaName, Warehouse};

/// A warehouse under test.
pub(crate) trait Subject {
    type Warehouse: Warehouse;
    /// The same store each time, opened again if it was shut.
    fn open(&mut self) -> &Self::Warehouse;
    /// Shuts it; nothing is told to it first.
    fn shut(&mut self);
    /// Columns of all rows, by the first column.
    async fn dump(&mut self, table: &Table, columns: &[&str]) -> Vec<String>;
}

/// Runs every story, each on a new warehouse.
pub(crate) async fn all<S: Subject>(new: impl Fn() -> S) {
    batches::rows_and_checkpoints_come_together(new()).await;
    batches::trap_30_checkpoint_commits_with_its_rows(new()).await;
    batches::batches_that_come_at_once_are_stored_one_after_the_other(new()).await;
    states::trap_15_newest_state_wins_in_any_order(new()).await;
    states::trap_11_deleted_rows_are_marked_not_blanked(new()).await;
    children::children_are_replaced_as_a_set(new()).await;
    children::children_without_their_parent_go_by_their_own_time(new()).await;
    children::long_sets_come_in_parts(new()).await;
    children::trap_11_a_set_that_comes_late_is_buried_with_its_parent(new()).await;
    children::sets_end_before_a_mark_of_the_same_batch(new()).await;
    states::sealing_makes_ids_unique(new()).await;
    states::names_what_is_missing(new()).await;
    states::tells_old_states_from_new(new()).await;
    children::trap_11_children_of_a_deleted_parent_are_marked(new()).await;
    states::what_is_gone_at_different_times_is_marked_each_with_its_own(new()).await;
    children::of_two_sets_of_one_parent_in_a_batch_the_later_stays(new()).await;
    batches::every_type_comes_back(new()).await;
    batches::rejects_are_kept_once(new()).await;
}

pub(crate) fn name() -> SchemaName {
    SchemaName::new("acct_1").unwrap()
}

pub(crate) fn customers() -> &'static Table {
    catalog::resource("customers").unwrap().table
}

pub(crate) fn invoices() -> &'static Table {
    catalog::resource("invoices").unwrap().table
}

pub(crate) fn lines() -> &'static Table {
    let children = &catalog::resource("invoices").unwrap().children;
    children.iter().find(|child| child.table.name == "invoice_line_items").unwrap().table
}

pub(crate) async fn prepared<S: Subject>(subject: &mut S) -> &S::Warehouse {
    let warehouse = subject.open();
    warehouse.prepare(&name(), vec![customers(), invoices(), lines()]).await.unwrap();
    warehouse
}
