//! Every list of the catalogue, walked against a simulated account that uses all of Stripe: the warehouse equals the
//! simulator's truth, table by table, field by field.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

mod compared;
#[path = "../support/mod.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use stripe_sim::{
    Fault, FaultScript, Sim, SimOptions,
    bulk::Mixed,
    gallery::{Gallery, GallerySpec},
    world::{Standing, World},
};
use sync::{Engine, Report, Reread, TableState};
use tokio_util::sync::CancellationToken;
use warehouse::{Memory, Warehouse as _};

use self::compared::{Tables, Worlds};

struct Copy {
    world: Arc<dyn World>,
    sim: Sim,
    warehouse: Arc<Memory>,
    engine: Engine<Memory>,
}

async fn connected(spec: GallerySpec) -> Copy {
    to(Arc::new(Gallery::new(spec))).await
}

async fn to(world: Arc<dyn World>) -> Copy {
    let sim = Sim::new(Arc::clone(&world), SimOptions::default());
    let address = support::serve(&sim, CancellationToken::new()).await;
    let warehouse = Arc::new(Memory::new());
    let engine = support::engine(&address, &warehouse, Arc::new(Worlds(Arc::clone(&world))), 3);
    Copy { world, sim, warehouse, engine }
}

impl Copy {
    async fn cycle(&self) -> Report {
        let report = self.engine.run(&CancellationToken::new()).await.unwrap();
        let failed = report.failed().filter(|(_, error)| !error.is_withheld());
        let failed: Vec<String> =
            failed.map(|(table, error)| format!("{table}: {}", error.sentence())).collect();
        assert_eq!(failed, [""; 0]);
        let rejects = self.warehouse.rejects(&support::schema());
        assert!(rejects.is_empty(), "what did not fit: {rejects:?}");
        report
    }

    fn tables(&self) -> Tables {
        let rows = |table: &'static catalog::Table| vec![self.warehouse.rows(&support::schema(), table)];
        catalog::tables().map(|table| (table.name, rows(table))).collect()
    }

    fn differences(&self) -> Vec<String> {
        compared::differences(&self.tables(), &*self.world)
    }

    /// Of which tables Stripe does not show all.
    fn withheld(report: &Report) -> Vec<&'static str> {
        report.failed().filter(|(_, error)| error.is_withheld()).map(|(table, _)| table).collect()
    }

    fn unavailable(report: &Report) -> Vec<&'static str> {
        let refused = report.tables.iter();
        let refused = refused.filter(|table| matches!(table.outcome, Ok(TableState::Unavailable { .. })));
        refused.map(|table| table.table).collect()
    }
}

#[tokio::test]
async fn trap_24_every_list_is_copied_without_search_and_equals_the_truth() {
    let copy = connected(GallerySpec::default()).await;
    let report = copy.cycle().await;
    assert_eq!(Copy::unavailable(&report), [""; 0]);
    assert_eq!(copy.differences(), [""; 0]);
    let asked = copy.sim.stats().by_path;
    assert!(asked.keys().all(|path| !path.contains("search")), "trap 24: the Search API lags");
    // Nothing changed, and nothing changes.
    copy.cycle().await;
    assert_eq!(copy.differences(), [""; 0]);
}

#[tokio::test]
async fn a_mixed_account_is_copied_whole() {
    let copy = to(Arc::new(Mixed::about(3, 10_000))).await;
    copy.cycle().await;
    let differences = copy.differences();
    // Those features are not enabled there.
    let refused = |difference: &&String| {
        difference.starts_with("/v1/issuing/") || difference.starts_with("/v1/treasury/")
    };
    assert_eq!(differences.iter().filter(|difference| !refused(difference)).count(), 0, "{differences:?}");
    let charges = copy.world.truth("/v1/charges").unwrap().len();
    assert!(charges > 1_500, "{charges}");
}

#[tokio::test]
async fn trap_23_features_that_are_not_enabled_are_unavailable_in_stripes_words_and_the_rest_goes_on() {
    for status in [400, 403, 404] {
        let not_enabled = ["/v1/issuing/", "/v1/treasury/", "/v1/identity/", "/v2/"];
        let not_enabled = not_enabled.map(|path| (path.to_owned(), status)).into();
        let copy = connected(GallerySpec { not_enabled, ..GallerySpec::default() }).await;
        let report = copy.cycle().await;
        let refused = |path: &str| {
            ["/v1/issuing/", "/v1/treasury/", "/v1/identity/", "/v2/"].iter().any(|one| path.starts_with(one))
        };
        for table in &report.tables {
            let list = catalog::resource(table.table).unwrap().list;
            let is_refused = matches!(&table.outcome, Ok(TableState::Unavailable { why }) if !why.is_empty());
            assert_eq!(is_refused, refused(list.path), "{status} {table:?}");
        }
        let differences = copy.differences();
        assert!(differences.iter().all(|difference| refused(difference)), "{differences:?}");
    }
}

