mod agree;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use arrow_array::{RecordBatch, cast::AsArray};
use catalog::Table;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{DuckDb, Options, Reader, describing, open, sql};
use crate::conformance::{self, Subject, batch, customers, lines, name, prepared, some_customers};
use crate::{Change, Ended, QueryError, QueryTable, Value, Warehouse, WarehouseError};

/// A file that is opened again each time it was shut.
pub(super) struct File {
    folder: TempDir,
    open: Option<DuckDb>,
    /// Rows after which it is opened again by itself.
    rows: u64,
}

impl File {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), open: None, rows: u64::MAX }
    }

    /// One that is opened again whenever a row was stored.
    fn renewing() -> Self {
        Self { rows: 1, ..Self::new() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("it's.duckdb")
    }
}

impl Subject for File {
    type Warehouse = DuckDb;

    fn open(&mut self) -> &DuckDb {
        let path = self.path();
        let rows = self.rows;
        self.open.get_or_insert_with(|| DuckDb::renewing(&path, Options::default(), rows).unwrap())
    }

    fn shut(&mut self) {
        self.open = None;
    }

    async fn dump(&mut self, table: &Table, columns: &[&str]) -> Vec<String> {
        let columns: Vec<String> = columns.iter().map(|name| sql::quoted(name)).collect();
        let text = format!("SELECT {} FROM {}", columns.join(", "), sql::name(&name(), table));
        let table = self.open().reader().unwrap().query_arrow(&text, vec![]).await.unwrap();
        let mut lines: Vec<String> = table.batches.iter().flat_map(conformance::told).collect();
        lines.sort();
        lines
    }
}

#[test]
fn trap_30_a_file_that_a_kill_left_half_made_is_in_nobodys_way() {
    let file = File::new();
    let draft = open::draft(&file.path());
    std::fs::write(&draft, b"half a header").unwrap();
    drop(DuckDb::open(file.path(), Options::default()).unwrap());
    assert!(!draft.exists());
    drop(DuckDb::open(file.path(), Options::default()).unwrap());
}

#[tokio::test]
async fn duckdb_conforms() {
    conformance::all(File::new).await;
    conformance::all(File::renewing).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn newest_wins_in_duckdb((events, order) in conformance::histories()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(conformance::newest_wins(File::new(), events, order));
    }
}

async fn ask(file: &mut File, sql: &str) -> Result<QueryTable, QueryError> {
    file.open().reader().unwrap().query(sql, vec![]).await
}

async fn with_one_customer() -> File {
    let mut file = File::new();
    let rows = Change::Insert(some_customers(&[("cus_1", 5, 1)]));
    prepared(&mut file).await.apply(batch(vec![(customers(), rows)])).await.unwrap();
    file
}

#[tokio::test]
async fn a_reader_cannot_write_or_reach_files() {
    let mut file = with_one_customer().await;
    let outside = file.folder.path().join("outside");
    let outside = outside.to_str().unwrap().replace('\'', "''");
    let attacks = [
        "DROP TABLE acct_1.customers".to_owned(),
        "INSERT INTO acct_1.customers (id) VALUES ('x')".to_owned(),
        "UPDATE acct_1.customers SET balance = 0".to_owned(),
        "SELECT 1; DROP TABLE acct_1.customers".to_owned(),
        "DROP TABLE acct_1.customers; SELECT 1".to_owned(),
        "WITH gone AS (DELETE FROM acct_1.customers RETURNING id) SELECT * FROM gone".to_owned(),
        "COMMIT".to_owned(),
        "SELECT 1; COMMIT; DELETE FROM acct_1.customers".to_owned(),
        format!("ATTACH '{outside}' AS other"),
        "ATTACH ':memory:' AS other".to_owned(),
        format!("COPY acct_1.customers TO '{outside}'"),
        format!("COPY (SELECT 1) TO '{outside}' (FORMAT parquet)"),
        "SELECT * FROM read_csv('/etc/passwd')".to_owned(),
        "SELECT * FROM read_text('/etc/passwd')".to_owned(),
        "SELECT * FROM glob('/etc/*')".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "INSTALL httpfs".to_owned(),
        "LOAD httpfs".to_owned(),
        "SET enable_external_access = true".to_owned(),
        "PRAGMA threads = 4".to_owned(),
        "CALL pragma_version()".to_owned(),
        "CHECKPOINT".to_owned(),
        String::new(),
        "-- nothing".to_owned(),
    ];
    for attack in &attacks {
        let answer = ask(&mut file, attack).await;
        assert!(answer.is_err(), "{attack} was answered with {answer:?}");
    }
    assert!(!file.folder.path().join("outside").exists());
    assert_eq!(file.dump(customers(), &["id", "balance"]).await, ["cus_1|5"]);
}

