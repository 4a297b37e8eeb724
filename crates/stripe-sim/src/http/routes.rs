//! Which list or object a path is of.

use std::borrow::Cow;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;

use crate::shapes::{FACTS, List};

/// Every address of a list or of one of its objects, exact words before names.
static ROUTES: LazyLock<Vec<Pattern>> = LazyLock::new(patterns);

struct Pattern {
    /// The parts of the path; None where it names something.
    parts: Vec<Option<&'static str>>,
    list: &'static List,
    /// Whether it is the address of an object.
    single: bool,
}

/// What a path is of.
#[derive(Debug, Clone)]
pub(super) struct Route<'a> {
    pub(super) list: &'static List,
    /// What the path says that the objects belong to.
    pub(super) parent: Option<Cow<'a, str>>,
    /// The object that it names.
    pub(super) id: Option<Cow<'a, str>>,
}

/// The list or object at a path. None: Stripe has nothing there.
pub(super) fn route(path: &str) -> Option<Route<'_>> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let pattern = matching(&parts)?;
    let named = parts.iter().zip(&pattern.parts).filter(|(_, known)| known.is_none());
    let mut named: Vec<Cow<'_, str>> =
        named.map(|(part, _)| percent_decode_str(part).decode_utf8_lossy()).collect();
    let id = if pattern.single { named.pop() } else { None };
    Some(Route { list: pattern.list, parent: named.pop(), id })
}

/// The path with `{id}` where it names something: ids of coupons and plans may be any words.
pub(super) fn template(path: &str) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match matching(&parts) {
        Some(pattern) => {
            pattern.parts.iter().fold(String::new(), |path, part| path + "/" + part.unwrap_or("{id}"))
        }
        None => path.to_owned(),
    }
}

fn matching(parts: &[&str]) -> Option<&'static Pattern> {
    let fits = |pattern: &&Pattern| {
        pattern.parts.len() == parts.len()
            && pattern
                .parts
                .iter()
                .zip(parts)
                .all(|(known, part)| known.is_none_or(|known| known == *part) && !part.is_empty())
    };
    ROUTES.iter().find(fits)
}

fn patterns() -> Vec<Pattern> {
    let lists = FACTS.lists.iter().chain(&FACTS.aliases);
    let listed = lists.map(|list| Pattern { parts: parts(&list.path), list, single: false });
    let single = FACTS.lists.iter().chain(&FACTS.unlisted);
    let single = single
        .filter_map(|list| Some(Pattern { parts: parts(list.retrieve.as_deref()?), list, single: true }));
    let mut patterns: Vec<Pattern> = listed.chain(single).collect();
    patterns.sort_by_key(|pattern| pattern.parts.iter().filter(|part| part.is_none()).count());
    patterns
}

fn parts(path: &'static str) -> Vec<Option<&'static str>> {
    path.trim_matches('/').split('/').map(|part| (!part.starts_with('{')).then_some(part)).collect()
}
