//! Events: which there are, and how they look.

use std::sync::Arc;

use serde_json::{Value, json};

use super::GallerySpec;
use super::paint::instant;
use super::rooms::Rooms;
use super::shelf::Entry;
use crate::difference::previous;
use crate::shapes::{FACTS, List};
use crate::world::Standing;

/// The version in which the account's events are rendered.
const VERSION: &str = "2026-10-28.endive";
/// The version of an endpoint that was never moved on.
const OLD_VERSION: &str = "2024-06-20";
/// How long events are kept.
const KEPT: i64 = 30 * 86_400;
/// Named after something that a changed property does not come to.
const OTHER_CAUSES: [&str; 6] = ["created", "deleted", "opened", "attached", "detached", "authorized"];

/// The types of event about objects of a list.
pub(super) fn types(list: &List, kind: &str) -> Vec<&'static str> {
    if list.path == "/v1/tax_ids" {
        // Customers' have events, the account's own have none.
        return Vec::new();
    }
    let by_list = FACTS.events.values().flatten().any(|about| *about == list.path);
    let about = |told: &&str| if by_list { *told == list.path } else { *told == kind };
    let events = FACTS.events.iter().filter(|(_, told)| told.as_deref().as_ref().is_some_and(about));
    events.map(|(name, _)| name.as_str()).collect()
}

/// Those of the types that end in this.
pub(super) fn ending(types: &[&'static str], last: &str) -> Option<&'static str> {
    types.iter().find(|name| name.rsplit('.').next() == Some(last)).copied()
}

/// Those of the types that say that something about the object changed, but for a plain `updated`.
pub(super) fn named(types: &[&'static str]) -> Vec<&'static str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let named =
        types.iter().filter(|name| !OTHER_CAUSES.contains(&last(name).as_str()) && last(name) != "updated");
    named.copied().collect()
}

impl Rooms {
    /// Notes that something happened to an object, which looked like `before`; gives the event's id.
    pub(super) fn tell(
        &mut self,
        name: &'static str,
        before: Option<&Value>,
        object: &Value,
        spec: &GallerySpec,
    ) -> Option<String> {
        if name.starts_with("v2.") {
            return self.tell_thinly(name, object);
        }
        let mut data = json!({ "object": object });
        if let (Value::Object(data), Some(previous)) =
            (&mut data, before.and_then(|before| previous(before, object)))
        {
            data.insert("previous_attributes".to_owned(), previous);
        }
        let old = self.chance.one_in_thousand(i64::from(spec.old_events_per_mille));
        if let Some(object) = data.get_mut("object") {
            if name == "invoice.upcoming"
                && let Value::Object(members) = object
            {
                members.remove("id");
            }
            if old {
                age(object);
            }
        }
        let asked = self.chance.one_in_thousand(600);
        let request = asked.then(|| self.ids.next("req_", 14));
        let key = request.as_ref().map(|_| self.ids.next("", 24));
        let id = self.ids.next("evt_1", 23).to_string();
        let event = json!({
            "id": id,
            "object": "event",
            "api_version": if old { OLD_VERSION } else { VERSION },
            "created": self.now,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": 1,
            "request": { "id": request.as_deref(), "idempotency_key": key.as_deref() },
            "type": name,
        });
        self.keep("/v1/events", &id, event);
        Some(id)
    }

    /// A thin event says that, and to what, not how it looks.
    fn tell_thinly(&mut self, name: &str, object: &Value) -> Option<String> {
        let kind = object.get("object")?.as_str()?;
        let of = object.get("id")?.as_str()?;
        let url =
            FACTS.lists_of(kind).find(|list| list.parent.is_none()).map(|list| format!("{}/{of}", list.path));
        let id = self.ids.next("evt_test_61", 30).to_string();
        let event = json!({
            "id": id,
            "object": "v2.core.event",
            "context": null,
            "created": instant(self.now),
            "livemode": self.livemode,
            "reason": null,
            "related_object": { "id": of, "type": kind, "url": url },
            "type": name,
        });
        self.keep("/v2/core/events", &id, event);
        Some(id)
    }

    fn keep(&mut self, path: &str, id: &str, event: Value) {
        let now = self.now;
        let Some(shelf) = self.shelves.iter_mut().find(|shelf| shelf.list.path == path) else { return };
        shelf.entries.push(Entry {
            id: id.to_owned(),
            kind: shelf.list.kind(),
            parent: None,
            created: now,
            value: Arc::new(event),
            standing: Standing::Shown,
        });
    }

    /// Drops events that are too old to be told.
    pub(super) fn forget(&mut self) {
        let from = self.now - KEPT;
        for shelf in self.shelves.iter_mut().filter(|shelf| shelf.list.path.ends_with("/events")) {
            shelf.entries.retain(|event| event.created >= from);
        }
    }
}

/// A payload as an older version had it: what came since is not there, one property has another type.
fn age(object: &mut Value) {
    let Value::Object(members) = object else { return };
    let kind = members.get("object").and_then(Value::as_str).unwrap_or_default().to_owned();
    let newer = FACTS.properties(&kind).iter().rev().filter(|property| property.optional).take(3);
    newer.for_each(|property| {
        members.remove(&property.name);
    });
    if let Some(metadata) = members.get_mut("metadata") {
        *metadata = json!([]);
    }
}
