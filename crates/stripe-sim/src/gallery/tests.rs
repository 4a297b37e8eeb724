//! The gallery through the simulator's door.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::{Gallery, GallerySpec, What};
use crate::Sim;
use crate::SimOptions;
use crate::http::tests::read;
use crate::shapes::fits::fits_record;
use crate::shapes::{FACTS, List, Place};
use crate::world::{Standing, Truth, World};

static SIM: LazyLock<Sim> = LazyLock::new(|| over(&Arc::new(Gallery::new(GallerySpec::default()))));

fn over(gallery: &Arc<Gallery>) -> Sim {
    Sim::new(Arc::<Gallery>::clone(gallery), SimOptions::default())
}

fn truth(list: &str) -> Vec<Truth> {
    SIM.world().truth(list).unwrap()
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

/// What a list must be told besides its parent.
fn required(list: &List) -> &'static str {
    match list.path.as_str() {
        "/v1/apps/secrets" => "&scope[type]=account",
        "/v1/tax/locations" => "&type=performance",
        _ => "",
    }
}

/// Every object of a list, page by page, as it was shown.
async fn walk(sim: &Sim, list: &List, path: &str) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    let question = if path.contains('?') { "&" } else { "?" };
    let mut next = match list.is_whole() {
        true => path.to_owned(),
        false => format!("{path}{question}limit=7{}", required(list)),
    };
    loop {
        let (status, page) = read(sim, &next).await;
        assert_eq!(status, 200, "{next}: {page}");
        found.extend(page["data"].as_array().unwrap().iter().cloned());
        next = match (list.is_v2(), &page["next_page_url"], &page["has_more"]) {
            (true, Value::String(url), _) => url.clone(),
            (false, _, Value::Bool(true)) => {
                let last = percent_encoding::utf8_percent_encode(
                    found.last().unwrap()["id"].as_str().unwrap(),
                    percent_encoding::NON_ALPHANUMERIC,
                )
                .to_string();
                format!("{path}{question}limit=7{}&starting_after={last}", required(list))
            }
            _ => return found,
        };
    }
}

/// The list's addresses, each with what its objects belong to.
fn addresses(list: &List, all: &[Truth]) -> Vec<(String, Option<String>)> {
    let Some(parent) = &list.parent else { return vec![(list.path.clone(), None)] };
    let there = all.iter().filter(|truth| truth.standing != Standing::Deleted);
    let parents: BTreeSet<String> = there.filter_map(|truth| truth.parent.clone()).collect();
    let address = |id: String| match parent.place {
        Place::Path => (list.path.replace(&format!("{{{}}}", parent.name), &id), Some(id)),
        Place::Query => (format!("{}?{}={id}", list.path, parent.name), Some(id)),
    };
    parents.into_iter().map(address).collect()
}

/// Nested lists cut after ten, v2 without what must be asked for: as Stripe shows an object unasked.
fn shown(object: &Value, list: &List) -> Value {
    let mut value = object.clone();
    crate::http::cut(&mut value);
    for path in &list.include {
        if let Some(hidden) = value.pointer_mut(&format!("/{}", path.replace('.', "/"))) {
            *hidden = Value::Null;
        }
    }
    value
}

/// Walks every list that can be walked without knowing more, and compares; how many there are.
pub(crate) async fn compare(sim: &Sim) -> usize {
    let mut lists = 0;
    for list in &FACTS.lists {
        if list.required.iter().any(|name| ["start_time", "ownership"].contains(&name.as_str())) {
            continue;
        }
        let Some(all) = sim.world().truth(&list.path) else { continue };
        lists += 1;
        for (path, parent) in addresses(list, &all) {
            let found = walk(sim, list, &path).await;
            let of = all.iter().filter(|truth| truth.parent == parent && truth.standing == Standing::Shown);
            let expected: Vec<Value> = of.map(|truth| shown(&truth.object, list)).collect();
            let ids = |objects: &[Value]| objects.iter().map(id).collect::<Vec<_>>();
            assert_eq!(ids(&found), ids(&expected), "{path}");
            assert!(found == expected, "{path} shows other objects");
        }
    }
    lists
}

