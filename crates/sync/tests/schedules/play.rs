//! Plays a schedule: an account, a Stripe that shows it, a warehouse, and cycles that end well or not.
//!
//! Nothing but the schedule decides what happens when: requests are carried within the process, time is tokio's own and
//! stands still while anything is to be done, so every pause is free and every run of a schedule is the same.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::FutureExt;
use stripe_api::{Carried, Clock, Rates, RetryPolicy, Stripe};
use stripe_sim::{DEMO_KEY, Fault, FaultScript, InProcess, Sim, SimOptions, world::World};
use sync::{Engine, Progress, Report, SyncError};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    account::{Account, Change},
    compare::{Kinds, compare, schema},
    dice::Dice,
    schedule::{Cycle, End, Schedule},
    warehouse::{Defect, Struck},
};

/// Requests that no cycle over so small an account needs.
const ENDLESS: u64 = 5_000;
/// Until then everything that there is shows in lists.
const ALL_SHOWN: i64 = 200;
/// Until then every list that no event tells of is walked again.
const ALL_WALKED: i64 = 9 * 86_400;
/// Until then every parent is asked again for what is listed parent by parent; the feed is read before it has a gap.
const ALL_ASKED: i64 = 20 * 86_400;

/// A schedule that did not end well.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) what: String,
    /// What happened, in order.
    pub(crate) journal: Vec<String>,
}

/// Plays `schedule` to its end, and on until everything must be equal; gives what happened.
pub(crate) fn play(schedule: &Schedule, defect: Option<Defect>) -> Result<Vec<String>, Failure> {
    let mut dice = Dice::new(schedule.seed).apart();
    let Schedule { size, hides_inactive, pushed, .. } = *schedule;
    let account = Arc::new(Account::new(dice.apart(), size, hides_inactive, pushed));
    account.change(&Change::SetClock(schedule.clock_off), "");
    let whole = AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(Playing::new(schedule, &account, defect, &mut dice).whole())
    });
    let outcome = catch_unwind(whole).unwrap_or_else(|_| Err("something panicked".to_owned()));
    match outcome {
        Ok(()) => Ok(account.journal()),
        Err(what) => Err(Failure { what, journal: account.journal() }),
    }
}

struct Playing<'a> {
    schedule: &'a Schedule,
    account: Arc<Account>,
    sim: Sim,
    warehouse: Arc<Struck>,
    line: Arc<Line>,
    died: Arc<Notify>,
    /// The process, as long as it lives.
    engine: Option<Engine<Struck>>,
}

/// What came of a cycle; nothing when the process died.
type Ended = Option<Result<Report, SyncError>>;

impl<'a> Playing<'a> {
    fn new(schedule: &'a Schedule, account: &Arc<Account>, defect: Option<Defect>, dice: &mut Dice) -> Self {
        let options = SimOptions { page: schedule.page, ..SimOptions::default() };
        let sim = Sim::new(Arc::clone(account) as Arc<dyn World>, options);
        let died = Arc::new(Notify::new());
        let warehouse = Arc::new(Struck::new(defect, Arc::clone(&died), dice.apart()));
        let line = Arc::new(Line {
            answering: sim.in_process(),
            account: Arc::clone(account),
            died: Arc::clone(&died),
            under_way: Mutex::new(UnderWay::new(dice.apart())),
        });
        Self { schedule, account: Arc::clone(account), sim, warehouse, line, died, engine: None }
    }

    async fn whole(mut self) -> Result<(), String> {
        for (number, cycle) in self.schedule.cycles.iter().enumerate() {
            self.account.note(format!("cycle {number}"));
            let ended = self.cycle(cycle, number).await;
            self.not_endless()?;
            self.account.note(format!("  ended: {}", told(&ended)));
            if !matches!(ended, Some(Ok(_) | Err(SyncError::Stopped))) {
                self.engine = None;
            }
        }
        self.settle("the next cycle", ALL_SHOWN, Kinds::Told).await?;
        self.settle("the next walks", ALL_WALKED, Kinds::Walked).await?;
        self.settle("the next rounds", ALL_ASKED, Kinds::All).await
    }

