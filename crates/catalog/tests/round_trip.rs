//! Objects into rows and back: nothing is lost, nothing is changed.
#![expect(clippy::unwrap_used, clippy::float_arithmetic, reason = "a test that cannot go on must fail")]

use std::{collections::HashSet, path::Path};

use arrow_array::{
    Array,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use catalog::{Decoder, One, Resource, by_object, encode, with_children};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn decode(resource: &'static Resource, object: &Value) -> (catalog::Decoded, One) {
    let mut decoder = Decoder::new(resource);
    let one = decoder.object(object.to_string().as_bytes(), 1_000_000).unwrap();
    (decoder.finish(), one)
}

fn back(resource: &'static Resource, decoded: &catalog::Decoded) -> Map<String, Value> {
    let object = encode(resource.table, &decoded.rows, 0).unwrap();
    let children = decoded.nested.iter().map(|nested| {
        let rows = &nested.rows;
        (0..rows.num_rows()).map(|row| encode(nested.child.table, rows, row).unwrap()).collect()
    });
    with_children(resource, object, children.collect())
}

fn there_and_back(object: &Value) -> Value {
    as_row(by_object(object["object"].as_str().unwrap()).unwrap(), object)
}

fn as_row(resource: &'static Resource, object: &Value) -> Value {
    let (decoded, _) = decode(resource, object);
    Value::Object(back(resource, &decoded))
}

#[test]
fn stripes_own_examples_within_lists_come_back_equal() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/stripe/fixtures3.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: Stripe's example objects are not here");
        return;
    };
    let fixtures: Value = serde_json::from_str(&text).unwrap();
    for (parent, list, child) in
        [("subscription", "items", "subscription_item"), ("invoice", "lines", "line_item")]
    {
        let data = vec![fixtures["resources"][child].clone(); 2];
        let mut object = fixtures["resources"][parent].clone();
        object[list] = json!({ "object": "list", "data": data, "has_more": false, "url": "/v1/x" });
        assert_eq!(there_and_back(&object), object, "{child}");
    }
}

#[test]
fn trap_25_money_and_text_stay_exact() {
    let metadata: Map<String, Value> =
        (0..50).map(|n| (format!("ключ {n} 🔑"), json!("é\"\\\n\u{2028}".repeat(70)))).collect();
    let charge = json!({
        "id": "ch_1", "object": "charge", "created": 1_700_000_000, "currency": "idr",
        "amount": 9_007_199_254_740_993_i64, "amount_captured": i64::MAX, "amount_refunded": -1,
        "description": "naïve \"quoted\" \\ \u{0}", "metadata": metadata,
    });
    assert_eq!(there_and_back(&charge), charge);
    let plan = json!({ "id": "p", "object": "plan", "amount_decimal": "0.000000000001", "amount": null });
    assert_eq!(there_and_back(&plan), plan);
}

#[test]
fn a_nested_list_that_is_not_shown_says_nothing_about_its_rows() {
    let resource = by_object("invoice").unwrap();
    let lists = [
        (json!({ "object": "list", "data": [], "has_more": false, "url": "/" }), true),
        (json!({ "object": "list", "data": [], "has_more": true, "url": "/" }), false),
        (json!(null), false),
        (json!("a surprise"), false),
    ];
    for (list, shown) in lists {
        let (decoded, _) = decode(resource, &json!({ "id": "in_1", "object": "invoice", "lines": list }));
        assert_eq!(!decoded.nested[0].parents.is_empty(), shown, "{list}");
    }
    let (decoded, _) = decode(resource, &json!({ "id": "in_1", "object": "invoice" }));
    assert!(decoded.nested[0].parents.is_empty());
}

#[test]
fn trap_12_a_cut_nested_list_reports_the_rest() {
    let lines: Vec<Value> =
        (0..10).map(|n| json!({ "id": format!("il_{n}"), "object": "line_item" })).collect();
    let list = json!({ "object": "list", "data": lines, "has_more": true, "url": "/v1/invoices/in_1/lines" });
    let invoice = json!({ "id": "in_1", "object": "invoice", "lines": list });
    let (decoded, one) = decode(by_object("invoice").unwrap(), &invoice);
    let One::Row { incomplete } = one else { panic!("{one:?}") };
    let [rest] = incomplete.as_slice() else { panic!("{incomplete:?}") };
    assert_eq!((rest.parent.as_str(), rest.after.as_str(), rest.position), ("in_1", "il_9", 10));
    assert_eq!(decoded.nested[0].rows.num_rows(), 10);
    assert_eq!(Value::Object(back(by_object("invoice").unwrap(), &decoded)), invoice);
}

