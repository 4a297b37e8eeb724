//! What `make demo` gives, walked in a real browser: from the first administrator to numbers that tie to the simulated
//! Stripe's own truth. `ui/walk.mjs` does the walking and keeps pictures in `test-results`.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Ends with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // Asked, not killed, so that it clears away its folder.
        Command::new("kill").arg(self.0.id().to_string()).status().expect("the demo can be asked to end");
        self.0.wait().expect("the demo ends");
    }
}

#[test]
fn a_newcomer_connects_and_sees_numbers_that_tie_to_stripe() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_tallyhouse"));
    demo.args(["demo", "--still", "--customers", "200"]);
    demo.args(["--listen", "127.0.0.1:0", "--sim-listen", "127.0.0.1:0"]);
    let mut demo = Demo(demo.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let mut address = || {
        let line = lines.next().unwrap().unwrap();
        let start = line.find("http://").unwrap_or_else(|| panic!("an address in {line:?}"));
        line.get(start..).unwrap().split([' ', ';']).next().unwrap().to_owned()
    };
    let (setup, stripe) = (address(), address());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let walked = Command::new("node")
        .arg("ui/walk.mjs")
        .args([&setup, &stripe])
        .arg("test-results/walk")
        .current_dir(root)
        .output()
        .unwrap();
    assert!(walked.status.success(), "{}", String::from_utf8_lossy(&walked.stderr));
}