    /// A cycle without faults, after which what is to be compared must be equal.
    async fn settle(&mut self, when: &str, seconds: i64, kinds: Kinds) -> Result<(), String> {
        self.account.note(format!("{when}, without faults"));
        let changes = vec![(0, Change::Wait(seconds))];
        let quiet = Cycle { changes, faults: (0, Vec::new()), refused: Vec::new(), end: End::Whole };
        let ended = self.cycle(&quiet, self.schedule.cycles.len()).await;
        self.not_endless()?;
        match &ended {
            Some(Ok(report)) if report.failed().next().is_none() => {}
            Some(_) | None => return Err(format!("{when}, without faults, ended: {}", told(&ended))),
        }
        let compared = compare(&self.account, &self.warehouse.memory, kinds);
        compared.map_err(|difference| format!("after {when}: {difference}"))
    }

    async fn cycle(&mut self, cycle: &Cycle, number: usize) -> Ended {
        let stop = CancellationToken::new();
        self.line.under_way.lock().unwrap().begin(cycle, stop.clone());
        self.sim.set_faults(script(cycle, self.schedule.seed ^ u64::try_from(number).unwrap()));
        self.warehouse.plan(match cycle.end {
            End::Storing { transaction, strike } => Some((transaction, strike)),
            End::Whole | End::DiesAsking { .. } | End::Stopped { .. } => None,
        });
        let _of_an_earlier_cycle = self.died.notified().now_or_never();
        let engine = self.engine.take().unwrap_or_else(|| self.process());
        let ended = tokio::select! {
            biased;
            () = self.died.notified() => None,
            ended = self.run_and_push(&engine, &stop) => Some(ended),
        };
        self.engine = Some(engine);
        self.line.happen(u64::MAX, true);
        ended
    }

    /// A cycle, and beside it passes over what is pushed, the last of them when the cycle is over.
    async fn run_and_push(
        &self,
        engine: &Engine<Struck>,
        stop: &CancellationToken,
    ) -> Result<Report, SyncError> {
        let over = CancellationToken::new();
        let cycle = async {
            let ended = engine.run(stop).await;
            over.cancel();
            ended
        };
        tokio::join!(cycle, self.push(engine, stop, &over)).0
    }

    async fn push(&self, engine: &Engine<Struck>, stop: &CancellationToken, over: &CancellationToken) {
        let post = &self.account.post;
        engine.prepare().await.unwrap();
        loop {
            let last = over.is_cancelled();
            let due = post.due();
            if !due.is_empty() {
                match engine.apply_pushed(due, stop).await {
                    Ok(pass) => {
                        self.account.note(format!("  > {:?}", pass.events));
                        post.settle(&pass);
                    }
                    // They wait on.
                    Err(error) => self.account.note(format!("  > {}", error.sentence())),
                }
            }
            if last {
                return;
            }
            tokio::select! {
                biased;
                () = post.arrived.notified() => {}
                () = over.cancelled() => {}
            }
        }
    }

    fn process(&self) -> Engine<Struck> {
        let config = stripe_api::Config {
            api_url: "http://localhost".parse().unwrap(),
            key: DEMO_KEY.to_owned().into(),
            account: None,
            rates: Rates { per_second: 5_000, per_endpoint: 5_000, concurrent: 16 },
            // Pauses of a millisecond, whatever chance says of half of them: tokio's time has no less.
            retry: RetryPolicy {
                attempts: 4,
                base: Duration::from_millis(1),
                longest: Duration::from_millis(1),
            },
        };
        let clock = Off { account: Arc::clone(&self.account), began: Instant::now() };
        Engine {
            stripe: Stripe::in_process(config, Arc::new(clock), Box::new(Carrier(Arc::clone(&self.line))))
                .unwrap(),
            warehouse: Arc::clone(&self.warehouse),
            schema: schema(),
            progress: watch::channel(Progress::starting()).0,
            options: self.schedule.options,
        }
    }

    fn not_endless(&self) -> Result<(), String> {
        let requests = self.line.under_way.lock().unwrap().requests;
        if requests < ENDLESS { Ok(()) } else { Err("a cycle asks without end".to_owned()) }
    }
}

fn script(cycle: &Cycle, seed: u64) -> FaultScript {
    let refused = cycle.refused.iter();
    let script = refused.fold(FaultScript::new(), |script, path| script.always(path, Fault::status(403)));
    script.share(seed, cycle.faults.0, cycle.faults.1.clone())
}

