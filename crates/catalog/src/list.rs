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
    /// It takes `created[gte]` and `created[lt]`: the property that they are about. None when it takes neither, or its
    /// objects do not say when they were created.
    pub created: Option<&'static str>,
    /// How one page leads to the next.
    pub paging: Paging,
    /// Parameters that narrow it.
    pub filters: &'static [&'static str],
    /// The types of the events that tell of its objects.
    pub events: &'static [&'static str],
    /// What its objects show only when they are asked to (API v2's `include`, trap 6).
    pub include: &'static [&'static str],
    /// The list cannot be asked so: each of its objects must be read by itself.
    pub thin: bool,
    /// Whether it can be walked at all; what cannot says why in tools/exceptions.tsv.
    pub walked: bool,
}

impl Place {
    /// The name by which the list calls its parents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Path(name) | Self::Query(name) => name,
        }
    }
}

/// A version of Stripe's API. Each has its own events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Objects within their events, seconds, cursors.
    V1,
    /// Thin events, moments as text, pages.
    V2,
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
    /// Whether the parent shows its first objects.
    pub shown: Shown,
    /// What the ids of parents that can have any begin with; empty when all can.
    pub ids: &'static str,
    /// While this table is empty, no parent has any.
    pub needs: Option<&'static str>,
}

/// Whether a parent shows the first objects of a list, and under which property; dots lead into nested objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It does not: every parent must be asked for its own.
    Apart,
    /// Always, "lines".
    Always(&'static str),
    /// When it is asked to expand the property (trap 13), "computed.upfront.line_items".
    Expanded(&'static str),
}

impl Shown {
    /// The property.
    #[must_use]
    pub fn property(self) -> Option<&'static str> {
        match self {
            Self::Apart => None,
            Self::Always(property) | Self::Expanded(property) => Some(property),
        }
    }
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
        created: None,
        paging: Paging::After,
        filters: &[],
        events: &[],
        include: &[],
        thin: false,
        walked: true,
    };

    /// The version of Stripe's API that has it.
    #[must_use]
    pub fn api(&self) -> Api {
        if self.path.starts_with("/v2/") { Api::V2 } else { Api::V1 }
    }

    /// Its path for one parent; `encoded` is the parent's id as a path segment.
    #[must_use]
    pub fn path_of(&self, encoded: &str) -> String {
        match self.parent.map(|parent| parent.place) {
            Some(Place::Path(name)) => self.path.replace(&format!("{{{name}}}"), encoded),
            Some(Place::Query(_)) | None => self.path.to_owned(),
        }
    }

    /// Whether events, or the list asked for what is new, tell of every object and every change; otherwise it must be
    /// walked again from time to time (trap 17).
    #[must_use]
    pub fn is_followed(&self) -> bool {
        let told = |end: &str| self.events.iter().any(|kind| kind.ends_with(end));
        told(".updated") && (self.created.is_some() || told(".created"))
    }
}

/// Every list that Stripe has, those of API v2 last.
#[must_use]
pub fn lists() -> &'static [List] {
    &generated::LISTS
}