#[tokio::test]
async fn every_list_shows_what_it_is_true_of_page_by_page() {
    assert_eq!(compare(&SIM).await, FACTS.lists.len() - 2);
}

#[tokio::test]
async fn every_list_goes_on_showing_what_is_true_as_things_change() {
    let gallery = Arc::new(Gallery::new(GallerySpec { seed: 5, ..GallerySpec::default() }));
    let before = gallery.truth("/v1/events").unwrap().len();
    let changes = gallery.change(500);
    assert_eq!(changes.len(), 500);
    let events: usize =
        changes.iter().map(|change| change.events.iter().filter(|id| !id.contains("_test_")).count()).sum();
    assert_eq!(gallery.truth("/v1/events").unwrap().len(), before + events);
    assert_eq!(compare(&over(&gallery)).await, FACTS.lists.len() - 2);
}

#[test]
fn changes_do_what_they_say() {
    let gallery = Gallery::new(GallerySpec { seed: 6, ..GallerySpec::default() });
    for _ in 0..400 {
        let now = gallery.now();
        let change = gallery.change(1).remove(0);
        assert!(gallery.now() - now <= 1);
        let all = gallery.truth(change.list).unwrap();
        let own = |truth: &&Truth| id(&truth.object) == change.id && truth.parent == change.parent;
        let found = all.iter().find(own).unwrap();
        match change.what {
            What::Created | What::Edited => assert_ne!(found.standing, Standing::Deleted, "{change:?}"),
            What::Deleted => {
                assert!(matches!(found.standing, Standing::Deleted | Standing::Unlisted), "{change:?}");
            }
        }
    }
}

#[test]
fn trap_17_events_tell_only_what_stripe_s_tell() {
    let gallery = Gallery::new(GallerySpec { seed: 7, ..GallerySpec::default() });
    let mut silent = BTreeSet::new();
    for change in gallery.change(900) {
        let list = FACTS
            .list(change.list)
            .or_else(|| FACTS.unlisted.iter().find(|list| list.path == change.list))
            .unwrap();
        if change.events.is_empty() {
            silent.insert((change.list, format!("{:?}", change.what)));
        }
        let types: Vec<&str> = list.objects.iter().flat_map(|kind| super::event::types(list, kind)).collect();
        if types.iter().any(|name| name.ends_with(".updated")) && change.what == What::Edited {
            assert!(!change.events.is_empty(), "{change:?}");
        }
        if ["/v1/balance_transactions", "/v1/shipping_rates", "/v1/tax_codes", "/v1/file_links"]
            .contains(&change.list)
        {
            assert!(change.events.is_empty(), "{change:?}");
        }
    }
    assert!(silent.contains(&("/v1/checkout/sessions", "Edited".to_owned())), "{silent:?}");
}

#[test]
fn trap_14_events_show_the_object_as_it_was_in_their_version() {
    let gallery = Gallery::new(GallerySpec { seed: 8, old_events_per_mille: 300, ..GallerySpec::default() });
    let mut old = 0;
    for _ in 0..300 {
        for change in gallery.change(1) {
            let object = gallery
                .truth(change.list)
                .unwrap()
                .into_iter()
                .find(|truth| id(&truth.object) == change.id && truth.parent == change.parent);
            let object = object.unwrap().object;
            for event in gallery
                .truth("/v1/events")
                .unwrap()
                .iter()
                .filter(|event| change.events.contains(&id(&event.object)))
            {
                let told = &event.object["data"]["object"];
                if told["object"] != object["object"]
                    || change.what == What::Deleted
                    || told.get("id").is_none()
                {
                    continue;
                }
                let is_old = event.object["api_version"] == "2024-06-20";
                // An object with nothing that is newer looks the same in both.
                old += usize::from(*told != object);
                assert!(is_old || *told == object, "{}", event.object);
            }
        }
    }
    assert!(old > 10, "{old}");
}

