//! What an event says, as a hint: which object to read again. Its payload is stored, never trusted (trap 14).

use serde::Deserialize;

/// The object that an event is about.
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
    pub(crate) subject: Option<Subject>,
}

#[derive(Deserialize)]
struct EventPage {
    data: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    data: Payload,
}

#[derive(Deserialize)]
struct Payload {
    object: Shown,
}

#[derive(Deserialize)]
struct Shown {
    id: Option<String>,
    object: Option<String>,
}

/// The hints of a page of `/v1/events`.
pub(crate) fn hints(body: &[u8]) -> Result<Vec<Hint>, serde_json::Error> {
    let page: EventPage = serde_json::from_slice(body)?;
    Ok(page.data.into_iter().map(hint).collect())
}

fn hint(event: Event) -> Hint {
    let Shown { id, object } = event.data.object;
    let subject = object.zip(id).map(|(object, id)| Subject { object, id });
    Hint { event: event.id, subject }
}
