//! The program itself, killed with SIGKILL wherever it happens to be, ends with exactly what the simulated Stripe has.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

#[path = "support/program.rs"]
mod program;
#[path = "support/truth.rs"]
mod truth;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use warehouse::{DuckDb, DuckOptions, Reader};

use program::{connect, program, said, simulator};

/// With a customer for every ten charges, 100,100 objects.
const CHARGES: &str = "91000";
const KILLS: u32 = 50;
const SEED: u64 = 11;

/// Every object of a kind by id, as the simulated Stripe has it.
async fn objects(address: &str, kind: &str) -> HashMap<String, Value> {
    let truth = truth::truth(address, kind).await;
    let objects = truth.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects.map(|object| (object["id"].as_str().unwrap().to_owned(), object)).collect()
}

/// Without what is shown only to those who ask for it.
fn unasked(resource: &catalog::Resource, mut object: Value) -> Value {
    resource.expand.iter().for_each(|property| drop(object.as_object_mut().unwrap().remove(*property)));
    object
}

/// None missing, none twice, none stale: every row turns back into the object that Stripe has.
async fn assert_equal(reader: &Reader, address: &str, kind: &str) {
    let resource = catalog::by_object(kind).unwrap();
    let table = resource.table;
    let mut theirs = objects(address, kind).await;
    let all = theirs.len();
    let mut rows = 0;
    for part in 0..30 {
        let sql = format!("SELECT * FROM stripe.{} WHERE hash(id) % 30 = {part}", table.name);
        let ours = reader.query_arrow(&sql, Vec::new()).await.unwrap();
        assert!(!ours.truncated);
        for (batch, row) in
            ours.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)))
        {
            let object = unasked(resource, Value::Object(catalog::encode(table, batch, row).unwrap()));
            let id = object["id"].as_str().unwrap();
            let truth = theirs.remove(id).map(|truth| unasked(resource, truth));
            assert_eq!(truth.as_ref(), Some(&object), "{id} is twice, or is not what Stripe has");
            rows += 1;
        }
    }
    assert!(theirs.is_empty(), "{} of {all} are missing, as {:?}", theirs.len(), theirs.keys().next());
    assert_eq!(rows, all);
}

#[tokio::test]
async fn trap_30_fifty_kills_amid_faults_lose_and_double_nothing() {
    let (_simulator, address, key) = simulator(&["--charges", CHARGES, "--faults", "4"]);
    let data = tempfile::tempdir().unwrap();
    while !connect(&address, &key, data.path()).status.success() {}
    let mut chance = ChaCha8Rng::seed_from_u64(SEED);
    let mut killed = 0;
    for _ in 0..KILLS {
        let mut child = program(&address, data.path(), &["sync"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(chance.random_range(1..700)));
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed > KILLS / 2, "only {killed} of {KILLS} runs were killed before their end");
    let output = program(&address, data.path(), &["sync"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));

    let warehouse = DuckDb::open(data.path().join("warehouse.duckdb"), DuckOptions::default()).unwrap();
    let reader = warehouse.reader().unwrap();
    for kind in ["charge", "customer"] {
        assert_equal(&reader, &address, kind).await;
    }
}

#[test]
fn a_key_is_nowhere_in_what_is_said_or_stored() {
    let (_simulator, address, key) = simulator(&["--charges", "10", "--faults", "10"]);
    let data = tempfile::tempdir().unwrap();
    let mut said_all = String::new();
    while !said_all.contains("Connection Successful!") {
        said_all += &said(&connect(&address, &key, data.path()));
    }
    let wrong = connect(&address, "rk_test_wrongwrongwrong", data.path());
    assert!(!wrong.status.success());
    said_all += &said(&wrong);
    for arguments in [
        &["sync"][..],
        &["sync"],
        &["status"],
        &["doctor"],
        &["query", "SELECT * FROM tallyhouse.checkpoints"],
        &["query", "SELECT * FROM stripe.charges", "--format", "json"],
    ] {
        let mut command = program(&address, data.path(), arguments);
        said_all += &said(&command.env("TALLYHOUSE_LOG", "trace").output().unwrap());
    }
    assert!(said_all.contains("asking Stripe again"), "everything is told");
    assert!(said_all.contains("charges"), "{said_all}");
    for secret in [key.as_str(), "wrongwrongwrong"] {
        assert_eq!(said_all.matches(secret).count(), 0, "{secret} is said");
        assert_eq!(holding(secret, data.path()), Vec::<PathBuf>::new(), "{secret} is stored");
    }
    // What is searched for can be found: the warehouse and the store are among what is searched.
    assert!(!holding("cycles", data.path()).is_empty() && !holding("DUCK", data.path()).is_empty());
}

/// The files under `folder` that hold `text`.
fn holding(text: &str, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(text, &path));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path);
        }
    }
    found
}
