//! The lists that Stripe has, and how each is asked for.

use crate::{Table, generated};

/// One list of Stripe's API.
#[derive(Debug)]
pub struct List {
    /// "/v1/charges", "/v1/invoices/{invoice}/lines".
    pub path: &'static str,
    /// Where its objects rest.
    pub table: &'static Table,
    /// Whose objects it shows; none when it shows the account's.
    pub parent: Option<Parent>,
    /// What every page must be asked with, lest Stripe refuse or leave something out.
    pub params: &'static [(&'static str, &'static str)],
    /// With these instead it shows what it may leave out otherwise.
    pub again: &'static [(&'static str, &'static str)],
    /// "/v1/charges/{id}"; "{parent}" stands for the parent's id.
    pub retrieve: Option<&'static str>,
    /// It takes `created[gte]` and `created[lt]`.
    pub created: bool,
    /// How one page leads to the next.
    pub paging: Paging,
    /// Parameters that narrow it.
    pub filters: &'static [&'static str],
    /// The types of the events that tell of its objects.
    pub events: &'static [&'static str],
    /// Whether it can be walked at all; what cannot says why in tools/exceptions.tsv.
    pub walked: bool,
}

/// How one page leads to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// `starting_after` the last object, while `has_more`.
    After,
    /// As API v2 does: `next_page_url`.
    Page,
    /// It has one page.
    Whole,
}

/// Whose objects a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Where the parents rest.
    pub table: &'static str,
    /// Where a parent's id goes.
    pub place: Place,
    /// The parent's property that shows the first objects of the list.
    pub shown: Option<&'static str>,
}

/// Where a parent's id goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Into the path, for this name in braces.
    Path(&'static str),
    /// Into this parameter.
    Query(&'static str),
}

impl List {
    /// The account's own list, by `starting_after`, of which no event tells.
    pub(crate) const PLAIN: Self = Self {
        path: "",
        table: &Table { name: "", object: "", description: "", columns: &[] },
        parent: None,
        params: &[],
        again: &[],
        retrieve: None,
        created: false,
        paging: Paging::After,
        filters: &[],
        events: &[],
        walked: true,
    };

    /// Whether events, or the list asked for what is new, tell of every object and every change; otherwise it must be
    /// walked again from time to time (trap 17).
    #[must_use]
    pub fn is_followed(&self) -> bool {
        let told = |end: &str| self.events.iter().any(|kind| kind.ends_with(end));
        told(".updated") && (self.created || told(".created"))
    }
}

/// Every list that Stripe has, those of API v2 last.
#[must_use]
pub fn lists() -> &'static [List] {
    &generated::LISTS
}
