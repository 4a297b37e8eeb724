//! Texts and numbers that suit the names of their properties.

use crate::chance::{Chance, Ids};

const CURRENCIES: [&str; 14] =
    ["usd", "eur", "jpy", "krw", "bhd", "kwd", "idr", "gbp", "isk", "ugx", "huf", "clp", "tnd", "brl"];
const COUNTRIES: [&str; 14] =
    ["US", "DE", "JP", "KR", "BH", "KW", "ID", "GB", "IS", "UG", "HU", "CL", "TN", "BR"];
const NAMES: [&str; 8] = [
    "Zo\u{eb} M\u{fc}ller",
    "\u{5c71}\u{7530} \u{592a}\u{90ce}",
    "O'Brien & Sons",
    "\u{627}\u{644}\u{634}\u{631}\u{643}\u{629}",
    "Ana \"Nina\" Souza",
    "\u{1f4a1} Bright Ideas \u{1f469}\u{200d}\u{1f4bb}",
    "Plain Name",
    "A",
];
const SENTENCES: [&str; 8] = [
    "Two lines,\nthe second after a break",
    "Tab\tand \\ backslash / slash",
    "na\u{ef}ve caf\u{e9} \u{2014} \u{20ac}5",
    "",
    "0012.50",
    "null",
    "R\u{e4}ksm\u{f6}rg\u{e5}s \u{1f990}",
    "Something ordinary",
];
const KEYS: [&str; 8] = [
    "order_id",
    "\u{30ad}\u{30fc}",
    "with space",
    "a.b[c]",
    "\u{e9}t\u{e9}",
    "UPPER",
    "0",
    "a-long-key-with-forty-characters-in-it-ok",
];

/// A text for a property of this name.
pub(super) fn text(chance: &mut Chance, ids: &mut Ids, name: &str) -> String {
    if name.ends_with("_decimal") {
        return decimal(chance);
    }
    let number = chance.between(0..=9999);
    match name {
        _ if name.ends_with("currency") => chance.pick(&CURRENCIES).to_owned(),
        _ if name.ends_with("country") => chance.pick(&COUNTRIES).to_owned(),
        _ if name.ends_with("email") => format!("person{number}+tag@example.com"),
        _ if name.ends_with("url") || name == "website" => {
            format!("https://example.com/{name}/{number}?q=%C3%A9")
        }
        _ if name.contains("phone") => format!("+1555{number:07}"),
        "ip" | "ip_address" => format!("203.0.113.{}", number % 256),
        "last4" | "dynamic_last4" => format!("{number:04}"),
        "locale" | "preferred_locale" => chance.pick(&["en", "de-AT", "ja"]).to_owned(),
        "timezone" | "time_zone" => chance.pick(&["America/New_York", "Europe/Berlin", "Etc/UTC"]).to_owned(),
        "postal_code" => format!("{number:05}"),
        "api_version" => "2026-10-28.endive".to_owned(),
        _ if name.ends_with("name") => chance.pick(&NAMES).to_owned(),
        _ if name.ends_with("fingerprint") || name.ends_with("secret") || name.ends_with("code") => {
            ids.next("", 16).to_string()
        }
        _ => sentence(chance),
    }
}

pub(super) fn sentence(chance: &mut Chance) -> String {
    chance.pick(&SENTENCES).to_owned()
}

pub(super) fn currency(chance: &mut Chance) -> &'static str {
    chance.pick(&CURRENCIES)
}

pub(super) fn key(chance: &mut Chance) -> &'static str {
    chance.pick(&KEYS)
}

/// A decimal as Stripe writes it: up to 12 places.
pub(super) fn decimal(chance: &mut Chance) -> String {
    let whole = chance.between(0..=20_000_000_000);
    let places = usize::try_from(chance.between(0..=12)).unwrap_or(0);
    let part: String =
        (0..places).map(|_| char::from(b'0' + u8::try_from(chance.between(0..=9)).unwrap_or(0))).collect();
    if part.is_empty() { whole.to_string() } else { format!("{whole}.{part}") }
}

/// A whole number for a property of this name.
pub(super) fn whole(chance: &mut Chance, name: &str, now: i64) -> i64 {
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    match name {
        "exp_month" | "month" => chance.between(1..=12),
        "exp_year" | "year" => chance.between(2024..=2035),
        "day" => chance.between(1..=28),
        _ if ends(&[
            "_at",
            "_end",
            "_start",
            "_date",
            "_time",
            "_by",
            "_until",
            "_after",
            "_deadline",
            "_anchor",
        ]) =>
        {
            moment(chance, now)
        }
        _ if ["amount", "total", "balance", "value", "price"].iter().any(|word| name.contains(word)) => {
            amount(chance)
        }
        _ => chance.between(0..=500),
    }
}

/// Money; one in ten exceeds 32 bits, some is negative.
pub(super) fn amount(chance: &mut Chance) -> i64 {
    match chance.between(0..=19) {
        0 | 1 => chance.between(2_147_483_648..=900_000_000_000),
        2 => -chance.between(1..=500_000),
        3 => 0,
        _ => chance.between(1..=5_000_000),
    }
}

/// Some time in the year around `now`.
pub(super) fn moment(chance: &mut Chance, now: i64) -> i64 {
    now + chance.between(-180 * 86_400..=180 * 86_400)
}
