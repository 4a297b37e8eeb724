//! Invoices are drawn up and made final.

use std::sync::Arc;

use super::business::Business;
use super::buying::months_after;
use super::coupon::{Duration, Off};
use super::customer::Customer;
use super::invoice::{Invoice, Reason, State, Transitions};
use super::invoice_item::InvoiceItem;
use super::line::{Line, Source, settle};
use super::price::Price;
use super::shelf::Handle;
use super::subscription::{Status, Subscription};
use super::task::Task;

/// Something to be invoiced that is not the renewal of an item.
pub(super) struct Extra {
    pub(super) price: Handle<Price>,
    pub(super) quantity: i64,
    pub(super) amount: i64,
    pub(super) description: String,
    pub(super) period: (i64, i64),
    pub(super) proration: bool,
}

impl Business {
    /// A period is over: the next begins, with an invoice, unless the subscription ends here.
    pub(super) fn renew(&mut self, handle: Handle<Subscription>, end: i64) {
        let subscription = self.at(handle);
        if subscription.status.is_over() || subscription.period.1 != end {
            return;
        }
        if subscription.ending.at_period_end {
            return self.end(handle, "cancellation_requested");
        }
        let was_trial = subscription.status == Status::Trialing;
        let cycles = if was_trial { 0 } else { subscription.cycles + 1 };
        let next = months_after(subscription.anchor, subscription.interval.months() * (cycles + 1));
        let customer = subscription.customer;
        self.change(handle, &["customer.subscription.updated"], |subscription| {
            subscription.cycles = cycles;
            subscription.period = (end, next);
            if was_trial {
                subscription.status = Status::Active;
            }
        });
        self.plan(next, Task::Renew(handle, next));
        self.add_project_lines(handle, customer);
        let invoice = self.bill_subscription(handle, Reason::Cycle);
        if self.at(handle).paused {
            return;
        }
        let wait = self.chance.between(3500..=3700);
        self.plan(self.now + wait, Task::Finalize(invoice));
    }

    fn add_project_lines(&mut self, subscription: Handle<Subscription>, customer: Handle<Customer>) {
        let buyer = self.at(customer);
        let count = match (buyer.is_huge(), buyer.has_projects()) {
            (true, _) => self.chance.between(101..=130),
            (false, true) => self.chance.between(3..=30),
            (false, false) => return,
        };
        let currency = self.at(subscription).currency;
        let Some(price) = self.catalogue.hour(currency) else { return };
        for number in 1..=count {
            let quantity = self.chance.between(1..=12);
            let extra = Extra {
                price,
                quantity,
                amount: self.at(price).amount(quantity),
                description: format!("Projekt „Übergabe“, package {number}"),
                period: (self.now, self.now),
                proration: false,
            };
            let customer = self.at(subscription).customer;
            self.add_extra(customer, Some(subscription), extra);
        }
    }

    /// An invoice item that waits for the subscription's next invoice.
    pub(super) fn add_extra(
        &mut self,
        customer: Handle<Customer>,
        subscription: Option<Handle<Subscription>>,
        extra: Extra,
    ) -> Handle<InvoiceItem> {
        let Extra { price, quantity, amount, description, period, proration } = extra;
        let item = InvoiceItem {
            id: self.ids.next("ii_1", 23),
            date: self.now,
            customer,
            subscription,
            invoice: None,
            currency: self.at(price).currency,
            price,
            description,
            quantity,
            amount,
            period,
            proration,
        };
        let item = self.add(item, "invoiceitem.created");
        if let Some(subscription) = subscription {
            self.books.subscriptions.at_mut(subscription).pending.push(item);
        }
        item
    }

    /// Draws up the invoice of a subscription's current period; final at once unless it renews.
    pub(super) fn bill_subscription(
        &mut self,
        handle: Handle<Subscription>,
        reason: Reason,
    ) -> Handle<Invoice> {
        let mut lines = Vec::new();
        if reason != Reason::Update {
            for index in 0..self.at(handle).items.len() {
                lines.extend(self.item_line(handle, index, reason));
            }
        }
        let pending = std::mem::take(&mut self.books.subscriptions.at_mut(handle).pending);
        let customer = self.at(handle).customer;
        let invoice = self.draw_up(customer, Some(handle), reason, (lines, pending));
        self.change(handle, &["customer.subscription.updated"], |it| it.latest_invoice = Some(invoice));
        if reason != Reason::Cycle {
            self.finalize(invoice);
        }
        invoice
    }

    fn item_line(&mut self, handle: Handle<Subscription>, index: usize, reason: Reason) -> Option<Line> {
        let used = self.chance.between(0..=400_000);
        let subscription = self.at(handle);
        let item = subscription.items.get(index)?;
        let (price, source) = (item.price, Source::Item(Arc::clone(&item.id)));
        let trial = subscription.status == Status::Trialing;
        let (quantity, period) = match item.quantity {
            Some(quantity) => (quantity, subscription.period),
            // Use is billed when the period is over.
            None if reason == Reason::Cycle => {
                let (start, _) = subscription.period;
                (used, (months_before(start, 1), start))
            }
            None => (0, subscription.period),
        };
        let cost = self.at(price);
        let name = &self.at(cost.product).name;
        let description = if trial {
            format!("Trial period for {name}")
        } else {
            format!("{quantity} × {name} (at {} {})", cost.unit_amount_decimal(), cost.currency.code())
        };
        let amount = if trial { 0 } else { cost.amount(quantity) };
        let id = self.ids.next("il_1", 23);
        Some(Line { id, description, price, quantity, amount, period, source, discount: 0, tax: 0 })
    }