#[test]
fn the_clock_brings_the_same_in_one_step_or_in_several() {
    let gallery = || Gallery::new(GallerySpec { change_every: 600, ..GallerySpec::default() });
    let (one, other) = (gallery(), gallery());
    let events = one.advance(7_200);
    let apart: Vec<String> =
        [1_000, 200, 5_999, 1].into_iter().flat_map(|seconds| other.advance(seconds)).collect();
    assert!(!events.is_empty());
    assert_eq!((events, one.now()), (apart, other.now()));
    assert!(one.truth("/v1/events").unwrap().len() > 50);
    one.advance(40 * 86_400);
    let from = one.now() - 30 * 86_400;
    assert!(
        one.truth("/v1/events")
            .unwrap()
            .iter()
            .all(|event| event.object["created"].as_i64().unwrap() >= from)
    );
}

#[tokio::test]
async fn trap_11_deleted_customers_are_stubs_and_others_go_on_naming_them() {
    let customers = truth("/v1/customers");
    let gone: HashSet<String> = customers
        .iter()
        .filter(|truth| truth.standing == Standing::Deleted)
        .map(|truth| id(&truth.object))
        .collect();
    assert!(gone.len() >= 3);
    for customer in &gone {
        let (status, stub) = read(&SIM, &format!("/v1/customers/{customer}")).await;
        assert_eq!(
            (status.as_u16(), stub),
            (200, json!({ "id": customer, "object": "customer", "deleted": true }))
        );
    }
    let names = |list: &str| {
        truth(list)
            .iter()
            .filter(|truth| truth.object["customer"].as_str().is_some_and(|id| gone.contains(id)))
            .count()
    };
    assert!(names("/v1/charges") > 0 && names("/v1/invoices") + names("/v1/payment_intents") > 0);
    let other = truth("/v1/products").into_iter().find(|truth| truth.standing == Standing::Deleted);
    let Some(other) = other else { return };
    assert_eq!(read(&SIM, &format!("/v1/products/{}", id(&other.object))).await.0, 404);
}

#[tokio::test]
async fn every_object_that_has_an_address_is_there() {
    for list in &FACTS.lists {
        let Some(retrieve) = &list.retrieve else { continue };
        for truth in truth(&list.path).into_iter().step_by(3) {
            let own = id(&truth.object);
            let mut names = vec![
                percent_encoding::utf8_percent_encode(&own, percent_encoding::NON_ALPHANUMERIC).to_string(),
            ];
            if retrieve.matches('{').count() == 2 {
                names.insert(0, truth.parent.clone().unwrap());
            }
            let parts = retrieve
                .split('/')
                .map(|part| if part.starts_with('{') { names.remove(0) } else { part.to_owned() });
            let path = parts.collect::<Vec<_>>().join("/");
            let (status, object) = read(&SIM, &path).await;
            match truth.standing {
                Standing::Deleted if list.kind() == "customer" => {
                    assert_eq!(object["deleted"], true, "{path}: {object}");
                }
                Standing::Deleted => assert_eq!(status, 404, "{path}: {object}"),
                Standing::Shown
                | Standing::Inactive
                | Standing::Canceled
                | Standing::Closed
                | Standing::TestClock
                | Standing::Unlisted => assert!(
                    status == 200 && object == shown(&truth.object, list),
                    "{path}: {status} {object}"
                ),
            }
        }
    }
}

