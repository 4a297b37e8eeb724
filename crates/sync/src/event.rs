//! What an event says, as a hint: which objects to read again. Its payload is stored, never trusted (trap 14).

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::state::HOLD_BACK;

/// An object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) object: String,
    pub(crate) id: String,
}

/// One event of a page.
#[derive(Debug)]
pub(crate) struct Hint {
    pub(crate) event: String,
    /// None for payloads without id (trap 16).
    pub(crate) subjects: Vec<Subject>,
    /// When it happened, in seconds, if it says so.
    created: Option<i64>,
    /// It says that something is gone, which will not show any more.
    pub(crate) is_deletion: bool,
}

impl Hint {
    /// Whether Stripe may not show yet what goes with it (trap 4), when so many seconds have `passed` since it was first seen: by
    /// Stripe's clock since it happened, where both are known.
    pub(crate) fn is_young(&self, date: Option<DateTime<Utc>>, passed: u64) -> bool {
        let passed = match (self.created, date) {
            (Some(created), Some(date)) => date.timestamp().abs_diff(created),
            (_, _) => passed,
        };
        passed < HOLD_BACK.unsigned_abs()
    }
}

/// Objects that change together with the one that an event shows, though no event of their own is promised: the
/// event's object, its property that names the other, and what the other is. From the descriptions of the event
/// types and of the objects in Stripe's API reference.
const CHANGED_WITH: &[(&str, &str, &str)] = &[
    ("dispute", "charge", "charge"),               // charge.dispute.*: `disputed`
    ("refund", "charge", "charge"),                // refund.*: `amount_refunded`, `refunded`
    ("review", "charge", "charge"),                // review.*: `outcome`, `review`
    ("payment_intent", "latest_charge", "charge"), // payment_intent.*: a capture or a cancellation
    ("credit_note", "invoice", "invoice"),         // credit_note.*: amounts credited and remaining
    ("invoice_payment", "invoice", "invoice"),     // invoice_payment.paid: amounts paid and remaining
    ("invoiceitem", "invoice", "invoice"),         // invoiceitem.*: lines and totals of a draft
    ("discount", "customer", "customer"),          // customer.discount.*: `discount`
    ("discount", "subscription", "subscription"),  // customer.discount.*: `discounts`
    ("discount", "invoice", "invoice"),            // customer.discount.*: `discounts`
    ("subscription_schedule", "subscription", "subscription"), // subscription_schedule.*: `schedule`, phases
];

#[derive(Deserialize)]
struct EventPage<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

/// Parts of an object of another kind, which can only be asked for through it: the object that an event shows, its
/// property that names the other, and what the other is. The whole is read again, and with it its parts.
const PARTS: &[(&str, &str, &str)] = &[
    ("capability", "account", "account"),
    ("person", "account", "account"),
    ("bank_account", "account", "account"),
    ("card", "account", "account"),
    ("bank_account", "customer", "customer"),
    ("card", "customer", "customer"),
    ("source", "customer", "customer"),
    ("tax_id", "customer", "customer"),
    ("customer_balance_transaction", "customer", "customer"),
    ("customer_cash_balance_transaction", "customer", "customer"),
    ("entitlements.active_entitlement_summary", "customer", "customer"),
    ("fee_refund", "fee", "application_fee"),
    ("issuing.token", "card", "issuing.card"),
    ("treasury.credit_reversal", "financial_account", "treasury.financial_account"),
    ("treasury.debit_reversal", "financial_account", "treasury.financial_account"),
    ("treasury.inbound_transfer", "financial_account", "treasury.financial_account"),
    ("treasury.outbound_payment", "financial_account", "treasury.financial_account"),
    ("treasury.outbound_transfer", "financial_account", "treasury.financial_account"),
    ("treasury.received_credit", "financial_account", "treasury.financial_account"),
    ("treasury.received_debit", "financial_account", "treasury.financial_account"),
];

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(default)]
    object: String,
    /// Seconds, or a moment as API v2 writes it (trap 6).
    #[serde(default)]
    created: serde_json::Value,
    #[serde(default, rename = "type")]
    name: serde_json::Value,
    data: Option<Payload>,
    related_object: Option<Related>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    object: serde_json::Map<String, serde_json::Value>,
}

/// All that a thin event says of what it is about (trap 18).
#[derive(Deserialize)]
struct Related {
    id: String,
    #[serde(rename = "type")]
    object: String,
    url: Option<String>,
}

/// What events of API v2 call themselves.
const THIN: &str = "v2.core.event";

