//! Home, with numbers that are hard to show.

use http::StatusCode;

use super::Here;
use crate::web::{Amount, Axis, Card, Chart, Point, Series, Shape, Unit};

const MONTHS: [&str; 8] =
    ["2026-04", "2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10", "2026-11"];

fn series(
    name: &str,
    currency: Option<&str>,
    exponent: u8,
    values: impl IntoIterator<Item = Amount>,
) -> Series {
    let point = |(at, value): (usize, Amount)| Point {
        label: MONTHS[at].to_owned(),
        value,
        incomplete: at == MONTHS.len() - 1,
    };
    let points = values.into_iter().enumerate().map(point).collect();
    Series { name: name.to_owned(), currency: currency.map(str::to_owned), exponent, points }
}

fn chart(id: &str, title: &str, unit: Unit, shape: Shape, series: Vec<Series>) -> Chart {
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        definition: "The sum of amount_captured of succeeded charges by the month they were created in. Later refunds do not reduce it.".to_owned(),
        settings: vec![("Time zone".to_owned(), "America/New_York".to_owned())],
        sql: Some("SELECT strftime(created, '%Y-%m') AS month, sum(amount_captured)\nFROM \"shop\".\"charges\"\nWHERE status = 'succeeded' AND 1 < 2\nGROUP BY ALL".to_owned()),
        unit,
        shape,
        axis: Axis::Months,
        series,
        freshness: Some(stripe_api::Clock::now(&super::FakeClock::default())),
        partial: None,
    }
}

/// A chart whose axis is no time, with something missing.
fn receivables() -> Chart {
    let mut receivables = chart(
        "receivables",
        "Open receivables by age",
        Unit::Money,
        Shape::Bars,
        vec![series("Open", Some("usd"), 2, (0..8).map(|age| Amount::Whole(400_000 + 90_000 * age)))],
    );
    for (point, label) in receivables.series[0].points.iter_mut().zip([
        "Not due",
        "1-30 days",
        "31-60 days",
        "61-90 days",
        "Over 90 days",
    ]) {
        (point.label, point.incomplete) = (label.to_owned(), false);
    }
    receivables.series[0].points.truncate(5);
    receivables.axis = Axis::Kinds("Age".to_owned());
    receivables.partial = Some(
        "Credit notes are not copied: the key lacks read access to them. Add that permission to the key."
            .to_owned(),
    );
    receivables
}

/// More kinds than there are colours.
fn reasons() -> Chart {
    let reasons = [
        "insufficient_funds",
        "card_declined",
        "expired_card",
        "lost_card",
        "incorrect_cvc",
        "do_not_honor",
        "no reason given",
        "processing_error",
    ];
    let reasons = reasons.map(|reason| {
        series(
            reason,
            None,
            0,
            (1..9).map(|month| Amount::Whole(i64::try_from(reason.len()).unwrap() * month)),
        )
    });
    chart("decline_reasons", "Decline reasons", Unit::Count, Shape::Bars, reasons.into())
}

/// Cards in every state.
pub(super) fn sample() -> Vec<Card> {
    let whole = |start: i64, step: i64| {
        (0..8).map(move |month| Amount::Whole(start + step * month * (month % 3 + 1)))
    };
    let ratio =
        |start: i64| (0..8).map(move |month| Amount::Ratio { num: start + 7 * (month % 4), den: 1000 });
    let currencies = [
        ("usd", 2, 41_234_567),
        ("eur", 2, 9_812_345),
        ("jpy", 0, 3_412_345),
        ("kwd", 3, 1_234_567),
        ("idr", 0, 912_345_678_901),
    ];
    let volume = currencies.map(|(currency, exponent, start)| {
        series("Gross volume", Some(currency), exponent, whole(start, start / 9))
    });
    let subscriptions =
        ["Active", "Past due", "Trialing", "Paused"].map(|name| series(name, None, 0, whole(120, 11)));
    let receivables = receivables();
    let reasons = reasons();
    let failed = chart(
        "failed_payments",
        "Failed payments",
        Unit::Count,
        Shape::Bars,
        vec![series("Failed", None, 0, whole(31, 4))],
    );
    let empty = chart("subscriptions_new", "New subscriptions", Unit::Count, Shape::Bars, Vec::new());
    let mut unfinished = chart("credit_notes", "Credit notes", Unit::Money, Shape::Bars, Vec::new());
    unfinished.partial = Some("Credit notes are still being copied: these numbers will grow.".to_owned());
    vec![
        Card::Chart(chart("gross_volume", "Gross volume", Unit::Money, Shape::Bars, volume.into())),
        Card::Chart(chart(
            "success_rate",
            "Payment success rate",
            Unit::Ratio,
            Shape::Lines,
            vec![series("Per payment", None, 0, ratio(940)), series("Per attempt", None, 0, ratio(890))],
        )),
        Card::Chart(failed),
        Card::Chart(receivables),
        Card::Chart(reasons),
        Card::Chart(chart(
            "subscriptions",
            "Active subscriptions",
            Unit::Count,
            Shape::Lines,
            subscriptions.into(),
        )),
        Card::Chart(empty),
        Card::Chart(unfinished),
        Card::Missing {
            title: "Invoices collected".to_owned(),
            why: "The table invoice_payments is not copied yet.".to_owned(),
        },
    ]
}