#[tokio::test]
async fn trap_9_a_list_that_one_parent_is_refused_goes_on_with_the_others() {
    let copy = connected(GallerySpec::default()).await;
    let truth = copy.world.truth("/v1/accounts/{account}/persons").unwrap();
    let parent = truth.iter().filter_map(|one| one.parent.clone()).next_back().unwrap();
    let path = format!("/v1/accounts/{parent}/persons");
    copy.sim.set_faults(FaultScript::new().always(&path, Fault::status(403)));
    assert_eq!(Copy::withheld(&copy.cycle().await), ["account_persons"]);
    let differences = copy.differences();
    assert!(
        !differences.is_empty() && differences.iter().all(|one| one.contains(&parent)),
        "{differences:?}"
    );
}

#[tokio::test]
async fn trap_9_the_first_parents_that_are_refused_do_not_speak_for_all() {
    let copy = connected(GallerySpec::default()).await;
    let accounts = copy.world.truth("/v1/accounts").unwrap();
    let mut ids: Vec<String> =
        accounts.iter().map(|one| one.object["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    let script = ids.iter().take(4).fold(FaultScript::new(), |script, id| {
        script.always(&format!("/v1/accounts/{id}/persons"), Fault::status(403))
    });
    copy.sim.set_faults(script);
    let report = copy.cycle().await;
    assert_eq!((Copy::unavailable(&report), Copy::withheld(&report)), (vec![], vec!["account_persons"]));
    // What was refused is owed: once Stripe answers it is there, though none of the parents changed.
    copy.sim.set_faults(FaultScript::new());
    copy.world.advance(3_600);
    assert_eq!(Copy::withheld(&copy.cycle().await), [""; 0]);
    assert_eq!(copy.differences(), [""; 0]);
}

#[tokio::test]
async fn trap_10_what_no_list_shows_is_there_where_others_name_it() {
    let copy = connected(GallerySpec::default()).await;
    copy.cycle().await;
    for (path, kind) in [("/v1/reviews", "review"), ("/v1/prices", "price")] {
        let named = compared::named(&*copy.world, kind);
        let unlisted =
            copy.world.truth(path).unwrap().into_iter().filter(|one| one.standing == Standing::Unlisted);
        let unlisted: Vec<String> =
            unlisted.map(|one| one.object["id"].as_str().unwrap().to_owned()).collect();
        let wanted: Vec<_> = unlisted.into_iter().filter(|id| named.contains(id)).collect();
        let table = catalog::by_object(kind).unwrap().table;
        let missing = copy.warehouse.stale(&support::schema(), table, wanted.clone(), 0).await.unwrap();
        assert!(!wanted.is_empty() && missing.is_empty(), "{missing:?} of {wanted:?}");
    }
}

#[tokio::test]
async fn trap_12_and_17_what_changes_anywhere_is_there_after_the_next_walk() {
    let mut copy = connected(GallerySpec::default()).await;
    let every = Duration::ZERO;
    let recent = Reread::default().recent;
    let (recent_every, whole_every, told_every, rounds_every) = (every, every, every, every);
    copy.engine.options.reread = Reread { recent_every, recent, whole_every, told_every, rounds_every };
    copy.cycle().await;
    for _ in 0..4 {
        assert!(!copy.world.step(250).is_empty());
        copy.world.advance(3_600);
        copy.cycle().await;
        assert_eq!(copy.differences(), [""; 0]);
    }
}

#[test]
fn every_list_is_walked_and_compared_but_five_that_cannot_be() {
    let left = catalog::lists().iter().filter(|list| !list.walked).map(|list| list.path);
    let why = [
        // It needs a customer and a span of time, and makes up sums for them.
        "/v1/billing/meters/{id}/event_summaries",
        // Of a credit note that does not exist yet.
        "/v1/credit_notes/preview/lines",
        // It needs an ownership, which an account names only after it was refreshed.
        "/v1/financial_connections/accounts/{account}/owners",
        // No list shows calculations, and they are gone after 90 days.
        "/v1/tax/calculations/{calculation}/line_items",
        // No list shows tax transactions.
        "/v1/tax/transactions/{transaction}/line_items",
    ];
    assert_eq!(left.collect::<Vec<_>>(), why);
}
