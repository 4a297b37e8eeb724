//! The warehouse file opens in Python's own DuckDB, and shows the same rows.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

#[path = "support/program.rs"]
mod program;

use std::{path::Path, process::Command};

use serde_json::Value;

use program::{Running, connect, program, said, simulator};

/// Prints, for each statement it is given, its rows by column as a line of JSON.
const SCRIPT: &str = "
import duckdb, json, sys
assert duckdb.__version__.startswith('2.0'), duckdb.__version__
file = duckdb.connect(sys.argv[1], read_only=True)
for sql in sys.argv[2:]:
    rows = file.execute(sql).fetchall()
    names = [column[0] for column in file.description]
    assert len(set(names)) == len(names), names
    print(json.dumps([dict(zip(names, row)) for row in rows]))
";

/// A row by column.
type Row = serde_json::Map<String, Value>;

fn python() -> std::ffi::OsString {
    let python = std::env::var_os("TALLYHOUSE_TEST_PYTHON");
    python.expect(
        "run `make test`: it installs a Python with duckdb 2.0 and names it in TALLYHOUSE_TEST_PYTHON",
    )
}

/// Runs the program; what it printed.
fn run(address: &str, data: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = program(address, data, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    output.stdout
}

/// A business of some customers, copied into `data`; the simulator's address.
fn copied(data: &Path) -> (Running, String) {
    let (running, address, key) = simulator(&["--customers", "40"]);
    let connected = connect(&address, &key, data);
    assert!(connected.status.success(), "{}", said(&connected));
    run(&address, data, &["sync"]);
    (running, address)
}

#[test]
fn pythons_duckdb_opens_the_file_and_shows_the_same_rows() {
    let data = tempfile::tempdir().unwrap();
    let (_simulator, address) = copied(data.path());
    let mut filled = 0;
    for table in catalog::tables() {
        let count = format!("SELECT count(*)::VARCHAR AS n FROM stripe.{}", table.name);
        let rows = format!("SELECT COLUMNS(*)::VARCHAR FROM stripe.{} ORDER BY id LIMIT 1000", table.name);
        let mut theirs = Command::new(python());
        theirs.args(["-c", SCRIPT]).arg(data.path().join("warehouse.duckdb")).args([&count, &rows]);
        let theirs = theirs.output().unwrap();
        assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
        for (sql, theirs) in [count, rows].iter().zip(theirs.stdout.split(|byte| *byte == b'\n')) {
            let theirs: Vec<Row> = serde_json::from_slice(theirs).unwrap();
            filled += theirs.len();
            let ours = run(&address, data.path(), &["query", sql, "--format", "json"]);
            let ours: Vec<Row> = serde_json::from_slice(&ours).unwrap();
            assert_eq!(ours, theirs, "{sql}");
        }
    }
    assert!(filled > 2_000, "{filled} rows were compared");
}
