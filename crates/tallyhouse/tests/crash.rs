//! The program itself, killed with SIGKILL wherever it happens to be, ends with exactly what the simulated Stripe has.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use warehouse::{DuckDb, DuckOptions, Reader};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tallyhouse");
/// With a customer for every ten charges, 100,100 objects.
const CHARGES: u64 = 91_000;
const KILLS: u32 = 50;
const SEED: u64 = 11;

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("the simulator can be ended");
        self.0.wait().expect("the simulator ends");
    }
}

/// A simulated Stripe, its address and a key. Of 100 requests, `faults` are refused, fail, or lose their answer.
fn simulator(charges: u64, faults: u64) -> (Running, String, String) {
    let mut child = Command::new(PROGRAM)
        .args(["sim", "--unlimited", "--listen", "127.0.0.1:0"])
        .args(["--charges", &charges.to_string(), "--faults", &faults.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split([' ', ',']).find(|word| word.starts_with("http")).unwrap().to_owned();
    let key = line.trim().rsplit(' ').next().unwrap().to_owned();
    (Running(child), address, key)
}

fn program(address: &str, data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg("--data")
        .arg(data)
        .args(arguments)
        .env("TALLYHOUSE__STRIPE__API_URL", address)
        .env("TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND", "5000")
        .env("TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND_PER_ENDPOINT", "5000")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn connect(address: &str, key: &str, data: &Path) -> Output {
    let mut child = program(address, data, &["connect", "stripe", "--api-key-stdin"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Every object of a kind by id, as the simulated Stripe has it.
async fn truth(address: &str, kind: &str) -> HashMap<String, Value> {
    stripe_api::install_tls();
    let asked = reqwest::Client::new().get(format!("{address}/_sim/truth/{kind}")).header("Sim-Truth", "1");
    let answer = asked.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
    let lines = answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let objects = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    objects.map(|object| (object["id"].as_str().unwrap().to_owned(), object)).collect()
}

/// None missing, none twice, none stale: every row turns back into the object that Stripe has.
async fn assert_equal(reader: &Reader, address: &str, kind: &str) {
    let table = catalog::by_object(kind).unwrap().table;
    let mut theirs = truth(address, kind).await;
    let all = theirs.len();
    let mut rows = 0;
    for part in 0..30 {
        let sql = format!("SELECT * FROM stripe.{} WHERE hash(id) % 30 = {part}", table.name);
        let ours = reader.query_arrow(&sql, Vec::new()).await.unwrap();
        assert!(!ours.truncated);
        for (batch, row) in
            ours.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)))
        {
            let object = Value::Object(catalog::encode(table, batch, row).unwrap());
            let id = object["id"].as_str().unwrap();
            assert_eq!(theirs.remove(id).as_ref(), Some(&object), "{id} is twice, or is not what Stripe has");
            rows += 1;
        }
    }
    assert!(theirs.is_empty(), "{} of {all} are missing, as {:?}", theirs.len(), theirs.keys().next());
    assert_eq!(rows, all);
}

#[tokio::test]
async fn trap_30_fifty_kills_amid_faults_lose_and_double_nothing() {
    let (_simulator, address, key) = simulator(CHARGES, 4);
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
    let (_simulator, address, key) = simulator(10, 0);
    let data = tempfile::tempdir().unwrap();
    let output = connect(&address, &key, data.path());
    assert!(said(&output).contains("Connection Successful!"), "{}", said(&output));
    let wrong = connect(&address, "rk_test_wrongwrongwrong", data.path());
    assert!(!wrong.status.success());
    assert!(!said(&wrong).contains("wrongwrongwrong"), "{}", said(&wrong));
    for file in std::fs::read_dir(data.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()));
    }
}

#[test]
fn misuse_is_two_and_nothing_connected_says_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let misuse = program("http://127.0.0.1:1", data.path(), &["sink"]).output().unwrap();
    assert_eq!(misuse.status.code(), Some(2));
    let nothing = program("http://127.0.0.1:1", data.path(), &["sync"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(1));
    assert!(said(&nothing).contains("tallyhouse connect stripe"), "{}", said(&nothing));
}
