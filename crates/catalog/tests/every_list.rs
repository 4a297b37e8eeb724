//! The catalogue against what Stripe publishes: every list, and every example object.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::{collections::BTreeSet, path::Path};

use catalog::{Column, Kind, List, Paging, Place, Table, encode, lists, row};
use serde_json::{Value, json};

/// Objects that no list shows: they have no table of their own.
static UNLISTED: Table = Table {
    name: "unlisted",
    object: "",
    description: "",
    columns: &[Column::new("id", Kind::Id), Column::new("object", Kind::Text)],
};

/// What examples show and no column has: it rests in `_extra`.
const BESIDE: [(&str, &str); 1] = [
    // Of an older shape than the SDK's: it is `parent.subscription_details.subscription` now.
    ("invoice", "subscription"),
];

#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn shared(file: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/stripe").join(file);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        println!("skipped: {file} is not here");
    }
    text
}

/// Where an object rests, by what it calls itself.
fn table_of(object: &str) -> &'static Table {
    let merged = ["bank_account", "card", "source"];
    let own = || lists().iter().find(|list| list.table.object == object);
    let several = || lists().iter().find(|list| list.table.name == "customer_sources");
    let found = if merged.contains(&object) { several() } else { own() };
    found.map_or(&UNLISTED, |list| list.table)
}

fn there_and_back(object: &Value) -> Value {
    let table = table_of(object["object"].as_str().unwrap());
    let rows = row(table, object.to_string().as_bytes(), 0).unwrap();
    Value::Object(encode(table, &rows, 0).unwrap())
}

#[test]
fn each_of_stripes_examples_comes_back_equal() {
    let Some(text) = shared("fixtures3.json") else { return };
    let fixtures: Value = serde_json::from_str(&text).unwrap();
    let examples = fixtures["resources"].as_object().unwrap();
    assert_eq!(examples.len(), 176);
    for (name, example) in examples {
        assert_eq!(&there_and_back(example), example, "{name}");
    }
    let unlisted =
        examples.values().filter(|object| table_of(object["object"].as_str().unwrap()).name == "unlisted");
    assert_eq!(unlisted.count(), 40);
}

#[test]
fn examples_fit_their_columns() {
    let Some(text) = shared("fixtures3.json") else { return };
    let fixtures: Value = serde_json::from_str(&text).unwrap();
    let examples = fixtures["resources"].as_object().unwrap();
    let mut beside = BTreeSet::new();
    let all =
        examples.iter().map(|(name, example)| (name, example, table_of(example["object"].as_str().unwrap())));
    for (name, example, table) in all.filter(|(_, _, table)| table.name != UNLISTED.name) {
        // The one is the table's, the other `_deleted`'s.
        let told =
            |property: &str| property == "object" || (property == "deleted" && name.starts_with("deleted_"));
        for (property, value) in example.as_object().unwrap().iter().filter(|(property, _)| !told(property)) {
            let Some(column) = table.columns.iter().find(|column| column.name == property) else {
                beside.insert((table.object, property.as_str()));
                continue;
            };
            assert!(
                value.is_null() || fits(column.kind, value),
                "{name}.{property} is no {:?}: {value}",
                column.kind
            );
        }
    }
    assert_eq!(beside, BTreeSet::from(BESIDE));
}

fn fits(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Id | Kind::Text | Kind::Decimal | Kind::DateTime => value.is_string(),
        Kind::Reference(_) => value.is_string() || value.is_object(),
        Kind::Boolean => value.is_boolean(),
        Kind::Integer | Kind::Money | Kind::Timestamp => value.is_i64(),
        Kind::Float => value.is_number(),
        Kind::Json => value.is_object() || value.is_array(),
    }
}

/// `path`, object, `created`, required parameters, cursor, parents and families of events, as somebody else found them.
#[test]
fn every_list_is_known_with_what_it_takes() {
    let Some(text) = shared("list-endpoints.tsv") else { return };
    let mut others = BTreeSet::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [path, object, created, required, cursor, ..] = fields.as_slice() else { panic!("{line}") };
        others.insert(*path);
        let list =
            lists().iter().find(|list| list.path == *path).unwrap_or_else(|| panic!("{path} is missing"));
        // Some take it, but their objects do not say when they were created.
        let undated =
            ["/v1/product_catalog/trial_offers", "/v2/commerce/product_catalog/imports"].contains(path);
        assert!(undated || list.created.is_some() == (*created == "y"), "{path}");
        let has = |name: &str| list.table.columns.iter().any(|column| column.name == name);
        assert!(list.created.is_none_or(has), "{path}");
        assert!(
            list.table.object == *object || (list.table.object.is_empty() && object.contains('|')),
            "{path}"
        );
        let paging = match *cursor {
            "y" => Paging::After,
            "page" => Paging::Page,
            _ => Paging::Whole,
        };
        assert_eq!(list.paging, paging, "{path}");
        for parameter in required.split(',').filter(|parameter| *parameter != "-") {
            assert!(!list.walked || knows(list, parameter), "{path} is not told its {parameter}");
        }
    }
    assert_eq!(others, lists().iter().map(|list| list.path).collect());
}

fn knows(list: &List, parameter: &str) -> bool {
    let named = list.params.iter().any(|(name, _)| name.split('[').next() == Some(parameter));
    named || list.parent.is_some_and(|parent| matches!(parent.place, Place::Query(name) if name == parameter))
}

#[test]
fn every_path_can_be_filled_and_every_parent_is_a_table() {
    for list in lists().iter().filter(|list| list.walked) {
        let braces = list.path.matches('{').count();
        let Some(parent) = list.parent else {
            assert_eq!(braces, 0, "{}", list.path);
            continue;
        };
        assert!(lists().iter().any(|other| other.table.name == parent.table), "{}", list.path);
        match parent.place {
            Place::Path(name) => {
                assert!(list.path.contains(&format!("{{{name}}}")) && braces == 1, "{}", list.path);
            }
            Place::Query(_) => assert_eq!(braces, 0, "{}", list.path),
        }
    }
}

#[test]
fn trap_6_moments_of_v2_are_times_and_come_back_as_they_were() {
    let table = table_of("v2.core.account");
    for created in
        ["2026-10-28T12:00:00.123Z", "2026-10-28T12:00:00Z", "2026-10-28T14:00:00.000+02:00", "soon"]
    {
        let account = json!({ "id": "acct_1", "object": "v2.core.account", "created": created });
        assert_eq!(there_and_back(&account), account);
        let rows = row(table, account.to_string().as_bytes(), 0).unwrap();
        let column = rows.column_by_name("created").unwrap();
        assert_eq!(column.null_count() == 0, created != "soon", "{created}");
    }
}

#[test]
fn trap_17_families_that_events_do_not_tell_all_of_are_known() {
    let free =
        |list: &&List| !list.path.starts_with("/v2/") && list.parent.is_none() && list.params.is_empty();
    let untold = lists().iter().filter(|list| list.walked && list.events.is_empty());
    assert_eq!(untold.filter(free).count(), 24);
    let followed = |table: &str| lists().iter().find(|list| list.table.name == table).unwrap().is_followed();
    for table in [
        "checkout_sessions",
        "quotes",
        "setup_intents",
        "invoice_items",
        "topups",
        "payment_intents",
        // Told of when it is attached to a customer, not when it is made; and its list cannot be asked for new ones.
        "payment_methods",
    ] {
        assert!(!followed(table), "{table}");
    }
    for table in ["charges", "customers", "invoices", "payouts", "disputes", "refunds", "issuing_cards"] {
        assert!(followed(table), "{table}");
    }
}
