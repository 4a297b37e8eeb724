//! What Stripe pushes: events on their way, and those that wait to be applied. It outlives every process, as an inbox on
//! disk does.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use sync::{Pass, Pushed, PushedEvent};
use tokio::sync::Notify;

use crate::dice::Dice;

/// Events between Stripe and whoever applies them.
#[derive(Debug)]
pub(crate) struct Post {
    state: Mutex<State>,
    /// Told when something arrives.
    pub(crate) arrived: Notify,
}

#[derive(Debug)]
struct State {
    /// Of a thousand events so many are pushed at once, the others later or never.
    prompt: u64,
    dice: Dice,
    on_their_way: Vec<Arc<Value>>,
    delivered: Vec<Arc<Value>>,
    inbox: Vec<PushedEvent>,
}

impl Post {
    pub(crate) fn new(prompt: u64, dice: Dice) -> Self {
        let (on_their_way, delivered, inbox) = <_>::default();
        let state = State { prompt, dice, on_their_way, delivered, inbox };
        Self { state: Mutex::new(state), arrived: Notify::new() }
    }

    /// An event that happened just now; whether it is delivered at once.
    pub(crate) fn send(&self, event: &Arc<Value>) -> bool {
        let mut state = self.state.lock().unwrap();
        let at_once = state.dice.below(1_000) < state.prompt;
        if at_once {
            state.deliver(Arc::clone(event));
            self.arrived.notify_one();
        } else {
            state.on_their_way.push(Arc::clone(event));
        }
        at_once
    }

    /// Delivers up to `most` of those on their way, in any order, and some that came before; gives their ids.
    pub(crate) fn deliver(&self, pick: u64, most: usize) -> Vec<String> {
        let mut dice = Dice::new(pick);
        let mut state = self.state.lock().unwrap();
        let mut ids = Vec::new();
        for _ in 0..most {
            let again = !state.delivered.is_empty() && dice.one_in(4);
            let event = if again {
                Arc::clone(dice.pick(&state.delivered))
            } else {
                let Some(last) = state.on_their_way.len().checked_sub(1) else { continue };
                state.on_their_way.remove(dice.size(0, last))
            };
            ids.push(event["id"].as_str().unwrap().to_owned());
            state.deliver(event);
        }
        self.arrived.notify_one();
        ids
    }

    /// What waits.
    pub(crate) fn due(&self) -> Vec<PushedEvent> {
        self.state.lock().unwrap().inbox.clone()
    }

    /// What came of events that were due: those that were applied leave, others wait on.
    pub(crate) fn settle(&self, pass: &Pass) {
        let mut state = self.state.lock().unwrap();
        state.inbox.retain_mut(|event| match pass.events.get(&event.id) {
            Some(Pushed::Waits { looked_at_micros, .. }) => {
                event.looked_at_micros = Some(*looked_at_micros);
                true
            }
            Some(Pushed::Applied) => false,
            Some(Pushed::Odd { why }) => panic!("{} is odd: {why}", event.id),
            None => true,
        });
    }
}

impl State {
    fn deliver(&mut self, event: Arc<Value>) {
        let id = event["id"].as_str().unwrap().to_owned();
        self.inbox.push(PushedEvent { id, body: event.to_string().into_bytes(), looked_at_micros: None });
        self.delivered.push(event);
    }
}
