//! What the company offers: products, prices, coupons, and what each costs where.

use super::business::{Business, DAY};
use super::coupon::{Coupon, Duration, Off};
use super::money::{Currency, portion};
use super::price::{Interval, Plan, Price, Product};
use super::shelf::{Handle, Id};
use super::task::Task;

/// Handles to what is sold now.
#[derive(Default)]
pub(super) struct Catalogue {
    /// From the smallest to the largest.
    tiers: Vec<Offer>,
    seats: Vec<Offer>,
    modules: Vec<Offer>,
    calls: Vec<Offer>,
    hours: Vec<Offer>,
    licence: Vec<Offer>,
    pub(super) coupons: Vec<Handle<Coupon>>,
}

/// One price of the catalogue and whom it is for.
#[derive(Clone, Copy)]
struct Offer {
    rank: usize,
    currency: Currency,
    interval: Option<Interval>,
    price: Handle<Price>,
}

impl Catalogue {
    /// The price of a tier: 0 is the smallest, 3 the largest.
    pub(super) fn tier(&self, rank: usize, currency: Currency, interval: Interval) -> Option<Handle<Price>> {
        find(&self.tiers, rank, currency, Some(interval))
    }

    /// Which tier a price belongs to.
    pub(super) fn rank(&self, price: Handle<Price>) -> Option<usize> {
        self.tiers.iter().find(|offer| offer.price == price).map(|offer| offer.rank)
    }

    pub(super) fn seat(&self, currency: Currency, interval: Interval) -> Option<Handle<Price>> {
        find(&self.seats, 0, currency, Some(interval))
    }

    /// Modules are sold by the month, in dollars and euros.
    pub(super) fn modules(&self, currency: Currency) -> Vec<Handle<Price>> {
        self.modules.iter().filter(|offer| offer.currency == currency).map(|offer| offer.price).collect()
    }

    /// Calls are counted by the month.
    pub(super) fn calls(&self, currency: Currency) -> Option<Handle<Price>> {
        find(&self.calls, 0, currency, Some(Interval::Month))
    }

    pub(super) fn hour(&self, currency: Currency) -> Option<Handle<Price>> {
        find(&self.hours, 0, currency, None)
    }

    pub(super) fn licence(&self, currency: Currency) -> Option<Handle<Price>> {
        find(&self.licence, 0, currency, None)
    }
}

fn find(
    offers: &[Offer],
    rank: usize,
    currency: Currency,
    interval: Option<Interval>,
) -> Option<Handle<Price>> {
    let fits =
        |offer: &&Offer| offer.rank == rank && offer.currency == currency && offer.interval == interval;
    offers.iter().rev().find(fits).map(|offer| offer.price)
}

/// Ids that their makers chose.
const FIRST_IDS: [&str; 3] = ["starter_monthly_2019", "starter_quarterly_2019", "starter_yearly_2019"];
/// Tiers: name, and the price of a month in each currency.
const TIERS: [(&str, [i64; 5]); 4] = [
    ("Starter", [1900, 1800, 2800, 5900, 29_900_000]),
    ("Team", [4900, 4500, 7200, 15_000, 77_000_000]),
    ("Business", [14_900, 13_900, 21_800, 45_500, 235_000_000]),
    ("Enterprise", [49_900, 46_900, 73_000, 152_500, 790_000_000]),
];
const SEAT: [i64; 5] = [900, 800, 1300, 2750, 14_000_000];
/// Hundredths of the smallest unit, for one call.
const CALL: [i64; 5] = [5, 4, 7, 15, 78_000];
const HOUR: [i64; 5] = [12_500, 11_500, 18_000, 38_750, 195_000_000];
/// A licence for a whole group of companies: beyond 32 bits in rupiah.
const LICENCE: [i64; 5] = [2_480_000, 2_310_000, 3_600_000, 7_600_000, 39_000_000_000];
const MODULES: [&str; 26] = [
    "Kanban",
    "Gantt",
    "Zeiterfassung",
    "Wiki",
    "Chat",
    "Forms",
    "Budget",
    "Réunions",
    "Risk",
    "Goals",
    "Roadmap",
    "Surveys",
    "Whiteboard",
    "Archiv",
    "Inbox",
    "Portal",
    "Sign",
    "Vault",
    "Audit",
    "Quotes",
    "帳票",
    "Stock",
    "Fleet",
    "Shift",
    "Desk",
    "Lab",
];

impl Business {
    /// Opens the shop: everything on offer on the first day.
    pub(super) fn open_catalogue(&mut self) {
        for (rank, (name, months)) in TIERS.iter().enumerate() {
            let product = self.product(format!("Northwind {name}"), Some("workspace"));
            for currency in Currency::ALL {
                for interval in Interval::ALL {
                    let price = self.tier_price(product, name, (currency, interval), currency.of(months));
                    self.catalogue.tiers.push(Offer { rank, currency, interval: Some(interval), price });
                }
            }
        }
        self.open_extras();
        for (index, name) in MODULES.iter().enumerate() {
            let product = self.product(format!("Module: {name}"), None);
            for currency in [Currency::Usd, Currency::Eur] {
                let month = 500 + 100 * i64::try_from(index).unwrap_or(0);
                let price = self.price(product, (currency, Some(Interval::Month)), month * 100, None);
                let offer = Offer { rank: 0, currency, interval: Some(Interval::Month), price };
                self.catalogue.modules.push(offer);
            }
        }
    }

