//! What happens to a subscription between two invoices.

use super::billing::Extra;
use super::business::Business;
use super::invoice::{Reason, State};
use super::money::portion;
use super::price::Price;
use super::shelf::Handle;
use super::subscription::{Item, Status, Subscription};
use super::task::Task;

const UPDATED: [&str; 1] = ["customer.subscription.updated"];

impl Business {
    /// One month of a customer's moods.
    pub(super) fn live_a_month(&mut self, handle: Handle<Subscription>) {
        let subscription = self.at(handle);
        if subscription.status.is_over() {
            return;
        }
        let customer = subscription.customer;
        let faithful = self.at(customer).is_faithful();
        self.plan_in_days(29, Task::Month(handle));
        match self.chance.between(0..=999) {
            0..=29 if !faithful => self.ask(|it| it.cancel_at_period_end(handle)),
            30..=36 if !faithful => self.ask(|it| it.cancel_now(handle, "cancellation_requested")),
            37..=59 => self.ask(|it| it.change_tier(handle, true)),
            60..=71 => self.ask(|it| it.change_tier(handle, false)),
            72..=104 => self.ask(|it| it.change_seats(handle)),
            105..=114 => self.ask(|it| it.edit_customer(customer)),
            115..=118 if !faithful => self.ask(|it| it.pause(handle)),
            119..=123 => self.ask(|it| it.take_back(handle)),
            124..=128 => self.ask(|it| {
                it.drop_item(handle);
            }),
            129..=133 => self.ask(|it| {
                it.attach_card(customer);
            }),
            _ => {}
        }
    }

    /// Runs on until its period is over.
    pub(super) fn cancel_at_period_end(&mut self, handle: Handle<Subscription>) {
        let now = self.now;
        let feedback =
            self.chance.pick(&[None, Some("too_expensive"), Some("unused"), Some("switched_service")]);
        self.change(handle, &UPDATED, |subscription| {
            subscription.ending.at_period_end = true;
            subscription.ending.asked = Some(now);
            subscription.ending.feedback = feedback;
            subscription.ending.reason = Some("cancellation_requested");
        });
    }

    /// The customer thinks better of it, if they had canceled.
    fn take_back(&mut self, handle: Handle<Subscription>) {
        self.change(handle, &UPDATED, |subscription| {
            if subscription.ending.at_period_end {
                subscription.ending = super::subscription::Ending::default();
            }
        });
    }

    pub(super) fn cancel_now(&mut self, handle: Handle<Subscription>, reason: &'static str) {
        if !self.at(handle).status.is_over() {
            self.end(handle, reason);
        }
    }

    /// The subscription is over; some customers come back later, a few have themselves deleted.
    pub(super) fn end(&mut self, handle: Handle<Subscription>, reason: &'static str) {
        let now = self.now;
        self.change(handle, &["customer.subscription.deleted"], |subscription| {
            subscription.status = Status::Canceled;
            subscription.ending.asked.get_or_insert(now);
            subscription.ending.ended = Some(now);
            subscription.ending.reason = Some(reason);
        });
        let customer = self.at(handle).customer;
        if self.chance.one_in_thousand(180) {
            let days = self.chance.between(15..=150);
            self.plan_in_days(days, Task::Subscribe(customer));
        } else if self.chance.one_in_thousand(90) {
            let days = self.chance.between(0..=40);
            self.plan_in_days(days, Task::Leave(customer));
        }
    }

    pub(super) fn announce_trial_end(&mut self, handle: Handle<Subscription>) {
        if self.at(handle).status != Status::Trialing {
            return;
        }
        self.tell("customer.subscription.trial_will_end", handle);
        if self.chance.one_in_thousand(300) {
            self.ask(|it| it.cancel_at_period_end(handle));
        }
    }

    /// The first payment never came: it was nothing.
    pub(super) fn expire(&mut self, handle: Handle<Subscription>) {
        if self.at(handle).status != Status::Incomplete {
            return;
        }
        let now = self.now;
        self.change(handle, &UPDATED, |subscription| {
            subscription.status = Status::IncompleteExpired;
            subscription.ending.ended = Some(now);
        });
        if let Some(invoice) = self.at(handle).latest_invoice {
            self.void(invoice);
        }
    }