#[tokio::test]
async fn settings_are_shut_below_the_parser_too() {
    let mut file = with_one_customer().await;
    for text in [
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "INSTALL httpfs",
        "LOAD httpfs",
    ] {
        let own = file.open().instance.connect().unwrap();
        assert!(own.execute_batch(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_reader_answers_in_types_that_pages_can_show() {
    let mut file = with_one_customer().await;
    let sql = "SELECT id, sum(balance) AS total, 1.50 AS price, true AS yes, DATE '2026-02-03' AS day,
        _as_of, NULL AS nothing, 0.5::DOUBLE AS half, [1, 2] AS list, $1 AS given FROM customers GROUP BY ALL; -- done";
    let reader = file.open().reader_for(&name()).unwrap();
    let table = reader.query(sql, vec![Value::Text("it's".to_owned())]).await.unwrap();
    let types: Vec<&str> = table.columns.iter().map(|column| column.type_name.as_str()).collect();
    insta::assert_snapshot!(types.join(", "), @"VARCHAR, HUGEINT, DECIMAL(3,2), BOOLEAN, DATE, TIMESTAMP, NULL, DOUBLE, LIST, VARCHAR");
    insta::assert_snapshot!(serde_json::to_string(&table.rows).unwrap(), @r#"[["cus_1",5,"1.50",true,"2026-02-03","1970-01-01T00:00:00.000001",null,0.5,"[1, 2]","it's"]]"#);
}

#[tokio::test]
async fn every_value_can_be_a_parameter() {
    let mut file = File::new();
    let day = chrono::NaiveDate::from_ymd_opt(1969, 2, 28).unwrap();
    let values = vec![
        Value::Null,
        Value::Boolean(true),
        Value::Integer(i64::MIN),
        Value::Float(0.25),
        Value::Date(day),
        Value::Timestamp(day.and_hms_micro_opt(1, 2, 3, 4).unwrap()),
        Value::Text("'; DROP TABLE x".to_owned()),
    ];
    let reader = file.open().reader().unwrap();
    let table = reader.query("SELECT $1, $2, $3, $4, $5, $6, $7", values.clone()).await.unwrap();
    assert_eq!(table.rows, [values]);
}

#[tokio::test]
async fn long_answers_are_cut_and_say_so() {
    let mut file = File::new();
    let reader = file.open().reader().unwrap();
    let all = reader.query("SELECT * FROM range(10000)", vec![]).await.unwrap();
    assert_eq!((all.rows.len(), all.truncated), (10_000, false));
    let cut =
        reader.with_row_limit(3000).query("SELECT * FROM range(3000000) ORDER BY 1", vec![]).await.unwrap();
    assert_eq!((cut.rows.len(), cut.truncated), (3000, true));
    assert!(cut.rows.iter().zip(0..).all(|(row, n)| *row == [Value::Integer(n)]));
}

#[tokio::test]
async fn a_query_nobody_waits_for_is_interrupted() {
    let mut file = File::new();
    let reader = file.open().reader().unwrap();
    let endless = "SELECT sum(a.range * b.range) FROM range(1000000) AS a, range(1000000) AS b";
    let waited = tokio::time::timeout(Duration::from_millis(200), reader.query(endless, vec![])).await;
    assert!(waited.is_err());
    let next = tokio::time::timeout(Duration::from_secs(20), reader.query("SELECT 1", vec![])).await;
    assert_eq!(next.unwrap().unwrap().rows, [[Value::Integer(1)]]);
}

#[tokio::test]
async fn a_file_that_another_tallyhouse_opens_again_just_now_is_in_use() {
    let mut file = File::new();
    let lock = std::fs::File::create(file.folder.path().join("it's.duckdb.lock")).unwrap();
    lock.lock().unwrap();
    let refused = DuckDb::open(file.path(), Options::default()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, WarehouseError::InUse { .. }), "{refused}");
    drop(lock);
    prepared(&mut file).await;
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_made_anew() {
    let mut file = File::renewing();
    prepared(&mut file).await;
    let reader = file.open().reader_for(&name()).unwrap();
    std::fs::rename(file.path(), file.path().with_extension("away")).unwrap();
    let row = Change::Merge(some_customers(&[("cus_1", 1, 1)]));
    file.open().apply(batch(vec![(customers(), row)])).await.unwrap();
    let next = file.open().count(&name(), customers()).await.unwrap_err();
    assert!(matches!(next, WarehouseError::Open { .. }), "{next}");
    let asked = reader.query("SELECT count(*) FROM customers", vec![]).await.unwrap_err();
    assert!(matches!(asked, QueryError::Closed { .. }), "{asked}");
    assert!(!file.path().exists());
    std::fs::rename(file.path().with_extension("away"), file.path()).unwrap();
    assert_eq!(file.open().count(&name(), customers()).await.unwrap(), 1, "and goes on when it is back");
}

/// Stores a customer, and sees whether the file was opened again for it.
async fn is_renewed(file: &mut File, id: &str, as_of: i64) -> bool {
    let open = file.open();
    let before = open.writer.run(|connection| connection.execute_batch("SET VARIABLE seen = true")).await;
    before.unwrap().unwrap();
    let row = Change::Merge(some_customers(&[(id, 1, as_of)]));
    open.apply(batch(vec![(customers(), row)])).await.unwrap();
    let seen = "SELECT getvariable('seen') IS NULL";
    open.writer
        .run(move |connection| connection.query_row(seen, [], |row| row.get(0)))
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn a_file_is_opened_again_beside_readers_and_waits_for_none() {
    let mut file = File::renewing();
    prepared(&mut file).await;
    assert!(is_renewed(&mut file, "cus_1", 1).await);
    let reader = file.open().reader_for(&name()).unwrap();
    let count =
        async |reader: &Reader| reader.query("SELECT count(*) FROM customers", vec![]).await.unwrap().rows;
    assert_eq!(count(&reader).await, [[Value::Integer(1)]]);
    assert!(is_renewed(&mut file, "cus_2", 1).await);
    assert_eq!(count(&reader).await, [[Value::Integer(2)]], "its schema is as it was");

    let endless = "SELECT sum(a.range * b.range) FROM range(1000000) AS a, range(1000000) AS b";
    let mut busy = Box::pin(reader.query(endless, vec![]));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut busy).await.is_err());
    assert!(!is_renewed(&mut file, "cus_3", 1).await, "somebody reads");
    drop(busy);
    assert_eq!(
        count(&reader).await,
        [[Value::Integer(3)]],
        "the query that nobody waits for is interrupted here too"
    );
    assert!(is_renewed(&mut file, "cus_4", 1).await);
    assert_eq!(count(&reader).await, [[Value::Integer(4)]]);
}

#[tokio::test]
async fn readers_see_commits_and_none_of_what_is_under_way() {
    let mut file = with_one_customer().await;
    let reader = file.open().reader_for(&name()).unwrap();
    let count = "SELECT count(*) FROM customers";
    assert_eq!(reader.query(count, vec![]).await.unwrap().rows, [[Value::Integer(1)]]);
    let more = Change::Insert(some_customers(&[("cus_2", 6, 1)]));
    file.open().apply(batch(vec![(customers(), more)])).await.unwrap();
    assert_eq!(reader.query(count, vec![]).await.unwrap().rows, [[Value::Integer(2)]]);
}

#[tokio::test]
async fn exports_parquet_with_external_access_off() {
    let mut file = with_one_customer().await;
    let reader = file.open().reader_for(&name()).unwrap();
    let path = file.folder.path().join("out.parquet");
    reader.export_parquet("SELECT id, balance FROM customers; -- all", &path).await.unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    assert!(reader.export_parquet("DROP TABLE customers", &path).await.is_err());
    let nowhere = file.folder.path().join("no/such/folder.parquet");
    assert!(matches!(reader.export_parquet("SELECT 1", &nowhere).await, Err(QueryError::Export { .. })));
    let left = std::fs::read_dir(file.path().with_file_name("it's.duckdb.exports")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_was_not_committed_is_gone_after_a_crash() {
    let mut file = with_one_customer().await;
    // As after `kill -9` in the middle of a batch: the file and its log are copied while a transaction is open.
    let mut crashed = File::new();
    let (from, to) = (file.path(), crashed.path());
    file.open()
        .write({
            move |connection| {
                let work = "BEGIN; INSERT INTO acct_1.customers (id) VALUES ('cus_2');
                    INSERT INTO tallyhouse.checkpoints VALUES ('acct_1', 'k', '1');";
                connection.execute_batch(work).unwrap();
                for ending in ["", ".wal"] {
                    let named = |path: &std::path::Path| format!("{}{ending}", path.display());
                    std::fs::copy(named(&from), named(&to)).unwrap();
                }
                connection.execute_batch("ROLLBACK").unwrap();
                Ok(())
            }
        })
        .await
        .unwrap();
    assert_eq!(crashed.dump(customers(), &["id", "balance"]).await, ["cus_1|5"]);
    assert_eq!(crashed.open().checkpoints(&name()).await.unwrap(), []);
}

#[tokio::test]
async fn a_dead_writer_is_named() {
    let mut file = with_one_customer().await;
    let died = file.open().write(|_| -> Result<(), WarehouseError> { panic!("planted") }).await;
    assert!(matches!(died, Err(WarehouseError::Stopped)));
    let after = file.open().count(&name(), customers()).await;
    assert!(matches!(after, Err(WarehouseError::Stopped)));
}

#[tokio::test]
async fn a_second_open_is_refused() {
    let mut file = with_one_customer().await;
    let second = DuckDb::open(file.path(), Options::default());
    assert!(matches!(second, Err(WarehouseError::InUse { .. })));
    file.shut();
    assert!(DuckDb::open(file.path(), Options::default()).is_ok());
}

const HELD: &str = "TALLYHOUSE_TEST_HELD_FILE";

#[tokio::test]
async fn a_file_that_another_process_holds_is_in_use() {
    let mut file = with_one_customer().await;
    file.shut();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "duckdb::tests::holds_a_file", "--ignored", "--nocapture"])
        .env(HELD, file.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("held")));
    let refused = DuckDb::open(file.path(), Options::default());
    assert!(matches!(refused, Err(WarehouseError::InUse { .. })));
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert_eq!(file.dump(customers(), &["id", "balance"]).await, ["cus_1|5"]);
}

/// The other process of `a_file_that_another_process_holds_is_in_use`.
#[test]
#[ignore = "run by another test"]
fn holds_a_file() {
    let _open = DuckDb::open(std::env::var_os(HELD).unwrap(), Options::default()).unwrap();
    println!("held");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn refusals_are_told_apart() {
    let refused = |said: &str| {
        let source = ::duckdb::Error::ToSqlConversionFailure(said.into());
        open::refused(std::path::Path::new("x.duckdb"), source).to_string()
    };
    let locked =
        "IO Error: Could not set lock on file \"x.duckdb\": Conflicting lock is held in tallyhouse (PID 7)";
    assert!(refused(locked).contains("running server holds it"));
    let newer = "Error opening \"x\": file was written with a storage version greater than the latest version \
        supported by this DuckDB instance. Try opening the file with a newer version of DuckDB.";
    assert!(refused(newer).contains("newer version"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x"), vec![7; 9000]).unwrap();
    for path in ["x", "no/such/folder"] {
        let path = folder.path().join(path);
        assert!(matches!(DuckDb::open(path, Options::default()), Err(WarehouseError::Open { .. })));
    }
}

#[tokio::test]
async fn a_file_may_be_called_like_a_schema() {
    for named in ["tallyhouse.duckdb", "acct_1.duckdb"] {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let warehouse = DuckDb::open(folder.path().join(named), Options::default()).unwrap();
            warehouse.prepare(&name(), vec![customers()]).await.unwrap();
            let merge = Change::Merge(some_customers(&[("cus_1", 5, 1)]));
            warehouse.apply(batch(vec![(customers(), merge)])).await.unwrap();
            assert_eq!(warehouse.checkpoints(&name()).await.unwrap(), []);
            let reader = warehouse.reader_for(&name()).unwrap();
            for asked in ["SELECT balance FROM customers", "SELECT balance FROM acct_1.customers"] {
                assert_eq!(reader.query(asked, vec![]).await.unwrap().rows, [[Value::Integer(5)]]);
            }
        }
    }
}

/// Waits until the writer has done what has time.
pub(super) async fn idle(open: &DuckDb) {
    let (done, told) = tokio::sync::oneshot::channel();
    open.writer.when_idle(vec![Box::new(|_| done.send(()).unwrap())]);
    told.await.unwrap();
}

#[tokio::test]
async fn new_columns_are_added_and_described() {
    let mut file = with_one_customer().await;
    file.open()
        .write(|connection| {
            connection.execute_batch("ALTER TABLE acct_1.customers DROP COLUMN balance").unwrap();
            Ok(())
        })
        .await
        .unwrap();
    file.shut();
    prepared(&mut file).await;
    assert_eq!(file.dump(customers(), &["id", "balance"]).await, ["cus_1|-"]);
    let row = Change::Merge(some_customers(&[("cus_1", 6, 2)]));
    file.open().apply(batch(vec![(customers(), row)])).await.unwrap();
    assert_eq!(file.dump(customers(), &["id", "balance"]).await, ["cus_1|6"]);
    idle(file.open()).await;
    let comment = "SELECT comment FROM duckdb_tables() WHERE table_name = 'customers'";
    assert_eq!(ask(&mut file, comment).await.unwrap().rows[0][0].as_str(), Some(customers().description));
    let said = "SELECT count(comment), count(*) FROM duckdb_columns() WHERE table_name = 'customers' AND column_name[1] <> '_'";
    let said = &ask(&mut file, said).await.unwrap().rows[0];
    assert_eq!(said[0], said[1], "also the new one");
}

#[tokio::test]
async fn a_table_is_described_when_it_holds_rows() {
    let mut file = File::new();
    prepared(&mut file).await;
    idle(file.open()).await;
    let described = "SELECT table_name FROM duckdb_tables() WHERE comment IS NOT NULL";
    assert_eq!(ask(&mut file, described).await.unwrap().rows, [[]; 0]);
    let row = || Change::Merge(some_customers(&[("cus_1", 6, 2)]));
    let ended = Change::EndSets(vec![Ended { parent: "in_1".to_owned(), since_micros: 0 }]);
    file.open().apply(batch(vec![(customers(), row()), (lines(), ended)])).await.unwrap();
    idle(file.open()).await;
    let rows = ask(&mut file, described).await.unwrap().rows;
    assert_eq!(rows, [[Value::Text("customers".to_owned())]]);

    let again = batch(vec![(customers(), row())]);
    assert!(file.open().undescribed.named(&again).is_empty(), "it is not described twice");
}

#[tokio::test]
async fn what_was_not_described_before_the_end_is_afterwards() {
    let mut file = with_one_customer().await;
    idle(file.open()).await;
    let open = file.open();
    open.write(|connection| {
        connection.execute_batch("COMMENT ON TABLE acct_1.customers IS NULL").unwrap();
        Ok(())
    })
    .await
    .unwrap();
    file.shut();
    prepared(&mut file).await;
    idle(file.open()).await;
    let comment = "SELECT comment FROM duckdb_tables() WHERE table_name = 'customers'";
    assert_eq!(ask(&mut file, comment).await.unwrap().rows[0][0].as_str(), Some(customers().description));
}

#[tokio::test]
async fn what_cannot_be_done_when_there_is_time_is_in_nobodys_way() {
    let mut file = with_one_customer().await;
    file.open().writer.when_idle(vec![describing("COMMENT ON TABLE acct_1.nothing IS 'x';".to_owned())]);
    idle(file.open()).await;
    let row = Change::Merge(some_customers(&[("cus_2", 6, 2)]));
    file.open().apply(batch(vec![(customers(), row)])).await.unwrap();
    file.shut();
    assert_eq!(file.dump(customers(), &["id"]).await, ["cus_1", "cus_2"]);
}

#[tokio::test]
async fn what_is_kept_of_a_statement_is_not_what_it_found() {
    let mut file = File::new();
    let open = prepared(&mut file).await;
    let ids = || vec!["it's".to_owned(), "cus_\"2\"".to_owned()];
    let merge = |rows: &[(&str, i64, i64)]| batch(vec![(customers(), Change::Merge(some_customers(rows)))]);
    let stale = async |since| open.stale(&name(), customers(), ids(), since).await.unwrap();
    assert_eq!(stale(2).await, ["cus_\"2\"", "it's"]);
    open.apply(merge(&[("it's", 1, 1)])).await.unwrap();
    assert_eq!(stale(2).await, ["cus_\"2\"", "it's"], "it is too old");
    open.apply(merge(&[("it's", 1, 9), ("cus_\"2\"", 1, 1)])).await.unwrap();
    assert_eq!(stale(2).await, ["cus_\"2\""]);
    let gone = Change::MarkDeleted { ids: vec!["cus_\"2\"".to_owned()], as_of_micros: 5 };
    open.apply(batch(vec![(customers(), gone)])).await.unwrap();
    assert_eq!(stale(2).await, [""; 0]);
    open.apply(merge(&[("cus_\"2\"", 1, 4), ("it's", 1, 4)])).await.unwrap();
    assert_eq!(file.dump(customers(), &["id", "_deleted"]).await, ["cus_\"2\"|true", "it's|false"]);
}

#[tokio::test]
async fn merges_within_a_batch_and_over_what_is_there_leave_the_newest() {
    let mut file = File::new();
    let open = prepared(&mut file).await;
    let merge = |rows: &[(&str, i64, i64)]| (customers(), Change::Merge(some_customers(rows)));
    let new_and_twice =
        [merge(&[("cus_1", 1, 1), ("cus_2", 2, 1)]), merge(&[("cus_1", 3, 3), ("cus_1", 2, 2)])];
    assert_eq!(open.apply(batch(new_and_twice.into())).await.unwrap().rows, 2);
    let inserted_just_now =
        vec![(customers(), Change::Insert(some_customers(&[("cus_3", 1, 5)]))), merge(&[("cus_3", 2, 6)])];
    open.apply(batch(inserted_just_now)).await.unwrap();
    open.apply(batch(vec![merge(&[("cus_4", 1, 1)]), merge(&[("cus_5", 1, 1)])])).await.unwrap();
    open.apply(batch(vec![merge(&[("cus_6", 1, 1), ("cus_5", 0, 0)])])).await.unwrap();
    assert_eq!(
        file.dump(customers(), &["id", "balance"]).await,
        ["cus_1|3", "cus_2|2", "cus_3|2", "cus_4|1", "cus_5|1", "cus_6|1"]
    );
}

/// Customers with names of so many bytes each.
fn long_customers(of: std::ops::Range<u32>, bytes: usize) -> Change {
    let mut decoder = catalog::Decoder::new(catalog::resource("customers").unwrap());
    let name = "n".repeat(bytes);
    for number in of {
        let object = serde_json::json!({ "id": format!("cus_{number}"), "object": "customer", "name": name });
        decoder.object(object.to_string().as_bytes(), 1).unwrap();
    }
    Change::Insert(decoder.finish().rows)
}

#[tokio::test]
async fn a_transaction_that_is_taken_over_in_parts_is_stored_whole_or_not_at_all() {
    let mut file = File::new();
    let open = prepared(&mut file).await;
    let parts = || {
        (0..4).map(|part| (customers(), long_customers(part * 3..part * 3 + 3, 3 << 20))).collect::<Vec<_>>()
    };
    let nowhere = catalog::resource("charges").unwrap().table;
    let fails = (nowhere, Change::MarkDeleted { ids: vec!["ch_1".to_owned()], as_of_micros: 1 });
    open.apply(batch(parts().into_iter().chain([fails]).collect())).await.unwrap_err();
    assert_eq!(open.count(&name(), customers()).await.unwrap(), 0);
    assert_eq!(open.apply(batch(parts())).await.unwrap().rows, 12);
    assert_eq!(open.count(&name(), customers()).await.unwrap(), 12);
}

#[tokio::test]
async fn rejects_rest_in_their_table() {
    let mut file = File::new();
    prepared(&mut file).await;
    let mut with = batch(vec![]);
    let place = |reason: &str| catalog::Reject {
        table: "customers",
        id: Some("cus_1".to_owned()),
        pointer: "/balance".to_owned(),
        reason: reason.to_owned(),
        raw: "{}".to_owned(),
    };
    with.rejects = vec![place("old"), place("new")];
    file.open().apply(with.clone()).await.unwrap();
    file.open().apply(with).await.unwrap();
    let sql = "SELECT schema_name, table_name, id, pointer, reason, raw FROM tallyhouse.rejects WHERE \"at\" IS NOT NULL";
    let rows = file.open().reader().unwrap().query_arrow(sql, vec![]).await.unwrap().batches;
    assert_eq!(rows[0].num_rows(), 1);
    assert_eq!(rows[0].column(4).as_string::<i32>().value(0), "new");
}

#[tokio::test]
async fn a_file_that_a_reader_still_has_is_in_use() {
    let file = File::new();
    let warehouse = DuckDb::open(file.path(), Options::default()).unwrap();
    let reader = warehouse.reader().unwrap();
    drop(warehouse);
    assert!(matches!(DuckDb::open(file.path(), Options::default()), Err(WarehouseError::InUse { .. })));
    assert!(reader.query("SELECT 1", vec![]).await.is_ok());
    drop(reader);
    drop(DuckDb::open(file.path(), Options::default()).unwrap());
}

#[tokio::test]
async fn an_answer_is_bounded_in_bytes_too() {
    let file = File::new();
    let warehouse = DuckDb::open(file.path(), Options::default()).unwrap();
    let wide = "SELECT repeat('x', 20000) AS wide FROM range(9000)";
    let answer = warehouse.reader().unwrap().query_arrow(wide, vec![]).await.unwrap();
    let bytes: usize = answer.batches.iter().map(RecordBatch::get_array_memory_size).sum();
    assert!(answer.truncated && bytes < 100 << 20, "{bytes} bytes");
}

#[tokio::test]
async fn a_transaction_that_stays_open_holds_up_no_later_query() {
    let file = File::new();
    let warehouse = DuckDb::open(file.path(), Options::default()).unwrap();
    let reader = warehouse.reader().unwrap();
    reader.leave_a_transaction_open().await;
    assert!(reader.query("SELECT 1", vec![]).await.is_ok());
}