fn told(ended: &Ended) -> String {
    match ended {
        None => "the process died".to_owned(),
        Some(Err(error)) => error.sentence(),
        Some(Ok(report)) => {
            let failed = report.failed().map(|(table, error)| format!("; {table}: {}", error.sentence()));
            format!("{} rows, {} requests{}", report.rows(), report.requests, failed.collect::<String>())
        }
    }
}

/// The clock of a machine: the account's time and that of tokio, and something off.
struct Off {
    account: Arc<Account>,
    began: Instant,
}

impl Clock for Off {
    fn now(&self) -> DateTime<Utc> {
        let elapsed = i64::try_from(self.began.elapsed().as_micros()).unwrap();
        DateTime::from_timestamp_micros((self.account.now() + self.account.clock_off()) * 1_000_000 + elapsed)
            .unwrap()
    }
}

/// The line to Stripe.
struct Line {
    answering: InProcess,
    account: Arc<Account>,
    died: Arc<Notify>,
    under_way: Mutex<UnderWay>,
}

/// Where the running cycle is.
struct UnderWay {
    requests: u64,
    changes: VecDeque<(u64, Change)>,
    end: End,
    stop: CancellationToken,
    dice: Dice,
}

impl UnderWay {
    fn new(dice: Dice) -> Self {
        let stop = CancellationToken::new();
        Self { requests: 0, changes: VecDeque::new(), end: End::Whole, stop, dice }
    }

    fn begin(&mut self, cycle: &Cycle, stop: CancellationToken) {
        let (requests, changes) = (0, cycle.changes.iter().cloned().collect());
        *self = Self { requests, changes, end: cycle.end, stop, dice: self.dice.clone() };
    }

    /// The number of one more request, and the milliseconds it takes to get there and back.
    fn depart(&mut self) -> (u64, [u64; 2]) {
        let number = self.requests;
        self.requests += 1;
        let mut way = || match self.dice.below(60) {
            0..20 => self.dice.below(30),
            // Long enough for what is asked later to be stored first.
            20 => self.dice.below(5_000),
            _ => 0,
        };
        (number, [way(), way()])
    }
}

impl Line {
    async fn carry(
        &self,
        request: http::Request<()>,
    ) -> Result<http::Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
        let (number, [there, back]) = self.under_way.lock().unwrap().depart();
        tokio::time::sleep(Duration::from_millis(there)).await;
        self.happen(number, false);
        self.strike(number, false).await;
        let asked = request.uri().to_string();
        let answer = self.answering.answer(request).await;
        let said = answer.as_ref().map_or("no answer".to_owned(), |answer| answer.status().to_string());
        self.account.note(format!("  ? {number} {asked}: {said}"));
        self.happen(number, true);
        tokio::time::sleep(Duration::from_millis(back)).await;
        self.strike(number, true).await;
        Ok(answer?)
    }

    /// Lets happen what is due at this request.
    fn happen(&self, number: u64, answered: bool) {
        loop {
            let mut under_way = self.under_way.lock().unwrap();
            let due = |&(at, _): &(u64, Change)| at < number || at == number && (answered || at % 2 == 0);
            let Some((at, change)) = under_way.changes.pop_front_if(|change| due(change)) else { return };
            drop(under_way);
            self.account.change(&change, &format!("  ! at {at}: "));
        }
    }

    /// Ends the cycle, if it is to end at this request.
    async fn strike(&self, number: u64, back: bool) {
        let (end, stop) = {
            let under_way = self.under_way.lock().unwrap();
            (under_way.end, under_way.stop.clone())
        };
        let dies = match end {
            End::DiesAsking { request, answered } => request == number && answered == back,
            End::Stopped { request } if request == number => {
                stop.cancel();
                false
            }
            End::Whole | End::Storing { .. } | End::Stopped { .. } => false,
        };
        if dies || number >= ENDLESS {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

struct Carrier(Arc<Line>);

impl stripe_api::InProcess for Carrier {
    fn carry(&self, request: http::Request<()>) -> Carried {
        let line = Arc::clone(&self.0);
        Box::pin(async move { line.carry(request).await })
    }
}
