//! The built program, and a simulated Stripe to run it against.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tallyhouse");

/// Ends with the test.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("the simulator can be ended");
        self.0.wait().expect("the simulator ends");
    }
}

/// A simulated Stripe started with `arguments`, its address and a key.
pub(crate) fn simulator(arguments: &[&str]) -> (Running, String, String) {
    let mut child = Command::new(PROGRAM)
        .args(["sim", "--unlimited", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split([' ', ',']).find(|word| word.starts_with("http")).unwrap().to_owned();
    let key = line.trim().rsplit(' ').next().unwrap().to_owned();
    (Running(child), address, key)
}

/// The program, to be run against `address` with `data`.
pub(crate) fn program(address: &str, data: &Path, arguments: &[&str]) -> Command {
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

/// Connects; what came of it.
pub(crate) fn connect(address: &str, key: &str, data: &Path) -> Output {
    let mut child = program(address, data, &["connect", "stripe", "--api-key-stdin"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What was printed, on both streams.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
