//! Members of nested lists as lists of their own: a subscription's items, an invoice's lines.

use std::sync::Arc;

use serde_json::Value;

use super::books::View;
use super::invoice::Invoice;
use super::shelf::Id;
use super::subscription::Subscription;
use crate::filter;
use crate::world::{Found, Rendered, Scan};

pub(super) const KINDS: [&str; 2] = ["subscription_item", "line_item"];

/// One member, not rendered yet.
enum Member<'a> {
    Item(&'a Subscription, usize),
    Line(&'a Invoice, usize),
}

impl Member<'_> {
    fn id(&self) -> Option<&Id> {
        match self {
            Self::Item(subscription, place) => subscription.items.get(*place).map(|item| &item.id),
            Self::Line(invoice, place) => invoice.lines.get(*place).map(|line| &line.id),
        }
    }

    fn parent(&self) -> (&'static str, &Id) {
        match self {
            Self::Item(subscription, _) => ("subscription", &subscription.id),
            Self::Line(invoice, _) => ("invoice", &invoice.id),
        }
    }

    /// Lines have no time of their own: they pass.
    fn is_within(&self, scan: &Scan) -> bool {
        let created = match self {
            Self::Item(subscription, place) => subscription.items.get(*place).map(|item| item.created),
            Self::Line(..) => None,
        };
        created.is_none_or(|at| {
            scan.created_gte.is_none_or(|from| at >= from) && scan.created_lt.is_none_or(|end| at < end)
        })
    }

    fn render(&self, view: &View<'_>) -> Option<Value> {
        match self {
            Self::Item(subscription, place) => subscription.render_items(view).into_iter().nth(*place),
            Self::Line(invoice, place) => invoice.lines.get(*place).map(|line| line.render(invoice, view)),
        }
    }
}

/// All members of a kind: the newest parent's first, in the order that the parent shows them.
fn members<'a>(view: &View<'a>, kind: &str) -> Vec<Member<'a>> {
    match kind {
        "subscription_item" => view
            .books
            .subscriptions
            .iter()
            .rev()
            .flat_map(|parent| (0..parent.items.len()).map(move |place| Member::Item(parent, place)))
            .collect(),
        "line_item" => view
            .books
            .invoices
            .iter()
            .rev()
            .flat_map(|parent| (0..parent.lines.len()).map(move |place| Member::Line(parent, place)))
            .collect(),
        _ => Vec::new(),
    }
}

pub(super) fn scan(view: &View<'_>, scan: &Scan, take: usize) -> Option<Vec<Rendered>> {
    let members = members(view, &scan.kind);
    let place = |id: &str| members.iter().position(|member| member.id().is_some_and(|own| &**own == id));
    let mut window = 0..members.len();
    if let Some(id) = &scan.after {
        window.start = place(id)? + 1;
    }
    if let Some(id) = &scan.before {
        window.end = place(id)?;
    }
    let shown = |member: &Member<'_>| shown(member, view, scan);
    let members = members.get(window).unwrap_or_default().iter();
    if scan.before.is_some() {
        let mut found: Vec<Rendered> = members.rev().filter_map(shown).take(take).collect();
        found.reverse();
        return Some(found);
    }
    Some(members.filter_map(shown).take(take).collect())
}

fn shown(member: &Member<'_>, view: &View<'_>, scan: &Scan) -> Option<Rendered> {
    let (name, parent) = member.parent();
    let other = |filter: &&(String, String)| filter.0 != name;
    let belongs = scan.filters.iter().all(|(filter, wanted)| filter != name || **wanted == **parent);
    if !belongs || !member.is_within(scan) {
        return None;
    }
    let value = member.render(view)?;
    let passes = scan.filters.iter().filter(other).all(|(name, wanted)| filter::passes(&value, name, wanted));
    passes.then(|| Rendered::Value(Arc::new(value)))
}

pub(super) fn get(view: &View<'_>, kind: &str, id: &str) -> Option<Found> {
    let members = members(view, kind);
    let member = members.iter().find(|member| member.id().is_some_and(|own| &**own == id))?;
    Some(Found::Live(Rendered::Value(Arc::new(member.render(view)?))))
}

pub(super) fn truth(view: &View<'_>, kind: &str) -> Vec<Value> {
    members(view, kind).iter().filter_map(|member| member.render(view)).collect()
}
