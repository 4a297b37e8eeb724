//! What `make demo` gives, walked in a real browser: from the first administrator to numbers that tie to SQL over the
//! simulated Stripe's own truth. `ui/walk.mjs` does the walking and keeps pictures in `test-results`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

#[path = "../support/truth.rs"]
mod source;
mod truth;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

/// Ends with the test. What it prints is kept open: it ends when nobody can read it.
struct Demo(Child, Option<BufReader<ChildStdout>>);

impl Drop for Demo {
    fn drop(&mut self) {
        // Asked, not killed, so that it clears away its folder.
        Command::new("kill").arg(self.0.id().to_string()).status().expect("the demo can be asked to end");
        self.0.wait().expect("the demo ends");
    }
}

/// A demo whose business stands still, where to set it up, and where its Stripe is.
fn demo() -> (Demo, String, String) {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_tallyhouse"));
    demo.args(["demo", "--still", "--customers", "200"]);
    demo.args(["--listen", "127.0.0.1:0", "--sim-listen", "127.0.0.1:0"]);
    let mut demo = Demo(demo.stdout(Stdio::piped()).spawn().unwrap(), None);
    let mut printed = BufReader::new(demo.0.stdout.take().unwrap());
    let mut address = || {
        let mut line = String::new();
        printed.read_line(&mut line).unwrap();
        let start = line.find("http://").unwrap_or_else(|| panic!("an address in {line:?}"));
        line.get(start..).unwrap().trim_end().split([' ', ';']).next().unwrap().to_owned()
    };
    let (setup, stripe) = (address(), address());
    demo.1 = Some(printed);
    (demo, setup, stripe)
}

/// What a card shows: row and column to value, zeros left out.
pub(crate) type Cells = BTreeMap<(String, String), i64>;

/// Each card of Home, as the walk read it.
fn home(folder: &Path) -> BTreeMap<String, Cells> {
    let text = std::fs::read_to_string(folder.join("home.json")).unwrap();
    let cards: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    cards.into_iter().map(|(card, shown)| (card, cells(&shown))).collect()
}

fn cells(card: &Value) -> Cells {
    let mut cells = Cells::new();
    for row in card["rows"].as_array().unwrap() {
        for (place, cell) in row[1].as_array().unwrap().iter().enumerate() {
            let column = card["columns"][place].as_str().unwrap().to_owned();
            let value: i64 = cell[0].as_str().unwrap().parse().unwrap();
            let place = (row[0].as_str().unwrap().to_owned(), column);
            let before = cells.insert(place.clone(), value);
            assert_eq!(before, None, "two cells are called {place:?}");
        }
    }
    cells.retain(|_, value| *value != 0);
    cells
}

#[tokio::test]
async fn a_newcomer_connects_and_sees_numbers_that_tie_to_stripe() {
    let (_demo, setup, stripe) = demo();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = PathBuf::from("test-results/walk");
    let walked =
        Command::new("node").arg("ui/walk.mjs").arg(&setup).arg(&folder).current_dir(&root).output().unwrap();
    assert!(walked.status.success(), "{}", String::from_utf8_lossy(&walked.stderr));
    let truth = truth::load(&stripe).await;
    let home = home(&root.join(&folder));
    let months: Vec<String> = home["gross_volume"].keys().map(|(month, _)| month.clone()).collect();
    let cards: Vec<&str> = home.keys().map(String::as_str).collect();
    assert_eq!(cards, truth::CARDS.map(|(card, _)| card), "every card is compared");
    for (card, sql) in truth::CARDS {
        let mut expected = truth::cells(&truth, sql);
        // Home shows 24 months; the business may be older.
        expected.retain(|(row, _), _| !row.starts_with("20") || row.len() > 7 || months.contains(row));
        assert!(!expected.is_empty(), "{card} has something to compare");
        for place in expected.keys().chain(home[card].keys()) {
            assert_eq!(home[card].get(place), expected.get(place), "{card}: {place:?}, shown and true");
        }
    }
}
