//! A schedule: what happens to an account and to those who copy it, derived from one number.

use std::{fmt, time::Duration};

use stripe_sim::Fault;
use sync::Options;

use crate::{account::Change, dice::Dice, objects::KINDS, warehouse::Strike};

/// All that happens, in order. A value: it can be printed, cut down and run again.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    /// About how many objects there are at first.
    pub(crate) size: usize,
    /// Objects on a page of Stripe's.
    pub(crate) page: usize,
    /// A bare list of prices leaves out inactive ones (trap 10).
    pub(crate) hides_inactive: bool,
    /// How far this machine's clock is off at first, in seconds.
    pub(crate) clock_off: i64,
    /// Of a thousand events so many are pushed at once.
    pub(crate) pushed: u64,
    pub(crate) options: Options,
    pub(crate) cycles: Vec<Cycle>,
}

/// One update cycle and what goes wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Cycle {
    /// Changes of the account, each at a request of this cycle: before it for even numbers, else between answer and
    /// arrival. What the cycle does not live to see happens after it.
    pub(crate) changes: Vec<(u64, Change)>,
    /// So many in a thousand requests meet one of these.
    pub(crate) faults: (u32, Vec<Fault>),
    /// Paths that are refused with 403 all the while, as a key that lost a permission sees it.
    pub(crate) refused: Vec<&'static str>,
    pub(crate) end: End,
}

/// How a cycle ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Whole,
    /// The process dies at this request: before it is sent, or when it is answered and the answer is on its way.
    DiesAsking { request: u64, answered: bool },
    /// Something happens to this transaction.
    Storing { transaction: u64, strike: Strike },
    /// Somebody asks to stop at this request.
    Stopped { request: u64 },
}

/// Rounds over parents are broken off as soon as some were asked.
const BRIEF: Duration = Duration::from_millis(1);
const DAY: i64 = 86_400;
/// How far a clock is off once it is set, in seconds.
const CLOCKS: [i64; 6] = [0, 0, -600, -3 * DAY, 400, 300 * DAY];
const LATE: [i64; 6] = [0, 0, 0, 5, 60, 100];
const BETWEEN: [i64; 14] =
    [0, 1, 30, 119, 121, 600, 3_600, 7 * 3_600, DAY, 3 * DAY, 8 * DAY, 28 * DAY, 31 * DAY, 40 * DAY];
/// Losing a permission takes away a list and the objects below it.
const REFUSABLE: [&str; 12] = [
    "/v1/events",
    "/v1/events",
    "/v1/customers",
    "/v1/invoices",
    "/v1/subscriptions",
    "/v1/subscription_items",
    "/v1/prices",
    "/v1/payment_methods",
    // Some parents and what belongs to them, all of it, and one list of all parents.
    "/v1/customers/cus_1",
    "/v1/customers/cus_",
    "/v1/products/prod_",
    "/v1/entitlements/active_entitlements",
];

impl Schedule {
    /// The schedule of a seed, always the same.
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let size = *dice.pick(&[20, 30, 45, 70, 150]);
        let cycles = dice.size(2, 7);
        let options = options(&mut dice);
        Self {
            seed,
            size,
            page: *dice.pick(&[3, 7, 20, 100]),
            hides_inactive: dice.one_in(2),
            clock_off: *dice.pick(&[0, 0, 0, -7_200, 40_000]),
            pushed: *dice.pick(&[0, 0, 500, 900, 1_000]),
            options,
            cycles: (0..cycles).map(|_| cycle(&mut dice)).collect(),
        }
    }

    /// The same with a little less of something, in many ways.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let (front, back) = self.cycles.split_at(self.cycles.len() / 2);
        if !front.is_empty() {
            all.extend([front, back].map(|cycles| Self { cycles: cycles.to_vec(), ..self.clone() }));
        }
        for index in 0..self.cycles.len() {
            let with = |edit: &dyn Fn(&mut Cycle)| {
                let mut less = self.clone();
                edit(&mut less.cycles[index]);
                less
            };
            let mut without = self.clone();
            without.cycles.remove(index);
            all.push(without);
            let cycle = &self.cycles[index];
            if cycle.changes.len() > 3 {
                let half = cycle.changes.len() / 2;
                all.push(with(&|cycle| drop(cycle.changes.drain(half..))));
                all.push(with(&|cycle| drop(cycle.changes.drain(..half))));
            }
            all.extend((0..cycle.changes.len()).map(|change| {
                with(&|cycle| {
                    cycle.changes.remove(change);
                })
            }));
            if cycle.faults.0 > 0 {
                all.push(with(&|cycle| cycle.faults.0 = 0));
            }
            if !cycle.refused.is_empty() {
                all.push(with(&|cycle| cycle.refused.clear()));
            }
            if cycle.end != End::Whole {
                all.push(with(&|cycle| cycle.end = End::Whole));
            }
        }
        if self.size > 1 {
            all.push(Self { size: self.size / 2, ..self.clone() });
        }
        if self.page < 100 {
            all.push(Self { page: 100, ..self.clone() });
        }
        if self.pushed > 0 {
            all.push(Self { pushed: 0, ..self.clone() });
        }
        if self.options.rounds == BRIEF {
            let options = Options { rounds: Options::default().rounds, ..self.options };
            all.push(Self { options, ..self.clone() });
        }
        if self.clock_off != 0 {
            all.push(Self { clock_off: 0, ..self.clone() });
        }
        all
    }
}

