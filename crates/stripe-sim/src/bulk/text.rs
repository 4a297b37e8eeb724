//! The text of bulk objects, pushed together from templates.

use std::sync::LazyLock;

use super::template::{Template, mix, number_in, push_id, push_letters, push_number};
use super::{Bulk, Kind};

pub(super) const CITIES: [(&str, &str, &str); 6] = [
    ("Lisbon", "PT", "eur"),
    ("Portland", "US", "usd"),
    ("Leeds", "GB", "gbp"),
    ("Osaka", "JP", "jpy"),
    ("Z\u{fc}rich", "CH", "chf"),
    ("Austin", "US", "usd"),
];
pub(super) const FIRST: [&str; 8] = ["Ada", "Bruno", "Chika", "Dmitri", "Elif", "Farah", "Goran", "Hana"];
pub(super) const LAST: [&str; 8] =
    ["Okafor", "Silva", "Novak", "Tanaka", "M\u{fc}ller", "Haddad", "Jensen", "Rossi"];
pub(super) const CHANNELS: [&str; 3] = ["web", "app", "store"];
pub(super) const BRANDS: [&str; 3] = ["visa", "mastercard", "amex"];

static CHARGE: LazyLock<Template<Field>> = LazyLock::new(|| Template::parse(CHARGE_TEXT, Field::parse));
static CUSTOMER: LazyLock<Template<Field>> = LazyLock::new(|| Template::parse(CUSTOMER_TEXT, Field::parse));
static BALANCE: LazyLock<Template<Field>> = LazyLock::new(|| Template::parse(BALANCE_TEXT, Field::parse));

impl Bulk {
    /// The JSON of an object.
    pub(super) fn text(&self, kind: Kind, number: u64) -> String {
        let facts = Facts::new(self, kind, number);
        match kind {
            Kind::Charge => CHARGE.fill(|field, out| field.push(out, &facts)),
            Kind::Customer => CUSTOMER.fill(|field, out| field.push(out, &facts)),
            Kind::BalanceTransaction => BALANCE.fill(|field, out| field.push(out, &facts)),
        }
    }

    /// The id of an object.
    pub(super) fn id(&self, kind: Kind, number: u64) -> String {
        let mut id = String::with_capacity(28);
        push_id(&mut id, prefix(kind), self.noise(kind, number), number);
        id
    }

    /// The number in an id, if this world gave that id out.
    pub(super) fn number(&self, kind: Kind, id: &str) -> Option<u64> {
        let number = number_in(id)?;
        (number < self.count(kind) && self.id(kind, number) == id).then_some(number)
    }

    /// The customer who paid a charge.
    pub(super) fn customer_of(&self, charge: u64) -> u64 {
        mix(self.seed ^ charge.wrapping_mul(31)) % self.counts.customers.max(1)
    }