/// The hints of a page of `/v1/events`. An event that is not what events look like hints at nothing: its row or
/// reject is kept all the same, and it must not hold up the others.
pub(crate) fn hints(body: &[u8]) -> Result<Vec<Hint>, serde_json::Error> {
    let page: EventPage<'_> = serde_json::from_slice(body)?;
    Ok(page.data.into_iter().filter_map(hint).collect())
}

/// What an event that Stripe pushed hints at, and whether it is one of API v1.
pub(crate) fn pushed(body: &[u8]) -> Result<(Hint, bool), serde_json::Error> {
    let event: Event = serde_json::from_slice(body)?;
    let is_v1 = event.object != THIN;
    Ok((event.hint(), is_v1))
}

fn hint(raw: &RawValue) -> Option<Hint> {
    match serde_json::from_str::<Event>(raw.get()) {
        Ok(event) => Some(event.hint()),
        Err(error) => {
            tracing::warn!(%error, "an event cannot be understood; what it is about is not read again");
            None
        }
    }
}

impl Event {
    fn hint(self) -> Hint {
        let Self { id, object: _, created, name, data, related_object } = self;
        let mut subjects = data.map(|data| subjects(&data.object)).unwrap_or_default();
        subjects.extend(related_object.map(referred));
        let moment = |text: &str| Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp());
        let created = created.as_i64().or_else(|| created.as_str().and_then(moment));
        let is_deletion = name.as_str().is_some_and(|name| name.ends_with(".deleted"));
        Hint { event: id, subjects, created, is_deletion }
    }
}

fn subjects(shown: &serde_json::Map<String, serde_json::Value>) -> Vec<Subject> {
    let Some(object) = shown.get("object").and_then(serde_json::Value::as_str) else { return Vec::new() };
    let own = shown.get("id").and_then(serde_json::Value::as_str).map(|id| (object, id));
    let named_by = |table: &'static [(&str, &'static str, &'static str)]| {
        let of_this = table.iter().filter(|(of, _, _)| *of == object);
        of_this.filter_map(|(_, property, other)| Some((*other, named(shown.get(*property)?)?)))
    };
    let subject = |(object, id): (&str, &str)| Subject { object: object.to_owned(), id: id.to_owned() };
    let wholes: Vec<Subject> = named_by(PARTS).map(subject).collect();
    if !wholes.is_empty() {
        return wholes;
    }
    own.into_iter().chain(named_by(CHANGED_WITH)).map(subject).collect()
}

/// The object that a thin event refers to, or the one that it is a part of.
fn referred(Related { id, object, url }: Related) -> Subject {
    let list = catalog::lists().iter().find(|list| list.table.object == object);
    let whole = list.and_then(|list| {
        let parent = catalog::resource(list.parent?.table)?.table.object;
        let place = list.path.split('/').position(|part| part.starts_with('{'))?;
        let id = url.as_deref()?.split('/').nth(place)?;
        Some(Subject { object: parent.to_owned(), id: id.to_owned() })
    });
    whole.unwrap_or(Subject { object, id })
}

