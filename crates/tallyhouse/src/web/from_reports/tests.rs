use std::collections::HashSet;

use catalog::Decoder;
use serde_json::json;
use warehouse::{Batch, Change, DuckDb, DuckOptions, Warehouse as _, Write};

use super::*;
use crate::{
    clock::SystemClock,
    testing::connection,
    web::{TableProgressView, TableStanding},
};

/// Every table copied to its end.
fn complete() -> ProgressView {
    let mut view = ProgressView::at_rest(Vec::new());
    view.tables.iter_mut().for_each(|table| table.state = TableStanding::Live);
    view
}

/// A warehouse with two charges of this month.
async fn warehouse(folder: &std::path::Path) -> DuckDb {
    let warehouse =
        DuckDb::open(folder.join("w.duckdb"), DuckOptions { memory_limit_mb: 64, threads: 1 }).unwrap();
    let schema: SchemaName = "shop".parse().unwrap();
    warehouse.prepare(&schema, catalog::tables().collect()).await.unwrap();
    let created = SystemClock.now().timestamp();
    let charge = |id: &str, currency: &str| json!({"id": id, "object": "charge", "created": created, "status": "succeeded", "currency": currency, "captured": true, "amount": 1234, "amount_captured": 1234, "paid": true});
    let page =
        json!({"object": "list", "has_more": false, "data": [charge("ch_1", "usd"), charge("ch_2", "jpy")]});
    let charges = catalog::resource("charges").unwrap();
    let mut decoder = Decoder::new(charges);
    decoder.page(page.to_string().as_bytes(), created * 1_000_000, &HashSet::new()).unwrap();
    let change = Change::Insert(decoder.finish().rows);
    let writes = vec![Write { table: charges.table, change }];
    warehouse.apply(Batch { schema, writes, checkpoints: Vec::new(), rejects: Vec::new() }).await.unwrap();
    warehouse
}

#[tokio::test]
async fn reports_become_cards_in_the_decimals_of_their_currency() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = warehouse(folder.path()).await;
    let numbers = WarehouseNumbers::new(warehouse.reader().unwrap(), Arc::new(SystemClock), chrono_tz::UTC);
    let cards = numbers.home(&connection("shop"), &complete()).await.unwrap();
    assert_eq!(cards.len(), 9);
    let volume = cards.iter().find_map(|card| match card {
        Card::Chart(chart) if chart.id == "gross_volume" => Some(chart),
        Card::Chart(_) | Card::Missing { .. } => None,
    });
    let volume = volume.unwrap();
    let shown: Vec<_> = volume
        .series
        .iter()
        .map(|one| (one.currency.as_deref(), one.exponent, one.points.last().unwrap().value))
        .collect();
    assert_eq!(shown, [(Some("jpy"), 0, Amount::Whole(1234)), (Some("usd"), 2, Amount::Whole(1234))]);
    assert_eq!((volume.axis.clone(), volume.unit), (Axis::Months, Unit::Money));
    assert!(volume.freshness.is_some() && volume.sql.is_some());
    assert!(cards.iter().all(|card| matches!(card, Card::Chart(_))), "{cards:?}");
}

#[tokio::test]
async fn how_to_draw_it_is_the_metrics_own_word_even_without_rows() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = warehouse(folder.path()).await;
    let numbers = WarehouseNumbers::new(warehouse.reader().unwrap(), Arc::new(SystemClock), chrono_tz::UTC);
    let cards = numbers.home(&connection("shop"), &complete()).await.unwrap();
    let drawn = |id: &str| {
        let chart = cards.iter().find_map(|card| match card {
            Card::Chart(chart) if chart.id == id => Some(chart),
            Card::Chart(_) | Card::Missing { .. } => None,
        });
        chart.map(|chart| (chart.shape, chart.axis.clone())).unwrap()
    };
    assert_eq!(drawn("invoices_collected"), (Shape::Stacked, Axis::Months));
    assert_eq!(drawn("open_receivables"), (Shape::Bars, Axis::Kinds("Age".to_owned())));
    assert_eq!(drawn("active_subscriptions"), (Shape::Bars, Axis::Kinds("As of".to_owned())));
    assert_eq!(drawn("subscriptions_by_month"), (Shape::Lines, Axis::Months));
}