#[test]
fn trap_11_a_deleted_stub_is_no_row() {
    let stub = json!({ "id": "cus_1", "object": "customer", "deleted": true });
    let (decoded, one) = decode(by_object("customer").unwrap(), &stub);
    assert_eq!(one, One::Deleted("cus_1".to_owned()));
    assert_eq!(decoded.rows.num_rows(), 0);
}

#[test]
fn what_does_not_fit_is_kept_and_noted() {
    let charge = json!({
        "id": "ch_1", "object": "charge", "amount": "ten", "created": 1.5, "paid": 1, "new_property": { "a": [1] },
    });
    let (decoded, _) = decode(by_object("charge").unwrap(), &charge);
    let pointers: HashSet<&str> = decoded.rejects.iter().map(|reject| reject.pointer.as_str()).collect();
    assert_eq!(pointers, HashSet::from(["/amount", "/created", "/paid"]));
    assert_eq!(there_and_back(&charge), charge);
}

#[test]
fn an_expanded_object_gives_its_id_and_is_kept() {
    let charge =
        json!({ "id": "ch_1", "object": "charge", "customer": { "id": "cus_1", "object": "customer" } });
    let (decoded, _) = decode(by_object("charge").unwrap(), &charge);
    assert!(decoded.rejects.is_empty());
    assert_eq!(there_and_back(&charge), charge);
}

