//! The warehouse file opens in Python's own DuckDB, and shows the same rows.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tallyhouse");

/// Prints, for each statement it is given, its rows as a line of JSON.
const SCRIPT: &str = "
import duckdb, json, sys
assert duckdb.__version__.startswith('2.0'), duckdb.__version__
file = duckdb.connect(sys.argv[1], read_only=True)
for sql in sys.argv[2:]:
    print(json.dumps(file.execute(sql).fetchall()))
";

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("the simulator can be ended");
        self.0.wait().expect("the simulator ends");
    }
}

fn python() -> std::ffi::OsString {
    let python = std::env::var_os("TALLYHOUSE_TEST_PYTHON");
    python.expect(
        "run `make test`: it installs a Python with duckdb 2.0 and names it in TALLYHOUSE_TEST_PYTHON",
    )
}

/// Runs the program, with `input`; what it printed.
fn program(address: &str, data: &Path, arguments: &[&str], input: &str) -> Vec<u8> {
    let mut child = Command::new(PROGRAM)
        .arg("--data")
        .arg(data)
        .args(arguments)
        .env("TALLYHOUSE__STRIPE__API_URL", address)
        .env("TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND", "5000")
        .env("TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND_PER_ENDPOINT", "5000")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    output.stdout
}

/// A business of some customers, copied into `data`; the simulator's address.
fn copied(data: &Path) -> (Running, String) {
    let sim = ["sim", "--unlimited", "--listen", "127.0.0.1:0", "--customers", "40"];
    let mut child = Command::new(PROGRAM).args(sim).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let running = Running(child);
    let address = line.split([' ', ',']).find(|word| word.starts_with("http")).unwrap().to_owned();
    let key = line.trim().rsplit(' ').next().unwrap();
    program(&address, data, &["connect", "stripe", "--api-key-stdin"], key);
    program(&address, data, &["sync"], "");
    (running, address)
}

#[test]
fn pythons_duckdb_opens_the_file_and_shows_the_same_rows() {
    let data = tempfile::tempdir().unwrap();
    let (_simulator, address) = copied(data.path());
    for table in catalog::tables() {
        let count = format!("SELECT count(*)::VARCHAR AS n FROM stripe.{}", table.name);
        let rows = format!("SELECT COLUMNS(*)::VARCHAR FROM stripe.{} ORDER BY id LIMIT 1000", table.name);
        let mut theirs = Command::new(python());
        theirs.args(["-c", SCRIPT]).arg(data.path().join("warehouse.duckdb")).args([&count, &rows]);
        let theirs = theirs.output().unwrap();
        assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
        for (sql, theirs) in [count, rows].iter().zip(theirs.stdout.split(|byte| *byte == b'\n')) {
            let theirs: Vec<Vec<Value>> = serde_json::from_slice(theirs).unwrap();
            assert!(!theirs.is_empty(), "{} holds something", table.name);
            let ours = program(&address, data.path(), &["query", sql, "--format", "json"], "");
            let ours: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(&ours).unwrap();
            let ours: Vec<Vec<Value>> =
                ours.into_iter().map(|row| row.into_iter().map(|(_, v)| v).collect()).collect();
            assert_eq!(sorted(ours), sorted(theirs), "{sql}");
        }
    }
}

/// A JSON object does not keep the order of columns.
fn sorted(rows: Vec<Vec<Value>>) -> Vec<Vec<String>> {
    let row = |row: Vec<Value>| {
        let mut values: Vec<String> = row.iter().map(Value::to_string).collect();
        values.sort();
        values
    };
    rows.into_iter().map(row).collect()
}
