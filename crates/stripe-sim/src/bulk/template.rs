//! Texts with gaps, and the ids and numbers that fill them.

use std::sync::LazyLock;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Places of a scrambled number in an id: 62^7 is more than 2^41.
const PLACES: usize = 7;
const MASK: u64 = (1 << 41) - 1;
/// Odd, so multiplying by it modulo 2^41 can be undone.
const FACTOR: u64 = 0x0123_4567_89ab | 1;

/// Fixed text, each piece but the last followed by a field.
pub(super) struct Template<F> {
    pieces: Vec<(Box<str>, F)>,
    rest: Box<str>,
}

impl<F: Copy> Template<F> {
    /// The template of a text that names its fields, as in `"id":"@id"`.
    pub(super) fn parse(text: &str, field: impl Fn(&str) -> F) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((fixed, after)) = rest.split_once('@') {
            let end = after.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
            let (name, next) = after.split_at_checked(end.unwrap_or(after.len())).unwrap_or((after, ""));
            pieces.push((Box::from(fixed), field(name)));
            rest = next;
        }
        Self { pieces, rest: Box::from(rest) }
    }

    /// Appends the text, each field as `push` writes it.
    pub(super) fn append(&self, out: &mut String, push: impl Fn(F, &mut String)) {
        for (fixed, field) in &self.pieces {
            out.push_str(fixed);
            push(*field, out);
        }
        out.push_str(&self.rest);
    }

    /// The text, each field as `push` writes it.
    pub(super) fn fill(&self, push: impl Fn(F, &mut String)) -> String {
        let mut out = String::with_capacity(3072);
        self.append(&mut out, push);
        out
    }
}

/// JSON without the blanks between its parts.
pub(super) fn compact(text: &str) -> String {
    let mut quoted = false;
    let mut escaped = false;
    text.chars()
        .filter(|letter| {
            quoted ^= *letter == '"' && !escaped;
            escaped = quoted && *letter == '\\' && !escaped;
            quoted || !letter.is_ascii_whitespace()
        })
        .collect()
}

pub(super) fn push_number(out: &mut String, number: u64) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push(digit(number % 10));
}

/// Letters of a number in base 62, lowest first.
pub(super) fn push_letters(out: &mut String, mut number: u64, count: usize) {
    for place in 0..count {
        if place % 10 == 9 && number < 62 {
            number = mix(number ^ 0x5bd1_e995);
        }
        out.push(digit(number % 62));
        number /= 62;
    }
}

/// An id: prefix, ten letters of noise, and the number scrambled into seven more.
pub(super) fn push_id(out: &mut String, prefix: &str, noise: u64, number: u64) {
    out.push_str(prefix);
    push_letters(out, noise, 10);
    push_letters(out, scramble(number), PLACES);
}

/// The number in an id, whoever gave that out.
pub(super) fn number_in(id: &str) -> Option<u64> {
    let (_, tail) = id.split_at_checked(id.len().checked_sub(PLACES)?)?;
    let mut scrambled = 0_u64;
    for letter in tail.bytes().rev() {
        let digit = LETTERS.iter().position(|known| *known == letter)?;
        scrambled = scrambled.checked_mul(62)?.checked_add(u64::try_from(digit).ok()?)?;
    }
    Some(unscramble(scrambled))
}

fn digit(value: u64) -> char {
    usize::try_from(value).ok().and_then(|at| LETTERS.get(at)).map_or('0', |letter| char::from(*letter))
}

/// A well-spread number for any number.
pub(super) fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn scramble(number: u64) -> u64 {
    number.wrapping_mul(FACTOR) & MASK
}

fn unscramble(scrambled: u64) -> u64 {
    static INVERSE: LazyLock<u64> = LazyLock::new(|| {
        // Newton's iteration doubles the right bits each time.
        (0..6)
            .fold(1_u64, |inverse, _| inverse.wrapping_mul(2_u64.wrapping_sub(FACTOR.wrapping_mul(inverse))))
    });
    scrambled.wrapping_mul(*INVERSE) & MASK
}
