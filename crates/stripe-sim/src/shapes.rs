//! What Stripe's SDK says of its API: lists, the shapes of their objects, events. `tools/shapes.py` derives it.

#[cfg(test)]
pub(crate) mod fits;
mod types;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

pub(crate) use self::types::{Property, Type};

/// Everything that [`shapes.json`](../src/shapes.json) says.
pub(crate) static FACTS: LazyLock<Facts> = LazyLock::new(load);

/// Other beginnings of ids.
const ALSO: [(&str, &str); 5] =
    [("py", "charge"), ("pyr", "refund"), ("card", "payment_method"), ("du", "dispute"), ("price", "plan")];

/// Lists, kinds of objects and events.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Lists with a method of their own in the SDK, by path.
    pub(crate) lists: Vec<List>,
    /// Where objects are that no list shows, though lists show what belongs to them.
    pub(crate) unlisted: Vec<List>,
    /// Lists that others' `url`s name, as part of a list.
    pub(crate) aliases: Vec<List>,
    /// Objects that are in lists or embedded, by their `object`.
    pub(crate) kinds: BTreeMap<String, Kind>,
    /// Type of event to what it is about: a kind, a list's path, or nothing that is listed.
    pub(crate) events: BTreeMap<String, Option<String>>,
    /// What ids of kinds that are only referred to begin with.
    pub(crate) prefixes: BTreeMap<String, String>,
}

/// A list endpoint.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct List {
    /// With `{names}` of what is in the path.
    pub(crate) path: String,
    /// Kinds of its objects.
    pub(crate) objects: Vec<String>,
    /// Parameters that must be given.
    #[serde(default)]
    pub(crate) required: Vec<String>,
    /// Parameters beside those of paging.
    #[serde(default)]
    pub(crate) filters: Vec<String>,
    /// Parameters such as `limit` and `created` that it takes.
    pub(crate) paging: Vec<String>,
    /// Properties that are shown only when `include` names them.
    #[serde(default)]
    pub(crate) include: Vec<String>,
    /// Where one of its objects is.
    pub(crate) retrieve: Option<String>,
    /// Whether its objects can be deleted.
    #[serde(default)]
    pub(crate) delete: bool,
    /// What its objects belong to.
    pub(crate) parent: Option<Parent>,
    /// Of an alias, the list that holds the objects.
    #[serde(skip)]
    pub(crate) part_of: Option<String>,
}

/// What the objects of a list belong to.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Parent {
    /// Kind of the parent.
    pub(crate) kind: String,
    /// How path or query call it.
    pub(crate) name: String,
    /// `path` or `query`.
    #[serde(rename = "in")]
    pub(crate) place: Place,
}

/// Where a request names the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// `/v1/customers/{customer}/tax_ids`
    Path,
    /// `/v1/subscription_items?subscription=`
    Query,
}

/// A kind of object.
#[derive(Debug, Deserialize)]
pub(crate) struct Kind {
    /// What ids begin with, before the `_`; none where ids are words.
    pub(crate) prefix: Option<String>,
    /// Its properties.
    pub(crate) shape: Type,
}

impl List {
    /// Whether it is a list of API v2.
    pub(crate) fn is_v2(&self) -> bool {
        self.path.starts_with("/v2/")
    }

    /// Whether it takes `created`.
    pub(crate) fn takes_created(&self) -> bool {
        self.paging.iter().any(|name| name == "created")
    }

    /// Whether it has one page only, and takes no parameters for paging.
    pub(crate) fn is_whole(&self) -> bool {
        !self.paging.iter().any(|name| name == "limit")
    }

    /// The kind of its objects, the first of several.
    pub(crate) fn kind(&self) -> &str {
        self.objects.first().map_or("", String::as_str)
    }

    /// Whether its objects are in the order in which their parent has them, not newest first.
    pub(crate) fn is_in_order(&self) -> bool {
        let timeless =
            |kind: &String| FACTS.properties(kind).iter().all(|property| property.name != "created");
        self.parent.is_some() && (self.objects.iter().all(timeless) || self.path == "/v1/subscription_items")
    }

    /// Where those are listed that belong to `id`, which the list calls `name`.
    pub(crate) fn url_of(&self, name: &str, id: &str) -> String {
        let place = format!("{{{name}}}");
        match self.path.contains(&place) {
            true => self.path.replace(&place, id),
            false => format!("{}?{name}={id}", self.path),
        }
    }

    /// The list that holds the objects: itself, unless it is an alias.
    pub(crate) fn holder(&self) -> &str {
        self.part_of.as_deref().unwrap_or(&self.path)
    }
}

impl Facts {
    /// The list at this path.
    pub(crate) fn list(&self, path: &str) -> Option<&List> {
        self.lists.iter().find(|list| list.path == path)
    }

    /// The lists of a kind that hold objects of their own.
    pub(crate) fn lists_of(&self, kind: &str) -> impl Iterator<Item = &List> {
        self.lists.iter().filter(move |list| list.objects.iter().any(|object| object == kind))
    }

    /// The kind's properties.
    pub(crate) fn properties(&self, kind: &str) -> &[Property] {
        match self.kinds.get(kind).map(|kind| &kind.shape) {
            Some(Type::Record(properties)) => properties,
            _ => &[],
        }
    }

    /// What ids of the kind begin with; none where they are words, or unknown.
    pub(crate) fn prefix(&self, kind: &str) -> Option<&str> {
        let known = self.kinds.get(kind).and_then(|kind| kind.prefix.as_deref());
        known.or_else(|| self.prefixes.get(kind).map(String::as_str)).filter(|prefix| *prefix != "-")
    }