#[test]
fn a_cut_body_is_told_from_a_wrong_one() {
    let mut decoder = Decoder::new(by_object("charge").unwrap());
    let none = HashSet::new();
    let cut = decoder.page(br#"{"object":"list","data":[{"id":"ch_1","#, 0, &none).unwrap_err();
    assert!(cut.is_syntax());
    let wrong = decoder.page(br#"{"error":{}}"#, 0, &none).unwrap_err();
    assert!(!wrong.is_syntax());
    assert_eq!(decoder.rows(), 0, "a page that fails leaves no row");
}

#[test]
fn one_bad_object_does_not_lose_the_page() {
    let mut decoder = Decoder::new(by_object("charge").unwrap());
    let body = br#"{"data":[{"id":"ch_1"},7,{"amount":1},{"id":"ch_2"}],"has_more":false}"#;
    let page = decoder.page(body, 0, &HashSet::new()).unwrap();
    assert_eq!(page.keys.len(), 2);
    let decoded = decoder.finish();
    assert_eq!((decoded.rows.num_rows(), decoded.rejects.len()), (2, 2));
    assert_eq!(decoded.rejects[1].raw, r#"{"amount":1}"#);
}

fn float(decoded: &catalog::Decoded, column: &str) -> Option<f64> {
    let array = decoded.rows.column_by_name(column).unwrap().as_primitive::<Float64Type>();
    array.is_valid(0).then(|| array.value(0))
}

#[test]
fn a_percentage_without_places_is_in_its_column() {
    for (sent, value) in [("25", 25.0), ("0", 0.0), ("100", 100.0), ("25.5", 25.5), ("33.33", 33.33)] {
        let body = format!(r#"{{"id":"c","object":"coupon","percent_off":{sent}}}"#);
        let coupon: Value = serde_json::from_str(&body).unwrap();
        let (decoded, _) = decode(by_object("coupon").unwrap(), &coupon);
        assert_eq!(float(&decoded, "percent_off"), Some(value), "{sent}");
        assert!(decoded.rejects.is_empty(), "{sent}");
        assert_eq!(there_and_back(&coupon), coupon, "{sent}");
    }
}

#[test]
fn a_percentage_that_is_no_number_is_kept_and_noted() {
    for sent in [json!("25"), json!(true), json!([25])] {
        let coupon = json!({ "id": "c", "object": "coupon", "percent_off": sent });
        let (decoded, _) = decode(by_object("coupon").unwrap(), &coupon);
        assert_eq!((float(&decoded, "percent_off"), decoded.rejects.len()), (None, 1));
        assert_eq!(there_and_back(&coupon), coupon);
    }
}

#[test]
fn decimals_and_numbers_beyond_their_column_are_kept_and_noted() {
    let plan = json!({ "id": "p", "object": "plan", "amount": u64::MAX, "amount_decimal": 1.5, "created": i64::MAX });
    let (decoded, _) = decode(by_object("plan").unwrap(), &plan);
    assert_eq!(decoded.rejects.len(), 3);
    assert_eq!(there_and_back(&plan), plan);
}

#[test]
fn the_last_of_equal_names_wins() {
    let mut decoder = Decoder::new(by_object("charge").unwrap());
    let body = br#"{"id":"x","object":"odd","amount":"a","zz":1,"amount":5,"zz":2,"object":"charge"}"#;
    decoder.object(body, 0).unwrap();
    let decoded = decoder.finish();
    assert!(decoded.rejects.is_empty());
    let expected = json!({ "id": "x", "object": "charge", "amount": 5, "zz": 2 });
    assert_eq!(Value::Object(back(by_object("charge").unwrap(), &decoded)), expected);
}

fn invoice(lines: &Value) -> (catalog::Decoded, Vec<catalog::Incomplete>) {
    let list = json!({ "object": "list", "data": lines, "has_more": true });
    let object = json!({ "id": "in_1", "object": "invoice", "lines": list });
    let (decoded, one) = decode(by_object("invoice").unwrap(), &object);
    let One::Row { incomplete } = one else { panic!("{one:?}") };
    (decoded, incomplete)
}

#[test]
fn trap_12_a_bad_line_takes_no_place() {
    let lines = json!([{ "id": "a" }, 7, { "id": "b" }, { "id": "z", "deleted": true }]);
    let (decoded, incomplete) = invoice(&lines);
    assert_eq!((incomplete[0].after.as_str(), incomplete[0].position), ("b", 2));
    let positions = decoded.nested[0].rows.column_by_name("_position").unwrap().as_primitive::<Int64Type>();
    assert_eq!(positions.values().to_vec(), [0, 1]);
    assert_eq!(decoded.rejects.len(), 2);
}

#[test]
fn trap_12_a_cut_list_without_an_id_to_go_on_from_is_noted() {
    let (decoded, incomplete) = invoice(&json!([]));
    assert!(incomplete.is_empty());
    assert_eq!(decoded.rejects.len(), 1);
    assert_eq!(decoded.rejects[0].pointer, "/lines");
}

#[test]
fn trap_11_a_deleted_stub_in_a_list_is_no_row() {
    let mut decoder = Decoder::new(by_object("customer").unwrap());
    let body = br#"{"data":[{"id":"cus_1","deleted":true},{"id":"cus_2"}],"has_more":false}"#;
    let page = decoder.page(body, 0, &HashSet::new()).unwrap();
    assert_eq!((page.keys.len(), decoder.rows()), (2, 1));
    assert_eq!(decoder.finish().rejects[0].id.as_deref(), Some("cus_1"));
}

#[test]
fn trap_12_nested_lists_within_nested_objects_have_their_rows() {
    let list = |more: bool| json!({ "object": "list", "data": [{ "id": "li_1", "object": "item" }], "has_more": more, "url": "/v1/x" });
    let quote = json!({
        "id": "qt_1", "object": "quote", "line_items": list(false),
        "computed": { "recurring": null, "upfront": { "amount_total": 5, "line_items": list(true) } },
    });
    let (decoded, one) = decode(by_object("quote").unwrap(), &quote);
    assert_eq!(decoded.nested.iter().map(|nested| nested.rows.num_rows()).sum::<usize>(), 2);
    let One::Row { incomplete } = one else { panic!("{one:?}") };
    assert_eq!(incomplete.len(), 1);
    let cut = &decoded.nested[incomplete[0].child];
    assert_eq!(cut.child.property, "computed.upfront.line_items");
    assert_eq!(there_and_back(&quote), quote);
    // Not expanded, or null: it says nothing about the children.
    let bare = json!({ "id": "qt_1", "object": "quote", "computed": { "recurring": null, "upfront": null } });
    let (decoded, _) = decode(by_object("quote").unwrap(), &bare);
    assert!(decoded.nested.iter().all(|nested| nested.parents.is_empty()));
    assert_eq!(there_and_back(&bare), bare);
}

#[test]
fn trap_26_fields_that_moved_have_no_column_and_are_kept_where_old_objects_have_them() {
    for (object, moved) in [
        ("invoice", ["charge", "payment_intent", "subscription", "paid"].as_slice()),
        ("charge", &["invoice"]),
        ("subscription", &["current_period_end", "plan", "quantity", "discount"]),
    ] {
        let table = by_object(object).unwrap().table;
        let mut old = Map::from_iter([("id".to_owned(), json!("x_1")), ("object".to_owned(), json!(object))]);
        for name in moved {
            assert!(table.columns.iter().all(|column| column.name != *name), "{object}.{name}");
            old.insert((*name).to_owned(), json!("as it was"));
        }
        let old = Value::Object(old);
        assert_eq!(there_and_back(&old), old);
    }
}

#[test]
fn trap_6_a_page_of_api_v2_says_where_it_goes_on() {
    let accounts = || Decoder::new(by_object("v2.core.account").unwrap());
    let body = br#"{"data":[{"id":"acct_1","object":"v2.core.account","created":"2026-10-28T12:00:00.500Z"}],"next_page_url":"/v2/core/accounts?page=x"}"#;
    let page = accounts().page(body, 0, &HashSet::new()).unwrap();
    assert_eq!((page.has_more, page.next.as_deref()), (true, Some("/v2/core/accounts?page=x")));
    assert_eq!(page.keys[0].created, Some(1_793_188_800));
    let last = accounts().page(br#"{"data":[],"next_page_url":null}"#, 0, &HashSet::new()).unwrap();
    assert!(!last.has_more);
    let wrong = accounts().page(br#"{"data":[],"has_more":false}"#, 0, &HashSet::new()).unwrap_err();
    assert!(!wrong.is_syntax(), "a page that does not say whether it is the last is none");
}

#[test]
fn trap_25_half_a_surrogate_pair_is_kept_aside_whole() {
    let body = br#"{"id":"cus_1","object":"customer","name":"\ud83d","metadata":{"a":"\uD800"},"new":["\udead"],"email":"\ud83d\ude00"}"#;
    let mut decoder = Decoder::new(by_object("customer").unwrap());
    decoder.object(body, 0).unwrap();
    let decoded = decoder.finish();
    let object = encode(by_object("customer").unwrap().table, &decoded.rows, 0).unwrap();
    assert_eq!(
        (&object["email"], &object["name"], &object["metadata"]),
        (&json!("😀"), &Value::Null, &Value::Null)
    );
    let mut kept: Vec<_> =
        decoded.rejects.iter().map(|reject| (reject.pointer.as_str(), reject.raw.as_str())).collect();
    kept.sort_unstable();
    assert_eq!(
        kept,
        [("/metadata", r#"{"a":"\uD800"}"#), ("/name", r#""\ud83d""#), ("/new", r#"["\udead"]"#)]
    );
}

#[test]
fn a_page_that_does_not_say_whether_it_is_the_last_is_none() {
    let mut decoder = Decoder::new(by_object("charge").unwrap());
    let wrong = decoder.page(br#"{"data":[{"id":"ch_1"}]}"#, 0, &HashSet::new()).unwrap_err();
    assert!(!wrong.is_syntax());
    assert_eq!(decoder.rows(), 0);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Eighths survive being written and read; serde_json reads others to within their last digit.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever stands under whichever name comes back, and the columns stay in step.
    #[test]
    fn any_object_comes_back(values in prop::collection::vec(any_json(), 60), extra in any_json()) {
        for resource in catalog::resources().iter().filter(|resource| !resource.is_apart()) {
            let mut object = Map::new();
            for (column, value) in resource.table.columns.iter().zip(&values) {
                object.insert(column.name.to_owned(), value.clone());
            }
            object.insert("never heard of".to_owned(), extra.clone());
            object.insert("object".to_owned(), resource.table.object.into());
            object.insert("id".to_owned(), "x_1".into());
            object.remove("deleted");
            let object = Value::Object(object);
            let back = as_row(resource, &object);
            for (name, value) in object.as_object().unwrap() {
                prop_assert_eq!(&back[name], value, "{} of {}", name, resource.table.name);
            }
            prop_assert_eq!(back, object);
        }
    }

    /// Whatever a page and its nested lists hold, every element is a row or a reject.
    #[test]
    fn any_page_is_counted(
        elements in prop::collection::vec(any_json(), 0..6),
        lines in prop::collection::vec(any_json(), 0..6),
        has_more in any::<bool>(),
    ) {
        let list = json!({ "object": "list", "data": lines, "has_more": false });
        let mut data = elements.clone();
        data.push(json!({ "id": "in_1", "object": "invoice", "lines": list }));
        let body = json!({ "object": "list", "data": data, "has_more": has_more });
        let mut decoder = Decoder::new(by_object("invoice").unwrap());
        let page = decoder.page(body.to_string().as_bytes(), 0, &HashSet::new()).unwrap();
        let decoded = decoder.finish();
        prop_assert_eq!(page.has_more, has_more);
        prop_assert_eq!(decoded.rows.num_rows(), page.keys.len());
        let whole = decoded.rejects.iter().filter(|reject| reject.pointer.is_empty()).count();
        let rows = decoded.rows.num_rows() + decoded.nested[0].rows.num_rows();
        prop_assert_eq!(rows + whole, data.len() + lines.len());
    }

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = Decoder::new(by_object("invoice").unwrap());
        let _ = decoder.page(&body, 0, &HashSet::new());
        let _ = decoder.object(&body, 0);
        decoder.finish();
    }
}