fn options(dice: &mut Dice) -> Options {
    Options {
        slices: dice.size(1, 4),
        pages: dice.size(1, 5),
        rows: *dice.pick(&[1, 50, 400, 8_192]),
        bytes: *dice.pick(&[1, 50_000, Options::default().bytes]),
        event_pages: *dice.pick(&[1, 2, 4, 50]),
        parents: *dice.pick(&[1, 3, 1_000]),
        reads: dice.size(1, 8),
        tables: dice.size(1, 6),
        rounds: *dice.pick(&[BRIEF, Options::default().rounds]),
        ..Options::default()
    }
}

fn cycle(dice: &mut Dice) -> Cycle {
    let mut changes = vec![(0, Change::Wait(*dice.pick(&BETWEEN)))];
    for _ in 0..dice.below(12) {
        let at = if dice.one_in(3) { 0 } else { dice.below(120) };
        changes.push((at, change(dice)));
    }
    changes.sort_by_key(|change| change.0);
    let per_mille = *dice.pick(&[0, 0, 30, 150, 400]);
    let refused = if dice.one_in(6) { vec![*dice.pick(&REFUSABLE)] } else { Vec::new() };
    Cycle { changes, faults: (per_mille, faults(dice)), refused, end: end(dice) }
}

fn change(dice: &mut Dice) -> Change {
    let pick = dice.next();
    let late = *dice.pick(&LATE);
    let kind = match dice.below(4) {
        0 => dice.pick(&KINDS),
        _ => dice.pick(&KINDS[..8]),
    };
    match dice.below(26) {
        0..5 => Change::Create { kind: kind.name, late },
        5..10 => Change::Edit { kind: kind.name, pick, late },
        10..13 => {
            let kind = *dice.pick::<&str>(&["subscription", "invoice", "invoice", "credit_note"]);
            Change::Children { kind, pick, more: dice.below(14), fewer: dice.size(0, 14) }
        }
        13..15 => {
            let kinds: Vec<_> = KINDS.iter().filter(|kind| kind.goes).collect();
            Change::Delete { kind: dice.pick(&kinds).name, pick, late }
        }
        15 => Change::MakeAgain { pick },
        16 => Change::End {
            kind: dice.pick::<&str>(&["subscription", "price", "price", "plan", "product"]),
            pick,
        },
        17 => Change::Dispute { pick },
        18 => Change::Noise { pick, names: dice.one_in(2) },
        19..22 => {
            let kinds: Vec<_> = KINDS.iter().filter(|kind| kind.of.is_some()).collect();
            Change::Apart {
                kind: dice.pick(&kinds).name,
                pick,
                more: *dice.pick(&[0, 1, 2, 12]),
                fewer: dice.size(0, 4),
            }
        }
        22..25 => Change::Push { pick, most: dice.size(1, 8) },
        25 if dice.one_in(2) => Change::SetClock(*dice.pick(&CLOCKS)),
        _ => Change::Wait(*dice.pick(&[1, 1, 60, 130, 600])),
    }
}

fn faults(dice: &mut Dice) -> Vec<Fault> {
    let all = [
        Fault::Refuse,
        Fault::Limited("global-rate"),
        Fault::Limited("global-concurrency"),
        Fault::Limited("endpoint-rate"),
        Fault::Limited("endpoint-concurrency"),
        Fault::Limited("resource-specific"),
        Fault::Status { code: 429, should_retry: Some(false), retry_after: None },
        Fault::Status { code: 429, should_retry: None, retry_after: Some(2) },
        Fault::Locked,
        Fault::status(409),
        Fault::status(500),
        Fault::Status { code: 503, should_retry: Some(false), retry_after: None },
        Fault::Slow(40),
        Fault::Slow(2_500),
        Fault::CutBody,
        Fault::HalfBody,
        Fault::LoseAnswer,
    ];
    let few = dice.size(1, 5);
    (0..few).map(|_| dice.pick(&all).clone()).collect()
}

fn end(dice: &mut Dice) -> End {
    let request = dice.below(150);
    // Those of a cycle that hold most of its rows are among the first.
    let transaction = 1 + if dice.one_in(2) { dice.below(40) } else { dice.below(90) };
    match dice.below(9) {
        0..3 => End::Whole,
        3 => End::DiesAsking { request, answered: false },
        4 => End::DiesAsking { request, answered: true },
        5 => End::Stopped { request },
        6 => End::Storing { transaction, strike: Strike::DiesBefore },
        7 => End::Storing { transaction, strike: Strike::DiesAfter },
        _ => {
            let strike = if dice.one_in(2) { Strike::FailsBefore } else { Strike::FailsAfter };
            End::Storing { transaction, strike }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, size, page, hides_inactive, clock_off, pushed, options, cycles } = self;
        writeln!(
            f,
            "seed {seed}: {size} objects, {page} to a page, inactive prices hidden: {hides_inactive}, clock off by {clock_off} s, \
             {pushed} of 1000 events pushed at once"
        )?;
        writeln!(f, "{options:?}")?;
        for (number, Cycle { changes, faults, refused, end }) in cycles.iter().enumerate() {
            writeln!(f, "cycle {number}, ends {end:?}, refused: {refused:?}")?;
            if faults.0 > 0 {
                writeln!(f, "  {} of 1000 requests meet {:?}", faults.0, faults.1)?;
            }
            for (at, change) in changes {
                writeln!(f, "  at request {at}: {change:?}")?;
            }
        }
        Ok(())
    }
}
