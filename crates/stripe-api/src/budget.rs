//! The one rate budget of an account, shared by all that ask.
//!
//! Requests are spaced evenly, in all and for each endpoint. A refusal slows down the lane that it names, or lets
//! fewer of its requests be under way at once; answers make up for it.
//!
//! Where endpoints want more together than the account may have, they get equal shares; but those whose backlog takes as
//! long as everything does go first, or everything would take longer. All others together go as often as one of those.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::lane::Lane;

/// How fast an account may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests a second, all together.
    pub per_second: u32,
    /// Requests a second to one endpoint.
    pub per_endpoint: u32,
    /// Requests under way at once.
    pub concurrent: u32,
}

pub(crate) struct Budget {
    rates: Rates,
    all: Lane,
    /// Before the account's line: one at a time of those that lose nothing by waiting stands in it.
    patient: tokio::sync::Mutex<()>,
    endpoints: Mutex<HashMap<String, Arc<Lane>>>,
}

/// An endpoint is nearly the longest from this part of the longest on, in percent: backlogs are estimates.
const NEARLY: u32 = 90;

/// How many requests to an endpoint are still to come, as somebody told; forgotten when this is dropped.
#[must_use]
pub struct Backlog {
    lane: Arc<Lane>,
    told: u32,
}

impl Backlog {
    /// About how many it is now.
    pub fn is(&mut self, requests: u32) {
        self.lane.expect(self.told, requests);
        self.told = requests;
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.is(0);
    }
}

/// A request under way. Its place is free again when this is dropped.
pub(crate) struct Place<'a> {
    all: &'a Lane,
    own: Arc<Lane>,
    departed: Instant,
}

impl Budget {
    pub(crate) fn new(rates: Rates) -> Self {
        let all = Lane::new(rates.per_second, rates.concurrent);
        Self { rates, all, patient: tokio::sync::Mutex::default(), endpoints: Mutex::default() }
    }

    /// Waits for a departure: first in the endpoint's line, so that a slow endpoint takes nothing from the others.
    pub(crate) async fn admit(&self, endpoint: &str) -> Place<'_> {
        let own = self.endpoint(endpoint);
        let own_turn = own.turn.lock().await;
        own.ready().await;
        let patient = if self.is_longest(&own) { None } else { Some(self.patient.lock().await) };
        let turn = self.all.turn.lock().await;
        self.all.ready().await;
        let departed = Instant::now();
        own.depart(departed);
        self.all.depart(departed);
        drop((turn, patient, own_turn));
        Place { all: &self.all, own, departed }
    }

    /// How many requests to the endpoint must be under way at once so that it is asked as fast as it may be.
    pub(crate) fn width(&self, endpoint: &str, most_per_second: u32) -> u32 {
        self.endpoint(endpoint).width(most_per_second)
    }

    /// To tell how many requests to the endpoint are still to come.
    pub(crate) fn backlog(&self, endpoint: &str) -> Backlog {
        Backlog { lane: self.endpoint(endpoint), told: 0 }
    }

    /// Whether nothing is over before the endpoint's backlog is: no other's takes longer, nor all together at the account's
    /// rate, or hardly.
    fn is_longest(&self, own: &Lane) -> bool {
        let takes = own.backlog_takes();
        if takes.is_zero() {
            return false;
        }
        let endpoints = self.endpoints();
        let backlogs = || endpoints.values().filter(|lane| lane.backlog() > 0);
        let together = self.all.takes(backlogs().map(|lane| lane.backlog()).fold(0, u32::saturating_add));
        let longest = backlogs().map(|lane| lane.backlog_takes()).fold(together, Duration::max);
        takes >= longest * NEARLY / 100
    }

    fn endpoint(&self, endpoint: &str) -> Arc<Lane> {
        let Rates { per_endpoint, concurrent, .. } = self.rates;
        let mut endpoints = self.endpoints();
        let lane = endpoints
            .entry(endpoint.to_owned())
            .or_insert_with(|| Arc::new(Lane::new(per_endpoint, concurrent)));
        Arc::clone(lane)
    }

    fn endpoints(&self) -> MutexGuard<'_, HashMap<String, Arc<Lane>>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Stripe answered.
    pub(crate) fn answered(&self) {
        self.own.answered(self.departed);
        self.all.answered(self.departed);
    }

    /// Stripe refused for `reason` and asks to wait for `pause`.
    pub(crate) fn refused(&self, reason: &str, pause: Option<Duration>) {
        let lane = if reason.starts_with("global") { self.all } else { &self.own };
        if reason.ends_with("concurrency") {
            lane.narrow(self.departed);
        } else {
            lane.slow_down(self.departed, pause);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.own.arrive();
        self.all.arrive();
    }
}

#[cfg(test)]
mod tests;
