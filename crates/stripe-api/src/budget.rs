//! The one rate budget of an account, shared by all that ask.
//!
//! Requests are spaced evenly, in all and for each endpoint. A refusal slows down the lane that it names, or lets
//! fewer of its requests be under way at once; answers make up for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
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
    endpoints: Mutex<HashMap<String, Arc<Lane>>>,
}

/// A request under way. Its place is free again when this is dropped.
pub(crate) struct Place<'a> {
    all: &'a Lane,
    own: Arc<Lane>,
    departed: Instant,
}

impl Budget {
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates, all: Lane::new(rates.per_second, rates.concurrent), endpoints: Mutex::default() }
    }

    /// Waits for a departure: first in the endpoint's line, so that a slow endpoint takes nothing from the others.
    pub(crate) async fn admit(&self, endpoint: &str) -> Place<'_> {
        let own = self.endpoint(endpoint);
        let own_turn = own.turn.lock().await;
        own.ready().await;
        let turn = self.all.turn.lock().await;
        self.all.ready().await;
        let departed = Instant::now();
        own.depart(departed);
        self.all.depart(departed);
        drop(turn);
        drop(own_turn);
        Place { all: &self.all, own, departed }
    }

    /// How many requests to the endpoint must be under way at once so that it is asked as fast as it may be.
    pub(crate) fn width(&self, endpoint: &str, most_per_second: u32) -> u32 {
        self.endpoint(endpoint).width(most_per_second)
    }

    fn endpoint(&self, endpoint: &str) -> Arc<Lane> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let Rates { per_endpoint, concurrent, .. } = self.rates;
        let lane = endpoints
            .entry(endpoint.to_owned())
            .or_insert_with(|| Arc::new(Lane::new(per_endpoint, concurrent)));
        Arc::clone(lane)
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