/// The id of an object that is named, or shown whole.
fn named(value: &serde_json::Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("id")?.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn told(object: &serde_json::Value) -> Vec<String> {
        let page = json!({ "data": [{ "id": "evt_1", "data": { "object": object } }] });
        let hints = hints(page.to_string().as_bytes()).unwrap();
        hints.into_iter().flat_map(|hint| hint.subjects).map(|subject| subject.id).collect()
    }

    #[test]
    fn an_event_names_what_changes_with_its_object() {
        let dispute = json!({ "id": "dp_1", "object": "dispute", "charge": "ch_1" });
        assert_eq!(told(&dispute), ["dp_1", "ch_1"]);
        let discount =
            json!({ "id": "di_1", "object": "discount", "customer": { "id": "cus_1" }, "invoice": null });
        assert_eq!(told(&discount), ["di_1", "cus_1"]);
    }

    #[test]
    fn trap_9_a_part_is_read_again_with_its_whole() {
        let person = json!({ "id": "person_1", "object": "person", "account": "acct_1" });
        assert_eq!(told(&person), ["acct_1"]);
        // The account's own tax id has no whole.
        let own = json!({ "id": "txi_1", "object": "tax_id", "customer": null });
        assert_eq!(told(&own), ["txi_1"]);
        let summary = json!({ "object": "entitlements.active_entitlement_summary", "customer": "cus_1" });
        assert_eq!(told(&summary), ["cus_1"]);
    }

    /// What events show of lists whose objects are of several kinds, or are not shown by themselves.
    const SHOWN: [(&str, &[&str]); 3] = [
        ("account_external_accounts", &["bank_account", "card"]),
        ("customer_sources", &["bank_account", "card", "source"]),
        ("entitlements_active_entitlements", &["entitlements.active_entitlement_summary"]),
    ];

    /// What is not read again through its parent, and why.
    const UNTRACED: [(&str, &str); 2] = [
        ("payment_methods", "each is read again by its own id"),
        ("source_transactions", "they name a source, which only its customer can show, and not the customer"),
    ];

    /// Whether an event about a part leads to the whole and to nothing else.
    fn leads_to_its_whole(list: &catalog::List, parent: catalog::Parent, object: &str) -> bool {
        let whole = catalog::resource_with(parent.table).unwrap();
        assert!(!whole.is_apart() && whole.list.retrieve.is_some(), "{} cannot be read again", parent.table);
        let refers = list.table.columns.iter().find(|column| column.refers_to(whole.table.object));
        let property = refers.map_or(parent.place.name(), |column| column.name);
        let url = list.retrieve.unwrap_or_default().replace("{parent}", "whole").replace("{id}", "part");
        let event = match list.api() {
            catalog::Api::V1 => json!({ "object": { "object": object, "id": "part", property: "whole" } }),
            catalog::Api::V2 => json!({ "id": "part", "type": object, "url": url }),
        };
        let shown = if list.api() == catalog::Api::V1 { "data" } else { "related_object" };
        let page = json!({ "data": [{ "id": "evt_1", shown: event }] });
        let hints = hints(page.to_string().as_bytes()).unwrap();
        let named: Vec<_> = hints.into_iter().flat_map(|hint| hint.subjects).collect();
        named == [Subject { object: whole.table.object.to_owned(), id: "whole".to_owned() }]
    }

    #[test]
    fn trap_9_an_event_about_what_any_list_shows_of_a_parent_leads_to_the_parent() {
        let mut untraced = BTreeSet::new();
        for list in catalog::lists().iter().filter(|list| list.walked && !list.events.is_empty()) {
            let Some(parent) = list.parent else { continue };
            let shown = SHOWN.iter().find(|(table, _)| *table == list.table.name);
            let objects = shown.map_or(vec![list.table.object], |(_, objects)| objects.to_vec());
            if !objects.into_iter().all(|object| leads_to_its_whole(list, parent, object)) {
                untraced.insert(list.table.name);
            }
        }
        assert_eq!(untraced, UNTRACED.map(|(table, _)| table).into());
    }

    #[test]
    fn trap_18_thin_events_name_what_to_read() {
        let page = json!({ "data": [
            { "id": "evt_1", "related_object": { "id": "acct_1", "type": "v2.core.account", "url": "/v2/core/accounts/acct_1" } },
            { "id": "evt_2", "related_object": {
                "id": "person_1", "type": "v2.core.account_person", "url": "/v2/core/accounts/acct_2/persons/person_1",
            } },
            { "id": "evt_3", "related_object": null },
            { "id": "evt_4", "data": { "reason": "thin events may carry data of their own" } },
        ] });
        let hints = hints(page.to_string().as_bytes()).unwrap();
        assert_eq!(hints.len(), 4);
        let named: Vec<_> = hints
            .into_iter()
            .flat_map(|hint| hint.subjects)
            .map(|subject| (subject.object, subject.id))
            .collect();
        let account = |id: &str| ("v2.core.account".to_owned(), id.to_owned());
        assert_eq!(named, [account("acct_1"), account("acct_2")]);
    }

    #[test]
    fn trap_16_payloads_without_id_name_nothing() {
        assert_eq!(told(&json!({ "object": "invoice", "customer": "cus_1" })), [""; 0]);
    }

    #[test]
    fn trap_18_a_pushed_thin_event_names_its_related_object() {
        let thin = json!({
            "id": "evt_1", "object": "v2.core.event", "type": "v2.core.account.updated", "data": { "x": 1 },
            "related_object": { "id": "acct_1", "type": "v2.core.account", "url": "/v2/core/accounts/acct_1" },
        });
        let (hint, is_v1) = pushed(thin.to_string().as_bytes()).unwrap();
        let named: Vec<_> = hint.subjects.into_iter().map(|subject| (subject.object, subject.id)).collect();
        assert_eq!(named, [("v2.core.account".to_owned(), "acct_1".to_owned())]);
        assert!(!is_v1);
    }

    #[test]
    fn an_odd_event_holds_up_no_other() {
        let page = br#"{"data":[7,{"id":"evt_1","data":{"object":[]}},{"id":"evt_2"},
            {"id":"evt_3","data":{"object":{"object":"plan","id":"p"}}}]}"#;
        let hints: Vec<String> = hints(page).unwrap().into_iter().map(|hint| hint.event).collect();
        assert_eq!(hints, ["evt_2", "evt_3"]);
    }
}
