//! Who buys: names and addresses from several scripts.

use std::sync::Arc;

use serde_json::{Value, json};

use super::money::Currency;
use crate::chance::Chance;

/// Name and address as they were when noted down; an edit makes a new one, so older papers keep what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) phone: Option<String>,
    pub(super) street: String,
    pub(super) place: &'static Place,
}

/// A town, and what follows from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) city: &'static str,
    pub(super) state: Option<&'static str>,
    pub(super) postal_code: &'static str,
    pub(super) country: &'static str,
    pub(super) locale: &'static str,
    names: &'static [&'static str],
    streets: &'static [&'static str],
}

const fn place(
    city: &'static str,
    state: Option<&'static str>,
    postal_code: &'static str,
    (country, locale): (&'static str, &'static str),
    (names, streets): (&'static [&'static str], &'static [&'static str]),
) -> Place {
    Place { city, state, postal_code, country, locale, names, streets }
}

type Words = (&'static [&'static str], &'static [&'static str]);
const ENGLISH: Words = (
    &[
        "Harbor & Pine LLC",
        "Ada Whitfield",
        "Bright Ledger Inc.",
        "Marcus O'Neil",
        "Zoë Park",
        "Quill \"Q\" Studio",
        "Juniper Freight",
        "Ines Calloway",
    ],
    &["Alder Street", "Mission Road", "Kestrel Avenue"],
);
const GERMAN: Words = (
    &["Blaustein GmbH", "Jürgen Weiß", "Käthe Löffler", "Nordlicht Software UG", "Søren Petersen"],
    &["Lindenstraße", "Am Krähenhügel"],
);
const FRENCH: Words =
    (&["Atelier Éphémère SARL", "Chloé Lefèvre", "François Guérin"], &["rue des Érables", "allée du Moulin"]);
const SPANISH: Words =
    (&["Muñoz e Hijas S.L.", "Begoña Ibáñez", "Compañía Estrella"], &["calle del Niño", "Gran Vía"]);
const FINNISH: Words = (&["Työpaja Oy", "Aino Mäkelä", "Väinö Hyvärinen"], &["Mäkitie", "Järvikatu"]);
const JAPANESE: Words =
    (&["山田 太郎", "株式会社みらい設計", "佐々木 さくら", "髙橋 﨑"], &["桜通り", "本町"]);
const ARABIC: Words =
    (&["شركة الأفق للتجارة", "فاطمة العنزي", "محمد الصباح"], &["شارع الخليج", "شارع النخيل"]);
const INDONESIAN: Words =
    (&["PT Cahaya Nusantara", "Siti Rahmawati", "CV Karya Abadi"], &["Jalan Melati", "Jalan Kenanga"]);

static US: [Place; 3] = [
    place("Portland", Some("OR"), "97205", ("US", "en-US"), ENGLISH),
    place("Austin", Some("TX"), "78701", ("US", "en-US"), ENGLISH),
    place("Albany", Some("NY"), "12207", ("US", "en-US"), ENGLISH),
];
static EURO: [Place; 5] = [
    place("Lübeck", None, "23552", ("DE", "de"), GERMAN),
    place("Göttingen", None, "37073", ("DE", "de"), GERMAN),
    place("Orléans", None, "45000", ("FR", "fr"), FRENCH),
    place("Logroño", None, "26001", ("ES", "es"), SPANISH),
    place("Jyväskylä", None, "40100", ("FI", "fi"), FINNISH),
];
static JAPAN: [Place; 2] = [
    place("大阪市", Some("大阪府"), "530-0001", ("JP", "ja"), JAPANESE),
    place("札幌市", Some("北海道"), "060-0001", ("JP", "ja"), JAPANESE),
];
static KUWAIT: [Place; 1] = [place("مدينة الكويت", None, "13001", ("KW", "ar"), ARABIC)];
static INDONESIA: [Place; 2] = [
    place("Bandung", Some("Jawa Barat"), "40111", ("ID", "id"), INDONESIAN),
    place("Surabaya", Some("Jawa Timur"), "60241", ("ID", "id"), INDONESIAN),
];

impl Person {
    /// Somebody who pays in `currency`; `number` keeps the email addresses apart.
    pub(super) fn new(chance: &mut Chance, currency: Currency, number: u64) -> Arc<Self> {
        let places: &'static [Place] = match currency {
            Currency::Usd => &US,
            Currency::Eur => &EURO,
            Currency::Jpy => &JAPAN,
            Currency::Kwd => &KUWAIT,
            Currency::Idr => &INDONESIA,
        };
        let places: Vec<&'static Place> = places.iter().collect();
        let place = chance.pick(&places);
        let phone = chance.one_in_thousand(400).then(|| format!("+1555{:07}", chance.between(0..=9_999_999)));
        Arc::new(Self {
            name: chance.pick(place.names).to_owned(),
            email: format!("buyer{number}@example.com"),
            phone,
            street: format!("{} {}", chance.pick(place.streets), chance.between(1..=240)),
            place,
        })
    }

    pub(super) fn address(&self) -> Value {
        json!({
            "city": self.place.city,
            "country": self.place.country,
            "line1": self.street,
            "line2": null,
            "postal_code": self.place.postal_code,
            "state": self.place.state,
        })
    }

    pub(super) fn billing_details(&self) -> Value {
        json!({
            "address": self.address(),
            "email": self.email,
            "name": self.name,
            "phone": self.phone,
            "tax_id": null,
        })
    }
}

/// Notes that the business keeps on its objects, in any script.
pub(super) type Metadata = Vec<(&'static str, String)>;

/// Metadata for an object of the business: sometimes none.
pub(super) fn notes(chance: &mut Chance, number: u64) -> Metadata {
    match chance.between(0..=5) {
        0 => vec![("crm_id", format!("C-{number:06}")), ("segment", "Größe M — Δ".to_owned())],
        1 => vec![("crm_id", format!("C-{number:06}")), ("備考", "至急 🚀".to_owned())],
        2 => vec![("source", "fair".to_owned()), ("note", "said: \"call\\back\" \u{200f}שלום".to_owned())],
        3 => vec![("crm_id", format!("C-{number:06}"))],
        _ => Vec::new(),
    }
}

pub(super) fn metadata(notes: &Metadata) -> Value {
    notes
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Value::from(value.as_str())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