#[test]
fn every_list_is_full_and_ids_are_unique_where_stripe_s_are() {
    for list in FACTS.lists.iter().filter(|list| !list.path.ends_with("/events")) {
        let all = truth(&list.path);
        assert!(all.len() >= 8, "{}: {}", list.path, all.len());
        let ids: HashSet<(Option<&String>, String)> = all
            .iter()
            .map(|truth| (truth.parent.as_ref().filter(|_| list.kind() == "capability"), id(&truth.object)))
            .collect();
        assert_eq!(ids.len(), all.len(), "{}", list.path);
        let Some(parent) = &list.parent else { continue };
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        all.iter().for_each(|truth| *counts.entry(truth.parent.as_ref().unwrap()).or_default() += 1);
        let most = if list.kind() == "capability" { 60 } else { 100 };
        let of_one_source = parent.kind == "source";
        assert!(counts.values().any(|count| *count > most) || of_one_source, "{}: {counts:?}", list.path);
    }
}

#[test]
fn objects_fit_their_types() {
    for list in &FACTS.lists {
        for truth in truth(&list.path).iter().filter(|truth| truth.standing != Standing::Deleted) {
            let object = truth.object.as_object().unwrap();
            let kind = object["object"].as_str().unwrap();
            let known: HashSet<&str> =
                FACTS.properties(kind).iter().map(|property| property.name.as_str()).collect();
            for name in object.keys().filter(|name| *name != "simulated_novelty") {
                assert!(known.contains(name.as_str()) || name == "related_object", "{kind} has {name}");
            }
            fits_record(FACTS.properties(kind), &truth.object, kind);
        }
    }
}

#[test]
fn galleries_of_one_seed_are_equal_and_of_others_differ() {
    let told = |seed| {
        let gallery = Gallery::new(GallerySpec { seed, ..GallerySpec::default() });
        serde_json::to_string(&gallery.truth("/v1/charges")).unwrap()
    };
    assert!(told(1) == serde_json::to_string(&truth("/v1/charges")).unwrap());
    assert!(told(1) != told(2));
}