    fn noise(&self, kind: Kind, number: u64) -> u64 {
        let salt = match kind {
            Kind::Customer => 1,
            Kind::Charge => 2,
            Kind::BalanceTransaction => 3,
        };
        mix(self.seed.wrapping_mul(7).wrapping_add(salt) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Customer => "cus_",
        Kind::Charge => "ch_3",
        Kind::BalanceTransaction => "txn_3",
    }
}

/// What the templates say of one object.
struct Facts {
    id: String,
    partner: String,
    customer: String,
    created: i64,
    number: u64,
    noise: u64,
    amount: u64,
    place: (&'static str, &'static str, &'static str),
    name: (&'static str, &'static str),
    returned: bool,
}

impl Facts {
    fn new(bulk: &Bulk, kind: Kind, number: u64) -> Self {
        // A charge and its balance transaction agree.
        let noise = bulk.noise(if kind == Kind::Customer { kind } else { Kind::Charge }, number);
        let partner = match kind {
            Kind::Customer => String::new(),
            Kind::Charge => bulk.id(Kind::BalanceTransaction, number),
            Kind::BalanceTransaction => bulk.id(Kind::Charge, number),
        };
        let customer = match kind {
            Kind::Charge => bulk.id(Kind::Customer, bulk.customer_of(number)),
            Kind::Customer | Kind::BalanceTransaction => String::new(),
        };
        Self {
            id: bulk.id(kind, number),
            partner,
            customer,
            created: bulk.created(kind, number),
            number,
            noise,
            amount: 500 + (noise >> 8) % 100_000,
            place: pick(&CITIES, noise >> 3),
            name: (pick(&FIRST, noise >> 5), pick(&LAST, noise >> 11)),
            returned: noise.is_multiple_of(41),
        }
    }
}

/// One of some, the same for the same number.
pub(super) fn pick<T: Copy, const N: usize>(from: &'static [T; N], at: u64) -> T {
    let at = usize::try_from(at).unwrap_or(0) % N;
    from.get(at).copied().unwrap_or_else(|| unreachable!("a remainder is less than its divisor"))
}

/// What stands between the fixed parts of a template.
#[derive(Clone, Copy)]
enum Field {
    Id,
    Partner,
    Customer,
    Created,
    Available,
    Amount,
    Fee,
    Net,
    Returned,
    IsReturned,
    City,
    Country,
    Currency,
    Street,
    Postal,
    Email,
    Name,
    Order,
    Channel,
    Brand,
    Risk,
    Month,
    Year,
    Digits,
    Letters(u32, usize),
}

impl Field {
    fn parse(name: &str) -> Self {
        match name {
            "id" => Self::Id,
            "partner" => Self::Partner,
            "customer" => Self::Customer,
            "created" => Self::Created,
            "available" => Self::Available,
            "amount" => Self::Amount,
            "fee" => Self::Fee,
            "net" => Self::Net,
            "returned" => Self::Returned,
            "is_returned" => Self::IsReturned,
            "city" => Self::City,
            "country" => Self::Country,
            "currency" => Self::Currency,
            "street" => Self::Street,
            "postal" => Self::Postal,
            "email" => Self::Email,
            "name" => Self::Name,
            "order" => Self::Order,
            "channel" => Self::Channel,
            "brand" => Self::Brand,
            "risk" => Self::Risk,
            "month" => Self::Month,
            "year" => Self::Year,
            "digits" => Self::Digits,
            "auth" => Self::Letters(7, 6),
            "print" => Self::Letters(13, 16),
            _ => Self::Letters(19, 24),
        }
    }