#[tokio::test]
async fn tables_that_are_not_there_yet_are_told_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = warehouse(folder.path()).await;
    let numbers = WarehouseNumbers::new(warehouse.reader().unwrap(), Arc::new(SystemClock), chrono_tz::UTC);
    let cards = numbers.home(&connection("other"), &ProgressView::at_rest(Vec::new())).await.unwrap();
    assert_eq!(cards.len(), 9);
    for card in cards {
        assert!(
            matches!(&card, Card::Missing { why, .. } if why.contains("is not in the warehouse") && why.contains("not copied yet")),
            "{card:?}"
        );
    }
    assert!(numbers.home(&connection("no schema"), &complete()).await.is_err());
}

#[tokio::test]
async fn a_card_says_which_of_its_tables_is_not_complete_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = warehouse(folder.path()).await;
    let numbers = WarehouseNumbers::new(warehouse.reader().unwrap(), Arc::new(SystemClock), chrono_tz::UTC);
    let mut standing = complete();
    let mut set = |name: &str, state, why: Option<&str>| {
        let table = standing.tables.iter_mut().find(|table| table.table == name).unwrap();
        *table = TableProgressView { state, why: why.map(str::to_owned), ..TableProgressView::waiting(name) };
    };
    set("charges", TableStanding::Copying, None);
    set("invoices", TableStanding::Unavailable, Some("the key lacks a permission"));
    let cards = numbers.home(&connection("shop"), &standing).await.unwrap();
    let said = |id: &str| {
        let partial = cards.iter().find_map(|card| match card {
            Card::Chart(chart) if chart.id == id => Some(chart.partial.as_deref()),
            Card::Chart(_) | Card::Missing { .. } => None,
        });
        partial.unwrap().unwrap_or_default()
    };
    assert_eq!(
        said("gross_volume"),
        "Charges are copied in part: these numbers will grow when the copy goes on."
    );
    assert_eq!(said("invoices_billed"), "Invoices are not available: the key lacks a permission.");
    assert_eq!(said("active_subscriptions"), "");
}

#[tokio::test]
async fn a_warehouse_that_cannot_answer_is_not_told_as_a_missing_table() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = warehouse(folder.path()).await;
    let numbers = WarehouseNumbers::new(warehouse.reader().unwrap(), Arc::new(SystemClock), chrono_tz::UTC);
    let settings = reports::Settings { tz: chrono_tz::UTC, now: SystemClock.now() };
    let schema: SchemaName = "shop".parse().unwrap();
    let mut question = reports::metrics::gross_volume(&Frame::new(&schema, &settings));
    question.sql = "SELECT no_such_column FROM shop.charges".to_owned();
    let card = numbers.card(&schema, question, &complete()).await;
    let Card::Missing { why, .. } = card else { panic!("{card:?}") };
    assert_eq!(why, "The warehouse could not answer. The log says why.");
}

#[tokio::test]
async fn months_are_those_of_the_accounts_own_time_zone() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = warehouse(folder.path()).await;
    let numbers =
        WarehouseNumbers::new(warehouse.reader().unwrap(), Arc::new(SystemClock), chrono_tz::Europe::Berlin);
    for (told, used) in [
        (Some("America/New_York"), "America/New_York"),
        (None, "Europe/Berlin"),
        (Some("Mars/Olympus"), "Europe/Berlin"),
    ] {
        let connection = Connection { time_zone: told.map(str::to_owned), ..connection("shop") };
        for card in numbers.home(&connection, &complete()).await.unwrap() {
            let Card::Chart(chart) = card else { panic!("{card:?}") };
            assert!(chart.settings.contains(&("Time zone".to_owned(), used.to_owned())), "{chart:?}");
        }
    }
}
