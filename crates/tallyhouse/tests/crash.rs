//! The program itself, killed with SIGKILL wherever it happens to be, ends with the tables of an undisturbed run.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tallyhouse");
const CHARGES: &str = "20000";
/// Spread over the whole of a run, the first ones close together.
const KILLS: u64 = 50;

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("the simulator can be ended");
        self.0.wait().expect("the simulator ends");
    }
}

/// A simulated Stripe, its address and a key.
fn simulator() -> (Running, String, String) {
    let mut child = Command::new(PROGRAM)
        .args(["sim", "--unlimited", "--listen", "127.0.0.1:0", "--charges", CHARGES])
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

/// All rows of the big tables but for when they were read, as one digest each, with counts.
fn contents(address: &str, data: &Path) -> String {
    let mut all = String::new();
    for table in ["charges", "customers"] {
        let sql = format!(
            "SELECT count(*), count(DISTINCT id), md5(string_agg(md5(row::VARCHAR), '' ORDER BY id)) \
             FROM (SELECT id, t AS row FROM (SELECT * EXCLUDE (_as_of) FROM stripe.{table}) t)"
        );
        let output = program(address, data, &["query", &sql, "--format", "csv"]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        all.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    all
}

#[test]
fn fifty_kills_lose_and_double_nothing() {
    let (_simulator, address, key) = simulator();
    let calm = tempfile::tempdir().unwrap();
    assert!(connect(&address, &key, calm.path()).status.success());
    let began = std::time::Instant::now();
    let output = program(&address, calm.path(), &["sync"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let whole = began.elapsed();

    let stormy = tempfile::tempdir().unwrap();
    assert!(connect(&address, &key, stormy.path()).status.success());
    let mut killed = 0;
    for kill in 1..=KILLS {
        let mut child = program(&address, stormy.path(), &["sync"]).spawn().unwrap();
        // Later kills wait longer, so that work goes on between them and every phase is hit.
        std::thread::sleep(Duration::from_millis(5) + whole * u32::try_from(kill).unwrap() / 100);
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed > 10, "only {killed} of {KILLS} runs were killed before their end");
    let output = program(&address, stormy.path(), &["sync"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));

    let expected = contents(&address, calm.path());
    assert!(expected.contains(&format!("\n{CHARGES},{CHARGES},")), "{expected}");
    assert_eq!(contents(&address, stormy.path()), expected);
}

#[test]
fn a_key_is_nowhere_in_what_is_said_or_stored() {
    let (_simulator, address, key) = simulator();
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