#[tokio::test]
async fn every_chart_has_its_table_definition_sql_and_freshness() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("shop").await;
    *here.numbers.0.lock().unwrap() = sample();
    let home = here.get("/", Some(&admin)).await;
    let page = home.page(StatusCode::OK);
    assert_eq!(page.matches("data-chart=").count(), 6, "{page}");
    assert_eq!(page.matches("<table id=").count(), 6);
    assert_eq!(page.matches("<summary>Definition</summary>").count(), 8);
    assert_eq!(page.matches("Newest row").count(), 8);
    assert!(page.contains("AND 1 &#60; 2"), "{page}");
    assert!(page.contains("and 2 more in the table"), "{page}");
    assert!(page.contains("<strong>Not shown.</strong> The table invoice_payments is not copied yet."));
    assert!(page.contains("There is nothing to count: Stripe has no such rows."));
    assert!(page.contains("Credit notes are still being copied: these numbers will grow.</p>"));
    assert_eq!(page.matches("No rows yet.").count(), 1);
    assert!(page.contains("the key lacks read access"));
}

#[tokio::test]
async fn money_is_exact_in_the_decimals_of_its_currency() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("shop").await;
    *here.numbers.0.lock().unwrap() = sample();
    let home = here.get("/", Some(&admin)).await;
    let page = home.page(StatusCode::OK);
    assert!(page.contains("data-value=\"41234567\" data-amount>412,345.67</td>"), "{page}");
    assert!(page.contains("data-value=\"3412345\" data-amount>3,412,345</td>"));
    assert!(page.contains("data-value=\"1234567\" data-amount>1,234.567</td>"));
    assert!(page.contains("data-value=\"912345678901\" data-amount>912,345,678,901</td>"));
    assert!(page.contains("data-value=\"94000\" data-amount>94.0 %</td>"));
}

#[tokio::test]
async fn without_a_connection_the_page_says_what_will_be_here() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let home = here.get("/", Some(&admin)).await;
    assert!(home.page(StatusCode::OK).contains("Nothing is connected yet"));
    assert!(home.body.contains("href=\"/admin/connections/new\""));
    let standard = here.user(store::Role::Standard).await;
    let home = here.get("/", Some(&standard)).await;
    assert!(home.page(StatusCode::OK).contains("Somebody with the Admin permission"));
}

#[tokio::test]
async fn a_warehouse_that_does_not_answer_is_told() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("shop").await;
    *here.numbers.1.lock().unwrap() = Some("The warehouse has <stopped>.".to_owned());
    let home = here.get("/", Some(&admin)).await;
    assert!(home.page(StatusCode::OK).contains("The warehouse has &#60;stopped&#62;."), "{}", home.body);
}

#[tokio::test]
async fn the_address_chooses_the_connection() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("a").await;
    here.connection("b").await;
    let second = here.get("/?connection=b", Some(&admin)).await;
    assert!(
        second.page(StatusCode::OK).contains("<a href=\"/?connection=b\" aria-current=\"page\""),
        "{}",
        second.body
    );
    here.get("/?connection=none", Some(&admin)).await.page(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn home_names_the_time_zone_of_the_account() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let fields = [("name", "shop"), ("key", super::SECRET_KEY)];
    here.post("/admin/connections/new/stripe/key", &admin, &fields).await;
    *here.numbers.0.lock().unwrap() = sample();
    let home = here.get("/", Some(&admin)).await;
    let page = home.page(StatusCode::OK);
    assert!(page.contains("Times and months: America/New_York"), "{page}");
    assert!(page.contains("23 Nov 2026, 07:00"), "{page}");
}
