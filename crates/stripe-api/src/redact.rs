//! Stripe's words without secrets: it echoes parts of them.

/// The prefixes of keys: secret, restricted, publishable, ephemeral, and those that sign webhooks.
const KEYS: [&str; 5] = ["sk_", "rk_", "pk_", "ek_", "whsec_"];
/// The prefixes of OAuth's codes and refresh tokens.
const CODES: [&str; 2] = ["ac_", "rt_"];

/// The message with `[key]` in place of what has the shape of a secret, whole or masked.
pub(crate) fn redacted(message: &str) -> String {
    let mut clean = String::with_capacity(message.len());
    let (mut before, mut within) = (' ', false);
    for (at, letter) in message.char_indices() {
        within &= !ends(letter);
        let begins = !within && !before.is_alphanumeric() && before != '_';
        if begins && message.get(at..).is_some_and(begins_with_secret) {
            clean.push_str("[key]");
            within = true;
        }
        if !within {
            clean.push(letter);
        }
        before = letter;
    }
    clean
}

fn ends(letter: char) -> bool {
    letter.is_whitespace() || "'\"`‘’“”,;()<>".contains(letter)
}

fn begins_with_secret(text: &str) -> bool {
    let after = |prefixes: &[&str]| prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    let run = |rest: &str| rest.chars().take_while(char::is_ascii_alphanumeric).count();
    if let Some(rest) = after(&CODES) {
        return run(rest) > 0 && rest.chars().nth(run(rest)) != Some('_');
    }
    after(&KEYS).is_some_and(|rest| {
        let named = ["live_", "test_", "org_", "*"].iter().any(|mode| rest.starts_with(mode));
        // Keys from before there were modes, and those of webhooks.
        named || run(rest) >= 8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_wherever_they_stand() {
        for (message, clean) in [
            ("Invalid API Key provided: sk_test_***1234", "Invalid API Key provided: [key]"),
            ("The provided key 'rk_live_****qs8K' does not", "The provided key '[key]' does not"),
            ("sk_live_51AbC/+=d, then more", "[key], then more"),
            ("(pk_test_1) key=whsec_0123456789abcdef", "([key]) key=[key]"),
            ("sk_org_live_1 sk_09l3shTSTKHYCzzZZsiLl2vA", "[key] [key]"),
            ("Authorization code expired: ac_123", "Authorization code expired: [key]"),
            ("?code=ac_123&refresh_token=rt_456", "?code=[key]"),
            ("é sk_test_1 ü", "é [key] ü"),
            ("'sk_test_1'", "'[key]'"),
        ] {
            assert_eq!(redacted(message), clean);
        }
    }

    #[test]
    fn harmless_words_stay() {
        for message in [
            "Received unknown parameter: network_status",
            "Received unknown parameter: pk_id",
            "Having the 'rak_charge_read' permission would allow this",
            "on account 'acct_1PJBLEBBLEfV'",
            "acss_debit ac_debit_type task_test_1 mac_123",
            "",
            "ü",
        ] {
            assert_eq!(redacted(message), message);
        }
    }
}
