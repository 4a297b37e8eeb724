//! Every list of the catalogue through DuckDB, which ships: its rows turn back into what the simulated Stripe has, table by
//! table, field by field, as those of the warehouse in memory do.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

#[path = "../../sync/tests/everything/compared.rs"]
mod compared;
#[path = "../../sync/tests/support/mod.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use stripe_sim::{
    Sim, SimOptions,
    gallery::{Gallery, GallerySpec},
    world::World,
};
use sync::{Engine, Reread};
use tokio_util::sync::CancellationToken;
use warehouse::{DuckDb, DuckOptions, Reader};

use self::compared::{Tables, Worlds};

async fn cycle(engine: &Engine<DuckDb>) {
    let report = engine.run(&CancellationToken::new()).await.unwrap();
    let failed: Vec<String> =
        report.failed().map(|(table, error)| format!("{table}: {}", error.sentence())).collect();
    assert_eq!(failed, [""; 0]);
}

/// All rows; that nothing was refused a row is seen too.
async fn tables(reader: &Reader) -> Tables {
    let mut all = Tables::new();
    for table in catalog::tables() {
        let sql = format!("SELECT * FROM {}.{}", support::schema(), table.name);
        let rows = reader.query_arrow(&sql, Vec::new()).await.unwrap();
        assert!(!rows.truncated, "{}", table.name);
        all.insert(table.name, rows.batches);
    }
    let rejects = reader.query("SELECT * FROM tallyhouse.rejects", Vec::new()).await.unwrap();
    assert!(rejects.rows.is_empty(), "what did not fit: {:?}", rejects.rows);
    all
}

#[tokio::test]
async fn rows_that_duckdb_gives_back_are_what_stripe_has_also_after_changes() {
    let world: Arc<dyn World> = Arc::new(Gallery::new(GallerySpec::default()));
    let sim = Sim::new(Arc::clone(&world), SimOptions::default());
    let address = support::serve(&sim, CancellationToken::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("warehouse.duckdb");
    let warehouse = Arc::new(DuckDb::open(file, DuckOptions::default()).unwrap());
    let mut engine = support::engine(&address, &warehouse, Arc::new(Worlds(Arc::clone(&world))), 3);
    let every = Duration::ZERO;
    let (recent_every, whole_every, told_every, rounds_every) = (every, every, every, every);
    engine.options.reread =
        Reread { recent_every, whole_every, told_every, rounds_every, ..Reread::default() };
    cycle(&engine).await;
    let reader = warehouse.reader().unwrap().with_row_limit(usize::MAX);
    assert_eq!(compared::differences(&tables(&reader).await, &*world), [""; 0]);
    for _ in 0..2 {
        assert!(!world.step(250).is_empty());
        world.advance(3_600);
        cycle(&engine).await;
        assert_eq!(compared::differences(&tables(&reader).await, &*world), [""; 0]);
    }
}