    /// The kinds that an id may be of, told by its prefix.
    pub(crate) fn kinds_of_id(&self, id: &str) -> impl Iterator<Item = &str> {
        let starts = move |prefix: &str| id.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'));
        let usual = self.kinds.iter().filter(move |(_, kind)| kind.prefix.as_deref().is_some_and(starts));
        let other = ALSO.iter().filter(move |(prefix, _)| starts(prefix)).map(|(_, kind)| *kind);
        usual.map(|(name, _)| name.as_str()).chain(other)
    }

    /// What a kind has at a path, such as `computed.upfront.line_items`.
    pub(crate) fn property(&self, kind: &str, path: &str) -> Option<&Property> {
        let mut properties = self.properties(kind);
        let mut names = path.split('.').peekable();
        loop {
            let name = names.next()?;
            let found = properties.iter().find(|known| known.name == name)?;
            if names.peek().is_none() {
                return Some(found);
            }
            let Type::Record(inner) = &found.kind else { return None };
            properties = inner;
        }
    }

    /// The parts within a part of a kind that lead to a list of its own, and the list's name: of `computed`, `upfront` and
    /// `line_items`.
    pub(crate) fn inner_list<'a>(
        &'static self,
        kind: &str,
        part: &'a Property,
    ) -> Option<(Vec<&'a Property>, &'a str)> {
        fn within<'a>(
            facts: &'static Facts,
            kind: &str,
            path: &str,
            part: &'a Property,
        ) -> Option<(Vec<&'a Property>, &'a str)> {
            let Type::Record(properties) = &part.kind else { return None };
            properties.iter().find_map(|property| {
                let path = format!("{path}.{}", property.name);
                if facts.nested(kind, &path).is_some() {
                    return Some((Vec::new(), property.name.as_str()));
                }
                let (mut parts, list) = within(facts, kind, &path, property)?;
                parts.insert(0, property);
                Some((parts, list))
            })
        }
        within(self, kind, &part.name, part)
    }

    /// Whether what the list's objects belong to shows the first of them, always or when asked to.
    pub(crate) fn shows(&'static self, list: &List) -> bool {
        let Some(parent) = &list.parent else { return false };
        let holds = |path: &str| {
            self.nested(&parent.kind, path).is_some_and(|(known, _)| known.holder() == list.holder())
        };
        let inner = |part: &Property| match self.inner_list(&parent.kind, part) {
            Some((inner, name)) => {
                let parts = inner.into_iter().map(|inner| inner.name.as_str());
                let path: Vec<&str> = [part.name.as_str()].into_iter().chain(parts).chain([name]).collect();
                holds(&path.join("."))
            }
            None => false,
        };
        self.properties(&parent.kind).iter().any(|property| holds(&property.name) || inner(property))
    }

    /// The list that a nested list of the kind shows the beginning of, and how it names the kind's object.
    pub(crate) fn nested(&'static self, kind: &str, path: &str) -> Option<(&'static List, &'static str)> {
        let Type::List(kinds) = &self.property(kind, path)?.kind else { return None };
        let property = path.replace('.', "_");
        let last = kind.rsplit('.').next().unwrap_or(kind);
        let same = |list: &&List| list.objects == *kinds;
        let owned = |list: &&List| list.parent.as_ref().is_some_and(|parent| parent.kind == kind);
        let own = |list: &&List| owned(list) && list.path.rsplit('/').next() == Some(&property);
        let lists = || self.lists.iter().chain(&self.aliases).filter(same);
        let child = lists().find(own).or_else(|| lists().find(owned));
        let by_parent = child.and_then(|list| Some((list, list.parent.as_ref()?.name.as_str())));
        by_parent.or_else(|| {
            lists()
                .find_map(|list| Some((list, list.filters.iter().find(|filter| *filter == last)?.as_str())))
        })
    }
}

#[derive(Deserialize)]
struct Written {
    lists: Vec<List>,
    aliases: Vec<(String, String, String)>,
    kinds: BTreeMap<String, Kind>,
    events: BTreeMap<String, Option<String>>,
    prefixes: BTreeMap<String, String>,
}

/// The facts; none if the file that is built in does not read, which a test would see.
fn load() -> Facts {
    let written: Result<Written, _> = serde_json::from_str(include_str!("shapes.json"));
    let Ok(Written { lists, aliases, kinds, events, prefixes }) = written else { return Facts::default() };
    let mut facts = Facts { lists, unlisted: Vec::new(), aliases: Vec::new(), kinds, events, prefixes };
    facts.aliases = aliases.into_iter().filter_map(|alias| facts.alias(&alias)).collect();
    facts.unlisted = facts.lists.iter().filter_map(|list| facts.owner(list)).collect();
    facts
}

impl Facts {
    /// Where the objects are that a list's belong to, if no list shows them.
    fn owner(&self, list: &List) -> Option<List> {
        let parent = list.parent.as_ref().filter(|parent| self.lists_of(&parent.kind).next().is_none())?;
        let (above, _) = list.path.split_once("/{")?;
        Some(List {
            path: above.to_owned(),
            objects: vec![parent.kind.clone()],
            required: Vec::new(),
            filters: Vec::new(),
            paging: Vec::new(),
            include: Vec::new(),
            retrieve: Some(format!("{above}/{{{}}}", parent.name)),
            delete: false,
            parent: None,
            part_of: None,
        })
    }

    fn alias(&self, (path, held_by, name): &(String, String, String)) -> Option<List> {
        let holder = self.list(held_by)?;
        let above = path.split("/{").next()?;
        let kind = self.list(above)?.kind().to_owned();
        Some(List {
            path: path.clone(),
            required: Vec::new(),
            filters: Vec::new(),
            retrieve: None,
            parent: Some(Parent { kind, name: name.clone(), place: Place::Path }),
            part_of: Some(held_by.clone()),
            ..holder.clone()
        })
    }
}
