//! Ids as Stripe makes them, and the words that some are.

use crate::gallery::rooms::Rooms;
use crate::shapes::FACTS;

const COUNTRIES: [&str; 12] = ["US", "DE", "JP", "KR", "BR", "GB", "FR", "AE", "SG", "MX", "SE", "IN"];
const CURRENCIES: [&str; 12] =
    ["usd", "eur", "jpy", "krw", "bhd", "kwd", "idr", "gbp", "isk", "ugx", "huf", "tnd"];
const REPORTS: [&str; 12] = [
    "balance.summary.1",
    "balance_change_from_activity.itemized.6",
    "card_payments_fees.transaction_level.1",
    "connected_account_payout_reconciliation.by_id.itemized.4",
    "ending_balance_reconciliation.itemized.5",
    "financing.payments.1",
    "payout_reconciliation.itemized.5",
    "payout_reconciliation.summary.1",
    "tax.transactions.itemized.2",
    "us_taxes.itemized.1",
    "treasury.balance.summary.1",
    "activity.summary.1",
];

impl Rooms {
    /// An id for the next object of a list. None: all words that its ids are made of are used.
    pub(super) fn fresh_id(&mut self, place: usize, parent: Option<&str>) -> Option<String> {
        let shelf = self.shelves.get(place)?;
        let kind = shelf.list.kind();
        // Words are unique among what one parent has only: every account has `card_payments` (trap 9).
        let used = shelf.entries.iter().filter(|entry| entry.parent.as_deref() == parent).count();
        let word = |words: &[&str]| words.get(used).map(|&word| word.to_owned());
        match kind {
            "country_spec" => word(&COUNTRIES),
            "exchange_rate" => word(&CURRENCIES),
            "reporting.report_type" => word(&REPORTS),
            "capability" => {
                let named =
                    FACTS.properties("account").iter().find(|property| property.name == "capabilities")?;
                let crate::shapes::Type::Record(names) = &named.kind else { return None };
                names.get(used).map(|property| property.name.clone())
            }
            // People choose these themselves.
            "coupon" | "plan" if used % 4 == 1 => Some(format!("Gr\u{fc}n / {used} 50%")),
            "coupon" => Some(self.ids.next("", 8).to_uppercase()),
            _ => Some(String::new()),
        }
    }

    /// That id, or one made of the kind's prefix.
    pub(super) fn kind_id(&mut self, id: String, kind: &str) -> String {
        if !id.is_empty() {
            return id;
        }
        let prefix = FACTS.prefix(kind).unwrap_or("obj");
        match kind {
            "checkout.session" => self.ids.next("cs_test_", 58).to_string(),
            "tax_code" => format!("txcd_{:08}", self.chance.between(0..=99_999_999)),
            "v2.core.account" | "v2.core.account_person" => {
                self.ids.next(&format!("{prefix}_"), 16).to_string()
            }
            _ if kind.starts_with("v2.") => self.ids.next(&format!("{prefix}_test_61"), 30).to_string(),
            "customer" | "product" | "subscription_item" => {
                self.ids.next(&format!("{prefix}_"), 14).to_string()
            }
            _ => self.ids.next(&format!("{prefix}_1"), 23).to_string(),
        }
    }
}