    /// A draft of the given lines and invoice items.
    pub(super) fn draw_up(
        &mut self,
        customer: Handle<Customer>,
        subscription: Option<Handle<Subscription>>,
        reason: Reason,
        (mut lines, items): (Vec<Line>, Vec<Handle<InvoiceItem>>),
    ) -> Handle<Invoice> {
        for &item in &items {
            let id = self.ids.next("il_1", 23);
            lines.push(line_of(id, item, self.at(item)));
        }
        let discount = subscription.and_then(|subscription| self.at(subscription).discount);
        let discount = discount.or(self.at(customer).discount);
        let off = discount.map(|discount| self.at(self.at(discount).coupon).off);
        let currency =
            subscription.map_or(self.at(customer).currency, |subscription| self.at(subscription).currency);
        let off = off.filter(|off| !matches!(off, Off::Amount(_, only) if *only != currency));
        let discount = discount.filter(|_| off.is_some());
        let tax = self.at(customer).tax();
        let view = self.view();
        settle(&mut lines, off, tax, |line| !line.is_proration(&view) && line.amount > 0);
        let buyer = self.at(customer);
        let invoice = Invoice {
            customer,
            person: Arc::clone(&buyer.person),
            starting_balance: buyer.balance,
            subscription,
            currency,
            reason,
            lines,
            discount,
            tax,
            period: match subscription {
                Some(subscription) if reason == Reason::Cycle => previous_period(self.at(subscription)),
                Some(_) | None => (self.now, self.now),
            },
            by_invoice: subscription.map_or(buyer.pays_by_invoice(), |it| self.at(it).by_invoice),
            finalizes_at: (reason == Reason::Cycle).then_some(self.now + 3600),
            id: self.ids.next("in_1", 23),
            created: self.now,
            state: State::Draft,
            transitions: Transitions::default(),
            number: None,
            ending_balance: None,
            attempts: 0,
            next_attempt: None,
            intent: None,
            payment: None,
            paid: 0,
            paid_off_stripe: 0,
            credited_before: 0,
            credited_after: 0,
            receipt_number: None,
        };
        let invoice = self.add(invoice, "invoice.created");
        for item in items {
            // Stripe tells nothing of this.
            self.books.invoice_items.at_mut(item).invoice = Some(invoice);
        }
        invoice
    }

    /// Makes a draft final: it gets its number, uses up the customer's balance, and waits to be paid.
    pub(super) fn finalize(&mut self, handle: Handle<Invoice>) {
        let invoice = self.at(handle);
        if invoice.state != State::Draft || self.at(invoice.customer).deleted {
            return;
        }
        let customer = invoice.customer;
        let balance = self.at(customer).balance;
        let left = (invoice.total() + balance).min(0);
        let number = format!("{}-{:04}", self.at(customer).invoice_prefix, self.at(customer).next_invoice);
        let now = self.now;
        self.change(handle, &["invoice.updated", "invoice.finalized"], |invoice| {
            invoice.state = State::Open;
            invoice.transitions.finalized = Some(now);
            invoice.number = Some(number);
            invoice.starting_balance = balance;
            invoice.ending_balance = Some(left);
        });
        self.change(customer, &["customer.updated"], |customer| {
            customer.balance = left;
            customer.next_invoice += 1;
        });
        self.use_up_once(handle);
        if self.at(handle).remaining() == 0 {
            return self.settle_for_nothing(handle);
        }
        if self.at(handle).by_invoice {
            return self.send(handle);
        }
        self.collect(handle);
    }

    /// A coupon for once has served with the first invoice that it lessened.
    fn use_up_once(&mut self, invoice: Handle<Invoice>) {
        let invoice = self.at(invoice);
        let Some(discount) = invoice.discount.filter(|_| invoice.discounted() > 0) else { return };
        if self.at(self.at(discount).coupon).duration == Duration::Once {
            self.end_discount(discount);
        }
    }
}

fn line_of(id: super::shelf::Id, handle: Handle<InvoiceItem>, item: &InvoiceItem) -> Line {
    Line {
        id,
        description: item.description.clone(),
        price: item.price,
        quantity: item.quantity,
        amount: item.amount,
        period: item.period,
        source: Source::InvoiceItem(handle),
        discount: 0,
        tax: 0,
    }
}

fn previous_period(subscription: &Subscription) -> (i64, i64) {
    let start = subscription.period.0;
    (months_before(start, subscription.interval.months()), start)
}

fn months_before(at: i64, months: u32) -> i64 {
    let moved = chrono::DateTime::from_timestamp(at, 0)
        .and_then(|at| at.checked_sub_months(chrono::Months::new(months)));
    moved.map_or(at, |moved| moved.timestamp())
}
