//! Stripe's currencies: how many decimals an amount has, and how it is written.

/// No decimals: 1099 is ¥1,099.
const NONE: [&str; 15] =
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"];

/// Three decimals: 1099 is 1.099 dinars.
const THREE: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

/// How many decimals Stripe's amounts in `currency` have; upper or lower case.
///
/// This is Stripe's list, not ISO's: its API keeps ISK and UGX with two decimals that are always zero, and MGA with
/// none.
#[must_use]
pub fn exponent(currency: &str) -> u32 {
    let is = |known: &&str| known.eq_ignore_ascii_case(currency);
    if NONE.iter().any(is) {
        0
    } else if THREE.iter().any(is) {
        3
    } else {
        2
    }
}

/// An amount in the currency's smallest unit as people read it: "1,099.00 USD", "-5 JPY", "1.234 KWD".
///
/// Exact for every amount; no floating-point number takes part.
#[must_use]
pub fn format_minor(amount: impl Into<i128>, currency: &str) -> String {
    let amount: i128 = amount.into();
    let exponent = exponent(currency);
    let unit = 10_u128.pow(exponent);
    let (whole, part) = (amount.unsigned_abs() / unit, amount.unsigned_abs() % unit);
    let sign = if amount < 0 { "-" } else { "" };
    let decimals = match exponent {
        0 => String::new(),
        2 => format!(".{part:02}"),
        _ => format!(".{part:03}"),
    };
    format!("{sign}{}{decimals} {}", grouped(whole), currency.to_ascii_uppercase())
}

/// A whole number as people read it: "1,234,567".
#[must_use]
pub fn grouped(whole: impl Into<u128>) -> String {
    let digits = whole.into().to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_25_each_currency_has_its_own_decimals() {
        for (amount, currency, shown) in [
            (109_900_i64, "usd", "1,099.00 USD"),
            (1_099, "jpy", "1,099 JPY"),
            (1_099, "krw", "1,099 KRW"),
            (1_099, "vnd", "1,099 VND"),
            (1_099, "clp", "1,099 CLP"),
            (1_099, "xaf", "1,099 XAF"),
            (1_099_500, "kwd", "1,099.500 KWD"),
            (1, "bhd", "0.001 BHD"),
            (50, "tnd", "0.050 TND"),
            (109_900, "isk", "1,099.00 ISK"),
            (109_900, "ugx", "1,099.00 UGX"),
            (109_900, "huf", "1,099.00 HUF"),
            (5, "EUR", "0.05 EUR"),
            (0, "eur", "0.00 EUR"),
            (0, "jpy", "0 JPY"),
            (-5, "usd", "-0.05 USD"),
            (-123_456_789, "usd", "-1,234,567.89 USD"),
            (100_000, "usd", "1,000.00 USD"),
            (99_999, "usd", "999.99 USD"),
        ] {
            assert_eq!(format_minor(amount, currency), shown);
        }
    }

    #[test]
    fn trap_25_amounts_beyond_what_a_float_holds_are_exact() {
        assert_eq!(format_minor(i64::MAX, "idr"), "92,233,720,368,547,758.07 IDR");
        assert_eq!(format_minor(i64::MIN, "jpy"), "-9,223,372,036,854,775,808 JPY");
        let least = "-170,141,183,460,469,231,731,687,303,715,884,105.728 KWD";
        assert_eq!(format_minor(i128::MIN, "kwd"), least);
    }
}
