//! The commands, as scripts use them: what they print, and how they end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

#[path = "support/program.rs"]
mod program;
#[expect(dead_code, reason = "a command that asks a server ends when it does")]
#[path = "support/server.rs"]
mod server;
#[path = "support/stripe.rs"]
mod stripe;

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use serde_json::Value;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use stripe_sim::{
    DEMO_KEY, DEMO_RESTRICTED_KEY, Fault, FaultScript, Key, Sim, SimOptions,
    bulk::{Bulk, BulkCounts},
    story::{Story, StorySpec},
    world::World,
};
use tokio::net::TcpListener;

use program::{connect, program, said, simulator};

const NOBODY: &str = "http://127.0.0.1:1";

fn run(address: &str, data: &Path, arguments: &[&str]) -> Output {
    program(address, data, arguments).output().unwrap()
}

/// What it printed, after it ended well.
fn well(address: &str, data: &Path, arguments: &[&str]) -> String {
    let output = run(address, data, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What it said, after it ended with `code`.
fn badly(code: i32, address: &str, data: &Path, arguments: &[&str]) -> String {
    let output = run(address, data, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    assert!(
        output.stdout.is_empty() || code == 3 || arguments == ["doctor"],
        "{arguments:?}: {}",
        said(&output)
    );
    said(&output)
}

/// A business that stands still, with a key that may read everything; its address.
async fn business() -> (Sim, String) {
    let spec = StorySpec { seed: 5, customers: 30, months: 3, end: 1_790_000_000, livemode: false };
    shown(Arc::new(Story::new(spec))).await
}

/// Many charges, all alike.
async fn bulk(charges: u64) -> (Sim, String) {
    shown(Arc::new(Bulk::new(5, BulkCounts { customers: 5, charges }))).await
}

async fn shown(world: Arc<dyn World>) -> (Sim, String) {
    let keys = vec![Key::full(DEMO_KEY), Key::read_all(DEMO_RESTRICTED_KEY)];
    let sim = Sim::new(world, SimOptions { keys, ..SimOptions::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let _until_the_runtime_ends = stripe::serve(&sim, listener);
    (sim, address)
}

#[test]
fn misuse_is_two_and_nothing_connected_says_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    for misuse in [
        &["sink"][..],
        &[],
        &["sync", "--frequently"],
        &["connect", "stripe"],
        &["query"],
        &["query", "SELECT 1", "--format", "xml"],
        &["query", "SELECT 1", "--format", "parquet"],
    ] {
        badly(2, NOBODY, data.path(), misuse);
    }
    let nothing = badly(1, NOBODY, data.path(), &["sync"]);
    assert!(nothing.contains("tallyhouse connect stripe"), "{nothing}");
    let unknown = badly(1, NOBODY, data.path(), &["sync", "--connection", "shop"]);
    assert!(unknown.contains("no connection shop"), "{unknown}");
    let unknown = badly(1, NOBODY, data.path(), &["status"]);
    assert!(unknown.contains("no connection stripe"), "{unknown}");
}

#[tokio::test]
async fn what_goes_on_does_not_end_because_nobody_reads_what_it_prints() {
    stripe_api::install_tls();
    let data = tempfile::tempdir().unwrap();
    for command in [
        &["serve"][..],
        &["sim", "--charges", "10", "--listen"],
        &["demo", "--customers", "5", "--sim-listen", "127.0.0.1:0", "--listen"],
    ] {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let mut arguments = command.to_vec();
        if command != ["serve"] {
            arguments.push(&free);
        }
        let mut program = program(NOBODY, data.path(), &arguments);
        program.env("TALLYHOUSE__SERVER__LISTEN", &free).env("TALLYHOUSE__UPDATES__EVERY_MINUTES", "0");
        let mut running = Unread(program.spawn().unwrap());
        drop(running.0.stdout.take());
        while reqwest::get(format!("http://{free}/")).await.is_err() {
            assert_eq!(running.0.try_wait().unwrap(), None, "{command:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// A program whose output nobody reads; it ends with the test.
struct Unread(std::process::Child);

impl Drop for Unread {
    fn drop(&mut self) {
        self.0.kill().expect("the program can be ended");
        self.0.wait().expect("the program ends");
    }
}

#[test]
fn mistakes_in_the_configuration_are_told_with_their_line() {
    let data = tempfile::tempdir().unwrap();
    well(NOBODY, data.path(), &["config", "check"]);
    let file = data.path().join("tallyhouse.toml");
    std::fs::write(&file, "[updates]\nevery_minutes = 5\n\n[stripe]\napi_url = 7\n").unwrap();
    let mistake = badly(1, NOBODY, data.path(), &["config", "check"]);
    assert!(mistake.contains("tallyhouse.toml, line 5"), "{mistake}");
    std::fs::write(&file, "[updates]\nevery_hour = 5\n").unwrap();
    let unknown = badly(1, NOBODY, data.path(), &["serve"]);
    assert!(unknown.contains("line 2") && unknown.contains("every_minutes"), "{unknown}");
    let named = badly(1, NOBODY, data.path(), &["--config", "nowhere.toml", "config", "check"]);
    assert!(named.contains("nowhere.toml"), "{named}");
    let variable = program(NOBODY, data.path(), &["--config", "/dev/null", "config", "check"])
        .env("TALLYHOUSE__WAREHOUSE__THREADS", "many")
        .output()
        .unwrap();
    assert_eq!(variable.status.code(), Some(1));
    assert!(said(&variable).contains("threads"), "{}", said(&variable));
}

#[test]
fn completions_know_every_command() {
    let data = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = well(NOBODY, data.path(), &["completions", shell]);
        for command in
            ["serve", "demo", "doctor", "connect", "sync", "status", "query", "config", "completions", "sim"]
        {
            assert!(script.contains(command), "{shell} completes {command}");
        }
    }
}

#[test]
fn every_format_shows_the_same_rows() {
    let (_simulator, address, key) = simulator(&["--charges", "60"]);
    let data = tempfile::tempdir().unwrap();
    assert!(connect(&address, &key, data.path()).status.success());
    well(&address, data.path(), &["sync"]);
    let sql = "SELECT id, amount, created, description, refunded FROM stripe.charges ORDER BY id";
    let ask = |format: &str| well(&address, data.path(), &["query", sql, "--format", format]);
    let json: Vec<serde_json::Map<String, Value>> = serde_json::from_str(&ask("json")).unwrap();
    assert_eq!(json.len(), 60);
    assert!(json.iter().all(|row| row["amount"].is_i64() && row["refunded"].is_boolean()));
    let (csv, table) = (ask("csv"), ask("table"));
    assert!(csv.starts_with("id,amount,created,description,refunded\r\n"), "{csv}");
    assert_eq!(csv.lines().count(), 61);
    for row in &json {
        let (id, amount) = (row["id"].as_str().unwrap(), row["amount"].to_string());
        assert!(csv.contains(&format!("\n{id},{amount},{},", row["created"].as_str().unwrap())), "{id}");
        assert!(table.lines().any(|line| line.contains(id) && line.contains(&amount)), "{id}");
    }
    assert_eq!(json, parquet(&address, data.path(), sql));
}

#[test]
fn a_simulated_stripe_shows_the_world_that_it_is_told_to() {
    let counted = |arguments: &[&str], sql: &str| {
        let (_simulator, address, key) = simulator(arguments);
        let data = tempfile::tempdir().unwrap();
        assert!(connect(&address, &key, data.path()).status.success());
        well(&address, data.path(), &["sync"]);
        well(&address, data.path(), &["query", sql, "--format", "csv"]).lines().last().unwrap().to_owned()
    };
    let sql = "SELECT count(*) > 0 FROM stripe.issuing_cards";
    assert_eq!(counted(&["--gallery", "--latency-ms", "2"], sql), "true");
    let sql = "SELECT count(*) FROM stripe.invoices";
    assert_eq!(counted(&["--objects", "1700"], sql), "279");
    badly(2, NOBODY, Path::new("."), &["sim", "--gallery", "--charges", "5"]);
}

/// The rows, by way of a file that another DuckDB reads.
fn parquet(address: &str, data: &Path, sql: &str) -> Vec<serde_json::Map<String, Value>> {
    let file = data.join("rows.parquet");
    let arguments = ["query", sql, "--format", "parquet", "--output", file.to_str().unwrap()];
    assert_eq!(well(address, data, &arguments), "");
    let read = format!(
        "SELECT to_json(struct_update(row, created := created::VARCHAR))::VARCHAR FROM read_parquet('{}') row",
        file.display()
    );
    let own = duckdb::Connection::open_in_memory().unwrap();
    let mut rows = own.prepare(&read).unwrap();
    let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| serde_json::from_str(&row.unwrap()).unwrap()).collect()
}

#[test]
fn a_query_reads_and_says_what_is_wrong_with_it() {
    let (_simulator, address, key) = simulator(&["--charges", "10"]);
    let data = tempfile::tempdir().unwrap();
    assert!(connect(&address, &key, data.path()).status.success());
    well(&address, data.path(), &["sync"]);
    let file = data.path().join("charges.csv");
    for (sql, words) in [
        ("SELECT amont FROM stripe.charges", "amount"),
        ("SELECT * FROM stripe.changes", "charges"),
        ("DELETE FROM stripe.charges", "SELECT"),
        ("SELECT 1; DROP TABLE stripe.charges", "SELECT"),
        (&format!("COPY stripe.charges TO '{}'", file.display()), "SELECT"),
    ] {
        let told = badly(1, &address, data.path(), &["query", sql]);
        assert!(told.contains(words), "{sql}: {told}");
    }
    assert!(!file.exists());
    let times = ["query", "SELECT [TIMESTAMPTZ '2026-01-01 00:00:00+00'] AS times", "--format", "csv"];
    assert!(well(&address, data.path(), &times).contains("2026-01-01"));
    let count = ["query", "SELECT count(*) FROM stripe.charges", "--format", "csv"];
    assert!(well(&address, data.path(), &count).ends_with("\r\n10\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_tables_failed_is_three() {
    let (sim, address) = business().await;
    let data = tempfile::tempdir().unwrap();
    assert!(connect(&address, DEMO_RESTRICTED_KEY, data.path()).status.success());
    let broken = Fault::Status { code: 500, should_retry: Some(false), retry_after: None };
    sim.set_faults(FaultScript::new().always("/v1/coupons", broken.clone()));
    let told = badly(3, &address, data.path(), &["sync"]);
    assert!(told.lines().any(|line| line.starts_with("coupons") && line.contains("failed")), "{told}");
    assert!(told.lines().any(|line| line.starts_with("charges") && line.contains("rows")), "{told}");
    sim.set_faults(FaultScript::new().always("/v", broken));
    let told = badly(1, &address, data.path(), &["sync"]);
    assert!(told.contains("500"), "{told}");
    sim.set_faults(FaultScript::new());
    well(&address, data.path(), &["sync"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_what_failed_at_the_last_update_and_why() {
    let (sim, address) = business().await;
    let data = tempfile::tempdir().unwrap();
    assert!(connect(&address, DEMO_RESTRICTED_KEY, data.path()).status.success());
    well(&address, data.path(), &["sync"]);
    let status = || said(&run(&address, data.path(), &["status"]));
    assert!(!status().contains("failed"), "{}", status());
    let broken = Fault::Status { code: 500, should_retry: Some(false), retry_after: None };
    sim.set_faults(FaultScript::new().always("/v1/coupons", broken.clone()));
    badly(3, &address, data.path(), &["sync"]);
    let failed =
        |line: &str| line.starts_with("coupons ") && line.contains("live; failed at the last update: ");
    assert!(status().lines().any(|line| failed(line) && line.contains("500")), "{}", status());
    let json = || -> Vec<Value> {
        serde_json::from_str(&well(&address, data.path(), &["status", "--json"])).unwrap()
    };
    let failed = |tables: &[Value]| -> Vec<Value> {
        tables.iter().filter(|table| !table["failed"].is_null()).map(|table| table["table"].clone()).collect()
    };
    assert_eq!(failed(&json()), ["coupons"]);
    {
        let (_server, _setup) = server::serve(data.path(), &[("UPDATES__EVERY_MINUTES", "0")]);
        assert_eq!(failed(&json()), ["coupons"], "a server says so, too");
    }
    // An update that reaches no table takes nothing of that away, and says why it did not.
    sim.set_faults(FaultScript::new().always("/v", broken));
    badly(1, &address, data.path(), &["sync"]);
    assert!(status().contains("tallyhouse: stripe: the last update failed: "), "{}", status());
    assert_eq!(failed(&json()), ["coupons"]);
    sim.set_faults(FaultScript::new());
    well(&address, data.path(), &["sync"]);
    assert!(!status().contains("failed"), "{}", status());
}

/// As on a full disk, no file may become larger than the warehouse is, and a little.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_disk_is_full_the_log_says_so() {
    let (sim, address) = bulk(8_000).await;
    let data = tempfile::tempdir().unwrap();
    assert!(connect(&address, DEMO_RESTRICTED_KEY, data.path()).status.success());
    sim.set_faults(FaultScript::new().always("/v1/charges", Fault::status(400)));
    well(&address, data.path(), &["sync"]);
    sim.set_faults(FaultScript::new());
    let blocks = std::fs::metadata(data.path().join("warehouse.duckdb")).unwrap().len() / 512 + 128;
    let sync = program(&address, data.path(), &["sync"]);
    let mut full = Command::new("sh");
    full.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
    full.arg(sync.get_program()).args(sync.get_args());
    full.envs(sync.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = full.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let logged = String::from_utf8(output.stderr).unwrap();
    let failed = logged.lines().find(|line| line.contains("an update failed")).expect(&logged);
    assert!(failed.contains("ERROR") && failed.contains("File too large"), "{failed}");
    assert!(!logged.contains(DEMO_RESTRICTED_KEY), "{logged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_in_part_says_why() {
    let (sim, address) = business().await;
    let data = tempfile::tempdir().unwrap();
    assert!(connect(&address, DEMO_RESTRICTED_KEY, data.path()).status.success());
    assert!(well(&address, data.path(), &["status"]).contains("nothing is copied yet"));
    sim.set_faults(FaultScript::new().always("/v1/events", Fault::status(403)));
    let told = badly(3, &address, data.path(), &["sync"]);
    assert!(told.contains("add read access to events"), "{told}");
}

#[test]
fn an_answer_that_is_cut_says_where_and_does_not_end_well() {
    let data = tempfile::tempdir().unwrap();
    let large = "SELECT range, repeat('x', 1000) FROM range(100000)";
    let output = run(NOBODY, data.path(), &["query", large, "--format", "csv"]);
    assert_eq!(output.status.code(), Some(3));
    let rows = String::from_utf8(output.stdout).unwrap().lines().count() - 1;
    assert!((1_000..100_000).contains(&rows), "{rows}");
    let told = String::from_utf8(output.stderr).unwrap();
    let words = format!("the first {} rows", reports::grouped(u64::try_from(rows).unwrap()));
    assert!(told.contains(&words) && told.contains("--format parquet"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_connection_is_updated_only_by_its_name() {
    let (_sim, address) = business().await;
    let data = tempfile::tempdir().unwrap();
    assert!(connect(&address, DEMO_RESTRICTED_KEY, data.path()).status.success());
    let options = SqliteConnectOptions::new().filename(data.path().join("tallyhouse.sqlite"));
    let mut store = options.connect().await.unwrap();
    let pause = sqlx::query("UPDATE connections SET status = '{\"status\":\"paused\"}'");
    pause.execute(&mut store).await.unwrap();
    store.close().await.unwrap();
    let left = run(&address, data.path(), &["sync"]);
    assert_eq!((left.status.code(), left.stdout.len()), (Some(0), 0), "{}", said(&left));
    assert!(said(&left).contains("stripe is paused"), "{}", said(&left));
    let told = well(&address, data.path(), &["sync", "--connection", "stripe"]);
    assert!(told.lines().any(|line| line.starts_with("charges") && line.contains("rows")), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_what_is_broken() {
    let (sim, address) = business().await;
    let data = tempfile::tempdir().unwrap();
    let told = badly(1, NOBODY, data.path(), &["doctor"]);
    assert!(told.contains("FAILED  Stripe: http://127.0.0.1:1/: could not reach Stripe"), "{told}");
    let told = well(&address, data.path(), &["doctor"]);
    assert!(told.contains("ok      Stripe") && told.contains("nobody can sign in yet"), "{told}");
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "looking makes nothing");
    let open = data.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::write(open.join("thesis.tex"), "").unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let told = badly(1, &address, &open, &["doctor"]);
    assert!(told.contains("FAILED  data folder: ") && told.contains("chmod 700"), "{told}");
    std::fs::remove_dir_all(&open).unwrap();
    assert!(connect(&address, DEMO_RESTRICTED_KEY, data.path()).status.success());
    assert!(well(&address, data.path(), &["doctor"]).contains("ok      connection stripe"));
    sim.set_faults(FaultScript::new().always("/v1/account", Fault::status(401)));
    let told = badly(1, &address, data.path(), &["doctor"]);
    assert!(told.contains("FAILED  connection stripe: Stripe refused the key"), "{told}");
    assert!(!told.contains(DEMO_RESTRICTED_KEY), "{told}");
    sim.set_faults(FaultScript::new());
    let key = data.path().join("master.key");
    std::fs::write(&key, "0".repeat(64)).unwrap();
    let told = badly(1, &address, data.path(), &["doctor"]);
    assert!(told.contains("note    store") && told.contains("FAILED  connection stripe: "), "{told}");
    assert!(told.contains("was the master key changed?"), "{told}");
    std::fs::remove_file(&key).unwrap();
    let told = badly(1, &address, data.path(), &["doctor"]);
    assert!(told.contains("FAILED  store: ") && told.contains("put it back from a backup"), "{told}");
    assert!(!key.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_ask_the_server_that_runs_and_do_without_one_that_died() {
    let (_sim, address) = business().await;
    let data = tempfile::tempdir().unwrap();
    let folder = data.path();
    assert!(connect(&address, DEMO_RESTRICTED_KEY, folder).status.success());
    let configured = [
        ("STRIPE__API_URL", address.as_str()),
        ("STRIPE__REQUESTS_PER_SECOND", "5000"),
        ("UPDATES__EVERY_MINUTES", "0"),
    ];
    let (server, _setup) = server::serve(folder, &configured);
    assert!(well(&address, folder, &["doctor"]).contains("a running server has it open"));
    let told = well(&address, folder, &["sync"]);
    assert!(told.lines().any(|line| line.starts_with("charges") && line.contains("rows")), "{told}");
    let asked = || {
        let status: Vec<Value> =
            serde_json::from_str(&well(&address, folder, &["status", "--json"])).unwrap();
        let rows = status.iter().find(|table| table["table"] == "charges").unwrap()["rows"].as_u64();
        let sql = ["query", "SELECT count(*) AS n FROM stripe.charges", "--format", "json"];
        let counted: Value = serde_json::from_str(&well(&address, folder, &sql)).unwrap();
        assert_eq!(counted[0]["n"].as_u64(), rows);
        rows.unwrap()
    };
    let served = asked();
    assert!(served > 0);
    let told = badly(1, &address, folder, &["query", "SELECT amont FROM stripe.charges"]);
    assert!(told.contains("amount"), "{told}");
    // Killed: its socket stays behind.
    drop(server);
    assert!(folder.join("tallyhouse.sock").exists());
    assert_eq!(asked(), served);
    well(&address, folder, &["sync"]);
}
