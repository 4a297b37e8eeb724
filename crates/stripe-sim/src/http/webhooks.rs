//! Events for endpoints: gathered as the clock moves, sent beside it, repeated until taken, given up in the end.

mod sending;
#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};

use futures::future::join_all;
use serde_json::{Value, json};

use super::render::cut;
use super::{Sim, lock};
use crate::world::{Rendered, Scan};

pub(super) use self::sending::Outbound;

/// Events kept for an endpoint that does not answer; the oldest go first.
const PENDING: usize = 10_000;
/// Events read at a time.
const CHUNK: usize = 200;
/// The furthest that the clock moves before events are gathered: they are kept for 30 days.
const STEP: i64 = 10 * 86_400;
/// How long Stripe tries; then the endpoint is disabled.
const GIVE_UP: i64 = 3 * 86_400;

/// The endpoints and what waits for them.
#[derive(Default)]
pub(super) struct Webhooks {
    endpoints: Vec<Endpoint>,
}

struct Endpoint {
    url: String,
    secret: String,
    /// Connect endpoints hear of connected accounts, whose id their events carry.
    connect: bool,
    seen: Seen,
    waiting: VecDeque<Waiting>,
    /// Events that it has not taken, those given up too.
    undelivered: HashSet<String>,
    disabled: bool,
}

/// What an endpoint has been told: all before a second, and some of that second.
struct Seen {
    second: i64,
    ids: HashSet<String>,
}

/// An event on its way.
struct Waiting {
    event: Value,
    tries: u32,
    first_tried: Option<i64>,
    next: i64,
}

/// How a round of deliveries went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Events that an endpoint took, repetitions too.
    pub taken: u64,
    /// Events that were not taken now; those of a disabled endpoint are given up.
    pub refused: u64,
}

impl Sim {
    /// Sends events from now on to `url` (http), signed with `secret`.
    pub fn add_endpoint(&self, url: &str, secret: &str) {
        self.listen(url, secret, false);
    }

    /// Sends events from now on to a platform's endpoint: they carry the connected `account`, and it hears when the
    /// account's owner ends the access.
    pub fn add_connect_endpoint(&self, url: &str, secret: &str) {
        self.listen(url, secret, true);
    }

    /// Whether Stripe has given up on an endpoint, which hears nothing more.
    #[must_use]
    pub fn endpoint_is_disabled(&self, url: &str) -> bool {
        lock(&self.inner.webhooks).endpoints.iter().any(|endpoint| endpoint.url == url && endpoint.disabled)
    }

    fn listen(&self, url: &str, secret: &str, connect: bool) {
        let second = self.inner.world.now();
        let ids = self.events_since(second).iter().filter_map(id_of).collect();
        let endpoint = Endpoint {
            url: url.to_owned(),
            secret: secret.to_owned(),
            connect,
            seen: Seen { second, ids },
            waiting: VecDeque::new(),
            undelivered: HashSet::new(),
            disabled: false,
        };
        lock(&self.inner.webhooks).endpoints.push(endpoint);
    }

    /// Lets time pass, and keeps what happens for the endpoints. Gives the ids of the events that happened.
    pub fn advance(&self, seconds: i64) -> Vec<String> {
        let mut events = Vec::new();
        let mut left = seconds;
        loop {
            let step = left.min(STEP);
            events.extend(self.inner.world.advance(step));
            self.gather();
            left -= step;
            if left <= 0 {
                return events;
            }
        }
    }

    /// Puts what happened since the last time on every endpoint's list.
    fn gather(&self) {
        let seconds: Vec<i64> =
            lock(&self.inner.webhooks).endpoints.iter().map(|endpoint| endpoint.seen.second).collect();
        for (index, second) in seconds.into_iter().enumerate() {
            let events = self.events_since(second);
            if let Some(endpoint) = lock(&self.inner.webhooks).endpoints.get_mut(index) {
                events.into_iter().for_each(|event| endpoint.hear(event, self.account_id()));
            }
        }
    }

    /// Sends every event whose time has come, to all endpoints at once and to each in order. What is not taken is
    /// tried again later, for three days by the clock; then the endpoint is disabled.
    pub async fn deliver_pending(&self) -> Delivered {
        self.gather();
        let count = lock(&self.inner.webhooks).endpoints.len();
        let rounds = join_all((0..count).map(|index| self.deliver_to(index))).await;
        rounds.into_iter().fold(Delivered::default(), |all, round| Delivered {
            taken: all.taken + round.taken,
            refused: all.refused + round.refused,
        })
    }