#[tokio::test]
async fn trap_10_lists_hide_what_stripe_s_hide() {
    for (path, asked, hidden) in [
        ("/v1/prices", "active=false", Standing::Inactive),
        ("/v1/tax_rates", "active=false", Standing::Inactive),
        ("/v1/subscriptions", "status=canceled", Standing::Canceled),
        ("/v2/core/accounts", "closed=true", Standing::Closed),
    ] {
        let all = truth(path);
        let expected: Vec<String> =
            all.iter().filter(|truth| truth.standing == hidden).map(|truth| id(&truth.object)).collect();
        let list = FACTS.list(path).unwrap();
        let found: Vec<String> = walk(&SIM, list, &format!("{path}?{asked}")).await.iter().map(id).collect();
        assert!(!expected.is_empty() && found == expected, "{path}: {found:?} {expected:?}");
    }
    let reviews = truth("/v1/reviews");
    assert!(
        reviews.iter().any(|truth| truth.standing == Standing::Unlisted && truth.object["open"] == false)
    );
    let customers = truth("/v1/customers");
    let clocked = customers.iter().find(|truth| truth.standing == Standing::TestClock).unwrap();
    let clock = clocked.object["test_clock"].as_str().unwrap();
    let (_, on_clock) = read(&SIM, &format!("/v1/customers?test_clock={clock}")).await;
    assert!(on_clock["data"].as_array().unwrap().iter().any(|object| object["id"] == clocked.object["id"]));
    let cards = truth("/v1/customers/{customer}/payment_methods");
    let (_, top) = read(&SIM, "/v1/payment_methods?limit=100").await;
    assert!(
        top["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|card| cards.iter().all(|of| of.object["id"] != card["id"]))
    );
    let (_, whose) =
        read(&SIM, &format!("/v1/payment_methods?customer={}", cards[0].parent.as_ref().unwrap())).await;
    assert_eq!(whose["data"][0]["id"], cards[0].object["id"]);
}

#[tokio::test]
async fn lists_that_need_a_parameter_say_so() {
    for list in FACTS.lists.iter().filter(|list| !list.required.is_empty()) {
        let path = match addresses(list, &truth(&list.path)).first() {
            Some((path, _)) if path.contains('/') && !path.contains('?') => path.clone(),
            _ => list.path.clone(),
        };
        let (status, answer) = read(&SIM, &path).await;
        assert!(status == 400 && answer["error"]["code"] == "parameter_missing", "{path}: {answer}");
        assert!(list.required.iter().any(|name| answer["error"]["param"] == name.as_str()), "{answer}");
    }
}

#[tokio::test]
async fn trap_23_features_that_are_not_enabled_are_refused() {
    let not_enabled = vec![
        ("/v1/issuing/".to_owned(), 400),
        ("/v1/treasury/".to_owned(), 403),
        ("/v2/money_management/".to_owned(), 404),
    ];
    let spec = GallerySpec { not_enabled, ..GallerySpec::default() };
    let sim = Sim::new(Arc::new(Gallery::new(spec)), SimOptions::default());
    for (path, status) in [
        ("/v1/issuing/cards", 400),
        ("/v1/treasury/transactions", 403),
        ("/v2/money_management/adjustments", 404),
    ] {
        let (got, answer) = read(&sim, path).await;
        assert_eq!(got, status, "{answer}");
    }
    assert_eq!(read(&sim, "/v1/charges").await.0, 200);
}

#[tokio::test]
async fn trap_6_pages_of_v2_go_both_ways_and_include_shows_more() {
    let (_, first) = read(&SIM, "/v2/core/accounts?limit=40").await;
    let (_, second) = read(&SIM, first["next_page_url"].as_str().unwrap()).await;
    let (_, again) = read(&SIM, second["previous_page_url"].as_str().unwrap()).await;
    assert_eq!((&again["data"], &again["previous_page_url"]), (&first["data"], &Value::Null));
    assert!(first.get("has_more").is_none());
    let all = truth("/v2/core/accounts");
    let full = all.iter().find(|truth| truth.object["identity"].is_object()).unwrap();
    let path = format!("/v2/core/accounts/{}", id(&full.object));
    assert_eq!(read(&SIM, &path).await.1["identity"], Value::Null);
    let (_, included) = read(&SIM, &format!("{path}?include[0]=identity")).await;
    assert_eq!(included["identity"], full.object["identity"]);
    let (status, refusal) = read(&SIM, "/v2/core/accounts/acct_none").await;
    assert_eq!((status.as_u16(), &refusal["error"]["code"]), (404, &json!("not_found")));
    assert_eq!(read(&SIM, "/v2/core/accounts?page=bad").await.0, 400);
}

#[test]
fn every_list_of_the_published_table_is_there() {
    let table =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/stripe/list-endpoints.tsv"));
    let Ok(table) = std::fs::read_to_string(&table) else {
        // Said rather than passed over in silence.
        {
            eprintln!("skipped: {} is not there", table.display());
        }
        return;
    };
    let mut lines = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let column = |name: &str| head.iter().position(|known| *known == name).unwrap();
    let mut seen = 0;
    for line in lines {
        let list = FACTS.list(line[column("path")]).unwrap_or_else(|| panic!("{line:?}"));
        let told = |name: &str| line[column(name)];
        assert_eq!(list.objects.join("|"), told("object"));
        let properties: Vec<String> =
            list.objects.iter().map(|kind| FACTS.properties(kind).len().to_string()).collect();
        assert_eq!(properties.join("|"), told("top_level_properties"), "{}", list.path);
        assert_eq!(list.required.join(","), told("required_query_params").replace('-', ""), "{}", list.path);
        assert_eq!(list.is_whole(), told("has_limit") == "n", "{}", list.path);
        assert_eq!(list.takes_created(), told("created_range_filter") != "n", "{}", list.path);
        seen += 1;
    }
    assert_eq!(seen, FACTS.lists.len());
}
