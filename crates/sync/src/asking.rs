//! How a list or an object is asked for: its parameters, as the version of Stripe's API that has it takes them.

use std::borrow::Cow;

use catalog::{Api, List, Page, Paging, Place, Resource};
use chrono::{DateTime, SecondsFormat};
use url::form_urlencoded;

use crate::Ask;

/// A path and the parameters to ask it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) query: Vec<(Cow<'static, str>, String)>,
}

impl Request {
    /// Whether it asks to expand something.
    pub(crate) fn is_expanded(&self) -> bool {
        self.query.iter().any(|(name, _)| name == "expand[]")
    }

    /// The same without expansions.
    pub(crate) fn plain(&self) -> Self {
        let query = self.query.iter().filter(|(name, _)| name != "expand[]").cloned().collect();
        Self { path: self.path.clone(), query }
    }
}

type Query = Vec<(Cow<'static, str>, String)>;

/// The page that a slice asks for. `again` asks for what the list leaves out otherwise.
pub(crate) fn page(resource: &'static Resource, ask: &Ask, again: bool) -> Request {
    let List { path, params, again: others, .. } = *resource.list;
    if let Some(page) = &ask.page {
        return named(page);
    }
    let mut query = fixed(if again { others } else { params });
    query.extend(paged(resource.list, &ask.query));
    query.extend(expanded(resource, "data."));
    if !resource.list.thin {
        query.extend(included(resource.list));
    }
    Request { path: path.to_owned(), query }
}

/// A page of the list that one parent has: the one after the object `after`, the one that Stripe named, or the first.
pub(crate) fn page_of(list: &'static List, parent: &str, after: Option<&str>, page: Option<&str>) -> Request {
    if let Some(page) = page {
        return named(page);
    }
    let mut query = fixed(list.params);
    if let Some(Place::Query(name)) = list.parent.map(|parent| parent.place) {
        query.push((name.into(), parent.to_owned()));
    }
    let mut asked = vec![("limit", "100".to_owned())];
    asked.extend(after.map(|after| ("starting_after", after.to_owned())));
    query.extend(paged(list, &asked));
    Request { path: list.path_of(&encoded(parent)), query }
}

/// Whether a page brings the walk further that goes on `after` an object, or at the page that was `asked` for: one that says there
/// is more and does not would be asked for without end. A page of API v2 may show nothing and go on.
pub(crate) fn has_moved(page: &Page, after: Option<&str>, asked: Option<&str>) -> bool {
    match page.keys.last() {
        Some(last) => Some(last.id.as_str()) != after,
        None => page.next.is_some() && page.next.as_deref() != asked,
    }
}

/// One object; none for the few kinds that Stripe only lists: there the list has the last word.
pub(crate) fn object(resource: &'static Resource, id: &str) -> Option<Request> {
    let path = resource.list.retrieve?.replace("{id}", &encoded(id));
    let query = expanded(resource, "").chain(included(resource.list)).collect();
    Some(Request { path, query })
}

fn fixed(params: &'static [(&'static str, &'static str)]) -> Query {
    params.iter().map(|&(name, value)| (name.into(), value.to_owned())).collect()
}

/// What narrows or moves a list. One of a single page takes none of it; API v2 writes moments as text (trap 6).
fn paged(list: &'static List, query: &[(&'static str, String)]) -> Query {
    let written = |&(name, ref value): &(&'static str, String)| {
        let value = match list.api() {
            Api::V2 if name.starts_with("created") => moment(value),
            Api::V2 | Api::V1 => value.clone(),
        };
        (name.into(), value)
    };
    let taken = |&&(name, _): &&(&'static str, String)| match list.paging {
        Paging::After => true,
        Paging::Page => name != "starting_after",
        Paging::Whole => false,
    };
    query.iter().filter(taken).map(written).collect()
}