    async fn deliver_to(&self, index: usize) -> Delivered {
        let (repeat, reorder) = {
            let faults = self.faults();
            (faults.repeat_events, faults.reorder_events)
        };
        let mut delivered = Delivered::default();
        let Some((url, secret, mut due)) = self.due(index) else { return delivered };
        if reorder {
            due.reverse();
        }
        for waiting in due {
            let body = waiting.event.to_string();
            let mut taken = false;
            for _ in 0..=u8::from(repeat) {
                let took = self.inner.outbound.send(&url, &secret, self.clock(), &body).await;
                delivered.taken += u64::from(took);
                taken |= took;
            }
            delivered.refused += u64::from(!taken);
            if let Some(endpoint) = lock(&self.inner.webhooks).endpoints.get_mut(index) {
                endpoint.note(waiting, taken, self.clock());
            }
        }
        delivered
    }

    /// What an endpoint is to be told now.
    fn due(&self, index: usize) -> Option<(String, String, Vec<Waiting>)> {
        let now = self.clock();
        let mut webhooks = lock(&self.inner.webhooks);
        let endpoint = webhooks.endpoints.get_mut(index)?;
        let (due, later): (Vec<_>, Vec<_>) =
            endpoint.waiting.drain(..).partition(|waiting| waiting.next <= now);
        endpoint.waiting = later.into();
        Some((endpoint.url.clone(), endpoint.secret.clone(), due))
    }

    /// Events that some endpoint has not taken.
    pub(super) fn undelivered(&self) -> HashSet<String> {
        self.gather();
        let webhooks = lock(&self.inner.webhooks);
        webhooks.endpoints.iter().flat_map(|endpoint| endpoint.undelivered.iter().cloned()).collect()
    }

    /// Tells Connect endpoints that access ended.
    pub(super) fn announce_deauthorization(&self, client_id: &str) {
        let event = json!({
            "id": format!("evt_{}", self.token("deauthorized", 24)),
            "object": "event",
            "account": self.account_id(),
            "api_version": self.inner.options.default_version,
            "created": self.clock(),
            "data": { "object": { "id": client_id, "object": "application", "name": null } },
            "livemode": self.inner.options.livemode,
            "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null },
            "type": "account.application.deauthorized",
        });
        let mut webhooks = lock(&self.inner.webhooks);
        for endpoint in webhooks.endpoints.iter_mut().filter(|endpoint| endpoint.connect) {
            endpoint.wait_for(event.clone());
        }
    }

    /// Every event created at `second` or later, oldest first.
    fn events_since(&self, second: i64) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        let mut scan = Scan { kind: "event".to_owned(), created_gte: Some(second), ..Scan::default() };
        loop {
            let found = self.inner.world.scan(&scan, CHUNK).unwrap_or_default();
            let full = found.len() == CHUNK;
            events.extend(found.into_iter().map(Rendered::into_value));
            scan.after = events.last().and_then(id_of);
            if !full || scan.after.is_none() {
                events.reverse();
                return events;
            }
        }
    }
}

impl Endpoint {
    /// An event happened, if it is not known yet.
    fn hear(&mut self, mut event: Value, account: &str) {
        let created = event.get("created").and_then(Value::as_i64).unwrap_or(self.seen.second);
        let Some(id) = id_of(&event).filter(|id| created >= self.seen.second && !self.seen.ids.contains(id))
        else {
            return;
        };
        if created > self.seen.second {
            self.seen = Seen { second: created, ids: HashSet::new() };
        }
        self.seen.ids.insert(id);
        cut(&mut event);
        if let (true, Value::Object(event)) = (self.connect, &mut event) {
            event.insert("account".to_owned(), json!(account));
        }
        self.wait_for(event);
    }

    fn wait_for(&mut self, event: Value) {
        if self.disabled {
            return;
        }
        self.undelivered.extend(id_of(&event));
        self.waiting.push_back(Waiting { event, tries: 0, first_tried: None, next: i64::MIN });
        if self.waiting.len() > PENDING {
            self.waiting.pop_front();
        }
    }

    /// How a try went.
    fn note(&mut self, mut waiting: Waiting, taken: bool, now: i64) {
        if taken {
            if let Some(id) = id_of(&waiting.event) {
                self.undelivered.remove(&id);
            }
            return;
        }
        let first_tried = *waiting.first_tried.get_or_insert(now);
        if self.disabled || now - first_tried >= GIVE_UP {
            self.disabled = true;
            self.waiting.clear();
            return;
        }
        waiting.tries += 1;
        waiting.next = now + pause(waiting.tries);
        self.waiting.push_back(waiting);
    }
}

/// Seconds until the next try; they grow, up to six hours.
fn pause(tries: u32) -> i64 {
    5_i64.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(6 * 3600)
}

fn id_of(event: &Value) -> Option<String> {
    event.get("id").and_then(Value::as_str).map(str::to_owned)
}