    fn push(self, out: &mut String, facts: &Facts) {
        let noise = facts.noise;
        let fee = 30 + facts.amount * 29 / 1000;
        let (city, country, currency) = facts.place;
        let (first, last) = facts.name;
        match self {
            Self::Id => out.push_str(&facts.id),
            Self::Partner => out.push_str(&facts.partner),
            Self::Customer => out.push_str(&facts.customer),
            Self::Created => push_number(out, facts.created.cast_unsigned()),
            Self::Available => push_number(out, facts.created.cast_unsigned() + 2 * 86_400),
            Self::Amount => push_number(out, facts.amount),
            Self::Fee => push_number(out, fee),
            Self::Net => push_number(out, facts.amount - fee),
            Self::Returned => push_number(out, if facts.returned { facts.amount } else { 0 }),
            Self::IsReturned => out.push_str(if facts.returned { "true" } else { "false" }),
            Self::City => out.push_str(city),
            Self::Country => out.push_str(country),
            Self::Currency => out.push_str(currency),
            Self::Street => {
                push_number(out, 1 + noise % 400);
                out.push_str(" Harbour Road");
            }
            Self::Postal => push_number(out, 10_000 + (noise >> 17) % 90_000),
            Self::Email => {
                out.push_str(first);
                out.push('.');
                push_number(out, facts.number);
                out.push_str("@example.com");
            }
            Self::Name => out.extend([first, " ", last]),
            Self::Order => push_number(out, facts.number + 1),
            Self::Channel => out.push_str(pick(&CHANNELS, noise >> 23)),
            Self::Brand => out.push_str(pick(&BRANDS, noise >> 25)),
            Self::Risk => push_number(out, (noise >> 29) % 65),
            Self::Month => push_number(out, 1 + (noise >> 33) % 12),
            Self::Year => push_number(out, 2027 + (noise >> 37) % 6),
            Self::Digits => push_number(out, 1000 + (noise >> 41) % 9000),
            Self::Letters(turn, count) => push_letters(out, mix(noise.rotate_left(turn)), count),
        }
    }
}

const CHARGE_TEXT: &str = concat!(
    r#"{"id":"@id","object":"charge","amount":@amount,"amount_captured":@amount,"#,
    r#""amount_refunded":@returned,"application":null,"application_fee":null,"#,
    r#""application_fee_amount":null,"balance_transaction":"@partner","#,
    r#""billing_details":{"address":{"city":"@city","country":"@country","line1":"@street","#,
    r#""line2":null,"postal_code":"@postal","state":null},"email":"@email","name":"@name","phone":null,"#,
    r#""tax_id":null},"calculated_statement_descriptor":"BULK GOODS","captured":true,"#,
    r#""created":@created,"currency":"@currency","customer":"@customer","description":"Order @order","#,
    r#""disputed":false,"failure_balance_transaction":null,"failure_code":null,"#,
    r#""failure_message":null,"fraud_details":{},"livemode":false,"#,
    r#""metadata":{"order":"@order","channel":"@channel"},"on_behalf_of":null,"#,
    r#""outcome":{"advice_code":null,"network_advice_code":null,"network_decline_code":null,"#,
    r#""network_status":"approved_by_network","reason":null,"risk_level":"normal","risk_score":@risk,"#,
    r#""seller_message":"Payment complete.","type":"authorized"},"paid":true,"payment_intent":"pi_@token","#,
    r#""payment_method":"pm_@token","payment_method_details":{"card":{"amount_authorized":@amount,"#,
    r#""authorization_code":"@auth","brand":"@brand","checks":{"address_line1_check":"pass","#,
    r#""address_postal_code_check":"pass","cvc_check":"pass"},"country":"@country","exp_month":@month,"#,
    r#""exp_year":@year,"extended_authorization":{"status":"disabled"},"fingerprint":"@print","#,
    r#""funding":"credit","incremental_authorization":{"status":"unavailable"},"installments":null,"#,
    r#""last4":"@digits","mandate":null,"multicapture":{"status":"unavailable"},"network":"@brand","#,
    r#""network_token":{"used":false},"network_transaction_id":"@token","#,
    r#""overcapture":{"maximum_amount_capturable":@amount,"status":"unavailable"},"#,
    r#""regulated_status":"unregulated","three_d_secure":null,"transaction_link_id":null,"#,
    r#""wallet":null},"type":"card"},"radar_options":{},"receipt_email":"@email","receipt_number":null,"#,
    r#""receipt_url":"https://pay.stripe.com/receipts/payment/@token","refunded":@is_returned,"#,
    r#""review":null,"shipping":{"address":{"city":"@city","country":"@country","line1":"@street","#,
    r#""line2":null,"postal_code":"@postal","state":null},"carrier":null,"name":"@name","phone":null,"#,
    r#""tracking_number":null},"source":null,"source_transfer":null,"statement_descriptor":null,"#,
    r#""statement_descriptor_suffix":null,"status":"succeeded","transfer_data":null,"#,
    r#""transfer_group":"group_@order"}"#,
);

const CUSTOMER_TEXT: &str = concat!(
    r#"{"id":"@id","object":"customer","address":{"city":"@city","country":"@country","#,
    r#""line1":"@street","line2":null,"postal_code":"@postal","state":null},"balance":0,"#,
    r#""created":@created,"currency":"@currency","customer_account":null,"default_source":null,"#,
    r#""delinquent":false,"description":"Customer @order","discount":null,"email":"@email","#,
    r#""invoice_prefix":"@auth","invoice_settings":{"custom_fields":null,"#,
    r#""default_payment_method":"pm_@token","footer":null,"rendering_options":null},"livemode":false,"#,
    r#""metadata":{"channel":"@channel"},"name":"@name","next_invoice_sequence":1,"phone":null,"#,
    r#""preferred_locales":[],"shipping":null,"tax_exempt":"none","test_clock":null}"#,
);

const BALANCE_TEXT: &str = concat!(
    r#"{"id":"@id","object":"balance_transaction","amount":@amount,"available_on":@available,"#,
    r#""balance_type":"payments","created":@created,"currency":"@currency","#,
    r#""description":"Order @order","exchange_rate":null,"fee":@fee,"fee_details":[{"amount":@fee,"#,
    r#""application":null,"currency":"@currency","description":"Stripe processing fees","#,
    r#""type":"stripe_fee"}],"net":@net,"reporting_category":"charge","source":"@partner","#,
    r#""status":"available","type":"charge"}"#,
);