/// Seconds as API v2 writes a moment.
fn moment(seconds: &str) -> String {
    let moment = seconds.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    moment.map_or_else(|| seconds.to_owned(), |moment| moment.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// What its nested lists need to be shown (trap 13).
fn expanded(resource: &'static Resource, before: &str) -> impl Iterator<Item = (Cow<'static, str>, String)> {
    resource.expand.iter().map(move |property| ("expand[]".into(), format!("{before}{property}")))
}

/// What objects of API v2 show only when they are asked to (trap 6).
fn included(list: &'static List) -> impl Iterator<Item = (Cow<'static, str>, String)> {
    let names = list.include.iter().enumerate();
    names.map(|(place, name)| (format!("include[{place}]").into(), (*name).to_owned()))
}

/// The page that Stripe named by path and query.
fn named(page: &str) -> Request {
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    // Some name it with scheme and host: only the path counts, since requests go where they are configured to go.
    let path =
        path.split_once("://").map_or(path, |(_, rest)| rest.find('/').map_or("/", |at| rest.split_at(at).1));
    let query = form_urlencoded::parse(query.as_bytes()).into_owned();
    // The host is the configured one, whatever stands here.
    Request {
        path: format!("/{}", path.trim_start_matches('/')),
        query: query.map(|(name, value)| (name.into(), value)).collect(),
    }
}

/// What an id keeps as it is: all that a path segment may hold unescaped.
const PLAIN: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'~');

/// An id as one path segment: ids of coupons and plans are chosen by people.
fn encoded(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use crate::Slice;

    use super::*;

    fn shown(request: &Request) -> String {
        let query: Vec<_> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}?{}", request.path, query.join("&"))
    }

    #[test]
    fn trap_6_api_v2_is_asked_by_pages_and_moments() {
        let events = catalog::resource("v2_core_events").unwrap();
        let ask = Slice::since(Some(1_790_000_000)).ask();
        assert_eq!(
            shown(&page(events, &ask, false)),
            "/v2/core/events?limit=100&created[gte]=2026-09-21T14:13:20.000Z"
        );
        for next in [
            "/v2/core/events?page=a%2Fb&limit=100",
            "https://api.stripe.com/v2/core/events?page=a%2Fb&limit=100",
        ] {
            let ask = Ask { page: Some(next.to_owned()), ..Slice::whole().ask() };
            assert_eq!(shown(&page(events, &ask, false)), "/v2/core/events?page=a/b&limit=100");
        }
        let accounts = catalog::resource("v2_core_accounts").unwrap();
        let one = object(accounts, "acct_1").unwrap();
        assert!(
            shown(&one).starts_with("/v2/core/accounts/acct_1?include[0]=configuration.customer&include[1]=")
        );
    }

    #[test]
    fn trap_8_and_9_a_parent_goes_where_its_list_takes_it() {
        let list = |table| catalog::resource(table).unwrap().list;
        let persons = page_of(list("account_persons"), "acct_1", Some("person_1"), None);
        assert_eq!(shown(&persons), "/v1/accounts/acct_1/persons?limit=100&starting_after=person_1");
        let tokens = page_of(list("issuing_tokens"), "ic_1", None, None);
        assert_eq!(shown(&tokens), "/v1/issuing/tokens?card=ic_1&limit=100");
        assert_eq!(
            shown(&page_of(list("account_capabilities"), "acct_1", None, None)),
            "/v1/accounts/acct_1/capabilities?"
        );
    }

    #[test]
    fn trap_13_nested_lists_that_are_hidden_are_expanded() {
        let customers = catalog::resource("customers").unwrap();
        let listed = shown(&page(customers, &Slice::whole().ask(), false));
        assert_eq!(listed, "/v1/customers?limit=100&expand[]=data.sources&expand[]=data.tax_ids");
        assert_eq!(
            shown(&object(customers, "cus_1").unwrap()),
            "/v1/customers/cus_1?expand[]=sources&expand[]=tax_ids"
        );
    }
}