    fn pause(&mut self, handle: Handle<Subscription>) {
        if self.at(handle).status == Status::Active {
            self.change(handle, &UPDATED, |subscription| subscription.paused = true);
            let days = self.chance.between(20..=80);
            self.plan_in_days(days, Task::Resume(handle));
        }
    }

    /// Invoices are collected again, from the one that waits.
    pub(super) fn resume(&mut self, handle: Handle<Subscription>) {
        if !self.at(handle).paused || self.at(handle).status.is_over() {
            return;
        }
        self.change(handle, &UPDATED, |subscription| subscription.paused = false);
        if let Some(invoice) = self.at(handle).latest_invoice
            && self.at(invoice).state == State::Draft
        {
            self.finalize(invoice);
        }
    }

    /// To the next tier up, billed at once, or down, credited with the next invoice.
    fn change_tier(&mut self, handle: Handle<Subscription>, up: bool) {
        let subscription = self.at(handle);
        let Some(item) = subscription.items.first() else { return };
        let (old, currency, interval) = (item.price, subscription.currency, subscription.interval);
        let Some(rank) = self.catalogue.rank(old) else { return };
        let Some(rank) = (if up { rank.checked_add(1) } else { rank.checked_sub(1) }) else { return };
        let Some(new) = self.catalogue.tier(rank, currency, interval) else { return };
        self.change(handle, &UPDATED, |subscription| {
            if let Some(item) = subscription.items.first_mut() {
                item.price = new;
            }
        });
        self.prorate(handle, (old, 1), (new, 1));
        if up {
            self.bill_prorations(handle);
        }
    }

    fn change_seats(&mut self, handle: Handle<Subscription>) {
        let step = self.chance.between(-4..=9);
        let subscription = self.at(handle);
        let (currency, interval) = (subscription.currency, subscription.interval);
        let Some(seat) = self.catalogue.seat(currency, interval) else { return };
        let subscription = self.at(handle);
        let place = subscription.items.iter().position(|item| item.price == seat);
        let before = place.and_then(|place| subscription.items.get(place)?.quantity).unwrap_or(0);
        let after = (before + step).max(1);
        if before == after {
            return;
        }
        let (id, created) = (self.ids.next("si_", 14), self.now);
        self.change(handle, &UPDATED, |subscription| {
            match place.and_then(|place| subscription.items.get_mut(place)) {
                Some(item) => item.quantity = Some(after),
                None => subscription.items.push(Item { id, created, price: seat, quantity: Some(after) }),
            }
        });
        self.prorate(handle, (seat, before), (seat, after));
        if after > before {
            self.bill_prorations(handle);
        }
    }

    /// Removes the last item of several. Tells the subscription's change, as Stripe does; the item's going itself is
    /// not told. Whether there was one to remove.
    pub(super) fn drop_item(&mut self, handle: Handle<Subscription>) -> bool {
        if self.at(handle).items.len() < 2 || self.at(handle).status.is_over() {
            return false;
        }
        self.change(handle, &UPDATED, |subscription| {
            subscription.items.pop();
        });
        true
    }

    /// Puts what is left of the old on the next invoice as a credit, and what is left of the new as a charge.
    fn prorate(
        &mut self,
        handle: Handle<Subscription>,
        old: (Handle<Price>, i64),
        new: (Handle<Price>, i64),
    ) {
        let subscription = self.at(handle);
        if subscription.status != Status::Active {
            return;
        }
        let (customer, period) = (subscription.customer, (self.now, subscription.period.1));
        let (left, whole) = subscription.left(self.now);
        let day = chrono::DateTime::from_timestamp(self.now, 0).map(|at| at.format("%d %b %Y").to_string());
        let day = day.unwrap_or_default();
        for ((price, quantity), sign, words) in [(old, -1, "Unused time on"), (new, 1, "Remaining time on")] {
            let amount = sign * portion(self.at(price).amount(quantity), left, whole);
            if quantity == 0 {
                continue;
            }
            let name = &self.at(self.at(price).product).name;
            let description = format!("{words} {name} after {day}");
            let extra = Extra { price, quantity, amount, description, period, proration: true };
            self.add_extra(customer, Some(handle), extra);
        }
    }

    fn bill_prorations(&mut self, handle: Handle<Subscription>) {
        if self.at(handle).status == Status::Active && !self.at(handle).pending.is_empty() {
            self.bill_subscription(handle, Reason::Update);
        }
    }
}