    fn open_extras(&mut self) {
        let seat = self.product("Extra seat".to_owned(), Some("seat"));
        let calls = self.product("API calls".to_owned(), Some("call"));
        let hour = self.product("Project hour".to_owned(), Some("hour"));
        let licence = self.product("Group licence, perpetual".to_owned(), None);
        for currency in Currency::ALL {
            for interval in Interval::ALL {
                let amount = over(interval, currency.of(&SEAT));
                let price = self.price(seat, (currency, Some(interval)), amount * 100, None);
                self.catalogue.seats.push(Offer { rank: 0, currency, interval: Some(interval), price });
            }
            let interval = Some(Interval::Month);
            let price = self.price(calls, (currency, interval), currency.of(&CALL), Some("calls".to_owned()));
            self.catalogue.calls.push(Offer { rank: 0, currency, interval, price });
            let price = self.price(hour, (currency, None), currency.of(&HOUR) * 100, None);
            self.catalogue.hours.push(Offer { rank: 0, currency, interval: None, price });
            let price = self.price(licence, (currency, None), currency.of(&LICENCE) * 100, None);
            self.catalogue.licence.push(Offer { rank: 0, currency, interval: None, price });
        }
    }

    fn product(&mut self, name: String, unit_label: Option<&'static str>) -> Handle<Product> {
        let product = Product {
            id: self.ids.next("prod_", 14),
            created: self.now,
            updated: self.now,
            name,
            description: Some("Work, planned together — «sans douleur»"),
            unit_label,
            default_price: None,
        };
        self.add(product, "product.created")
    }

    fn tier_price(
        &mut self,
        product: Handle<Product>,
        name: &str,
        (currency, interval): (Currency, Interval),
        month: i64,
    ) -> Handle<Price> {
        let nickname = Some(format!("{name} ({})", currency.code().to_uppercase()));
        let price = self.price(product, (currency, Some(interval)), over(interval, month) * 100, nickname);
        if self.at(product).default_price.is_none() {
            let now = self.now;
            self.change(product, &["product.updated"], |product| {
                product.default_price = Some(price);
                product.updated = now;
            });
        }
        price
    }

    /// A price, and the plan of the same id when it is recurring. The first ones have ids their makers chose.
    fn price(
        &mut self,
        product: Handle<Product>,
        (currency, interval): (Currency, Option<Interval>),
        hundredths: i64,
        nickname: Option<String>,
    ) -> Handle<Price> {
        let id = match FIRST_IDS.get(self.books.prices.len()) {
            Some(id) => Id::from(*id),
            None => self.ids.next("price_1", 23),
        };
        let metered = nickname.as_deref() == Some("calls");
        let created = self.now;
        let price =
            Price { id, created, product, currency, interval, hundredths, metered, active: true, nickname };
        let (id, recurring) = (Id::clone(&price.id), interval.is_some());
        let price = self.add(price, "price.created");
        if recurring {
            self.add(Plan { id, price, created }, "plan.created");
        }
        price
    }

    /// Raises the price of the second tier; who has the old price keeps it.
    pub(super) fn raise_prices(&mut self) {
        let Some((name, months)) = TIERS.get(1) else { return };
        for currency in Currency::ALL {
            for interval in Interval::ALL {
                let Some(old) = self.catalogue.tier(1, currency, interval) else { continue };
                let product = self.at(old).product;
                let month = portion(currency.of(months), 12, 10);
                let price = self.tier_price(product, name, (currency, interval), month);
                self.catalogue.tiers.push(Offer { rank: 1, currency, interval: Some(interval), price });
                self.change(old, &["price.updated"], |price| price.active = false);
                let plan = self.books.plans.find(&self.at(old).id);
                if let Some(plan) = plan {
                    self.tell("plan.updated", plan);
                }
            }
        }
    }

    /// A new coupon; it can be redeemed for two months, and every other one is deleted a month after that.
    pub(super) fn launch_coupon(&mut self) {
        const KINDS: [(&str, Off, Duration); 6] = [
            ("A quarter off, forever", Off::Percent(2500), Duration::Forever),
            ("Ten off, once", Off::Amount(1000, Currency::Usd), Duration::Once),
            ("Half off for three months", Off::Percent(5000), Duration::Months(3)),
            ("25.5 % for half a year", Off::Percent(2550), Duration::Months(6)),
            ("Fünf Euro jeden Monat", Off::Amount(500, Currency::Eur), Duration::Forever),
            ("春の割引", Off::Percent(1000), Duration::Once),
        ];
        let launched = self.books.coupons.len();
        let Some(&(name, off, duration)) = KINDS.iter().cycle().nth(launched % KINDS.len()) else { return };
        let coupon = Coupon {
            id: self.ids.next("", 8),
            created: self.now,
            name,
            off,
            duration,
            redeemed: 0,
            redeem_by: Some(self.now + 60 * DAY),
            deleted: false,
        };
        let coupon = self.add(coupon, "coupon.created");
        self.catalogue.coupons.push(coupon);
        self.plan(self.now + 60 * DAY, Task::RetireCoupon(coupon));
        if launched % 2 == 1 {
            self.plan(self.now + 90 * DAY, Task::DeleteCoupon(coupon));
        }
    }

    pub(super) fn retire_coupon(&mut self, coupon: Handle<Coupon>) {
        self.catalogue.coupons.retain(|other| *other != coupon);
    }

    pub(super) fn delete_coupon(&mut self, coupon: Handle<Coupon>) {
        if !self.at(coupon).deleted {
            self.change(coupon, &["coupon.deleted"], |coupon| coupon.deleted = true);
        }
    }
}

/// The price of an interval, from that of a month.
fn over(interval: Interval, month: i64) -> i64 {
    match interval {
        Interval::Month => month,
        Interval::Quarter => portion(month, 285, 100),
        Interval::Year => month * 10,
    }
}
