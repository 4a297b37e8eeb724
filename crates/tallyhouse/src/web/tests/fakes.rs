//! What lies behind the pages, scripted.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, FutureExt};
use secrecy::{ExposeSecret, SecretString};
use store::{Connection, Status, Store};
use stripe_api::{Account, Clock};
use tokio::sync::watch;

use crate::web::{
    AccessError, Card, Granted, Numbers, NumbersError, ProgressView, StartError, StripeAccess, SyncControl,
};

/// 2026-11-23 12:00 UTC, until moved.
const BEGIN: i64 = 1_795_435_200;

/// A clock that is moved by hand.
#[derive(Debug, Default)]
pub(super) struct FakeClock(AtomicI64);

impl FakeClock {
    pub(super) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(BEGIN + self.0.load(Ordering::Relaxed), 0).unwrap()
    }
}

/// A place where whoever comes by is kept waiting.
#[derive(Debug, Default)]
pub(super) struct Gate {
    waiting: watch::Sender<u32>,
    open: tokio::sync::Mutex<()>,
}

impl Gate {
    /// Closed until what this gives is dropped.
    pub(super) async fn close(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.open.lock().await
    }

    /// Somebody waits before it.
    pub(super) async fn reached(&self) {
        self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await.unwrap();
    }

    async fn pass(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        drop(self.open.lock().await);
        self.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

/// Notes what was started and stopped, and shows what it is told.
#[derive(Debug, Default)]
pub(super) struct FakeSync {
    pub(super) did: Mutex<Vec<String>>,
    /// By connection, why its update does not begin.
    refuses: Mutex<HashMap<String, String>>,
    /// Where it looks whether a connection is deleted or paused.
    pub(super) store: OnceLock<Arc<Store>>,
    /// How often the tables were asked for.
    pub(super) looked: AtomicI64,
    /// Before an update is stopped.
    pub(super) stopping: Gate,
    progress: Mutex<HashMap<String, watch::Sender<ProgressView>>>,
}

impl FakeSync {
    pub(super) fn show(&self, connection: &str, view: ProgressView) {
        let mut all = self.progress.lock().unwrap();
        all.entry(connection.to_owned()).or_default().send_replace(view);
    }

    pub(super) fn refuse(&self, connection: &str, why: &str) {
        self.refuses.lock().unwrap().insert(connection.to_owned(), why.to_owned());
    }

    pub(super) fn did(&self) -> Vec<String> {
        self.did.lock().unwrap().clone()
    }
}

impl SyncControl for FakeSync {
    fn start<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, Result<(), StartError>> {
        if let Some(why) = self.refuses.lock().unwrap().get(connection).cloned() {
            return async { Err(StartError { why }) }.boxed();
        }
        self.did.lock().unwrap().push(format!("start {connection}"));
        async { Ok(()) }.boxed()
    }

    fn stop<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, ()> {
        async move {
            self.stopping.pass().await;
            let store = self.store.get();
            let found = match store {
                Some(store) => store.connection_named(connection).await.unwrap(),
                None => None,
            };
            let standing = match found.map(|found| found.status) {
                None => " (deleted)",
                Some(Status::Paused) => " (paused)",
                Some(_) => "",
            };
            if let Some(shown) = self.progress.lock().unwrap().get(connection) {
                shown.send_replace(ProgressView::default());
            }
            self.did.lock().unwrap().push(format!("stop {connection}{standing}"));
        }
        .boxed()
    }

    fn wake(&self, _: &str, name: &str) {
        self.did.lock().unwrap().push(format!("wake {name}"));
    }

    fn running_since(&self, connection: &str) -> Option<DateTime<Utc>> {
        let all = self.progress.lock().unwrap();
        let view = all.get(connection)?.borrow();
        view.began_at.filter(|_| view.is_running())
    }

    fn subscribe<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, watch::Receiver<ProgressView>> {
        self.looked.fetch_add(1, Ordering::Relaxed);
        let receiver = self.progress.lock().unwrap().entry(connection.to_owned()).or_default().subscribe();
        async { receiver }.boxed()
    }
}

/// Gives the cards it is told.
#[derive(Debug, Default)]
pub(super) struct FakeNumbers(pub(super) Mutex<Vec<Card>>, pub(super) Mutex<Option<String>>);

impl Numbers for FakeNumbers {
    fn home<'a>(
        &'a self,
        _: &'a Connection,
        _: &'a ProgressView,
    ) -> BoxFuture<'a, Result<Vec<Card>, NumbersError>> {
        let answer = match self.1.lock().unwrap().clone() {
            Some(why) => Err(NumbersError { why }),
            None => Ok(self.0.lock().unwrap().clone()),
        };
        async { answer }.boxed()
    }
}

/// What Stripe says to the next code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Says {
    #[default]
    Welcome,
    CodeSpent,
    UnknownClient,
    NetworkDown,
    LiveData,
    AnotherAccount,
    KeyRefused,
    /// The code is traded, and then the network is down.
    GoneAfterwards,
}

/// A Stripe that says what it is told, and notes the codes it saw.
#[derive(Debug, Default)]
pub(super) struct FakeStripe {
    pub(super) says: Mutex<Says>,
    pub(super) codes: Mutex<Vec<String>>,
    given_back: Mutex<Vec<String>>,
    /// After a code is traded, before that is known.
    pub(super) traded: Gate,
}

impl FakeStripe {
    pub(super) fn now_says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// The accounts to which access was given back.
    pub(super) fn given_back(&self) -> Vec<String> {
        self.given_back.lock().unwrap().clone()
    }

    pub(super) fn codes(&self) -> usize {
        self.codes.lock().unwrap().len()
    }

    fn answer(&self, code: &SecretString) -> Result<Granted, AccessError> {
        self.codes.lock().unwrap().push(code.expose_secret().to_owned());
        let granted = |account: &str, livemode| Granted {
            account_id: account.to_owned(),
            livemode,
            credentials: SecretString::from(super::SECRET_KEY),
        };
        match *self.says.lock().unwrap() {
            Says::Welcome | Says::KeyRefused | Says::GoneAfterwards => Ok(granted("acct_1", false)),
            Says::LiveData => Ok(granted("acct_1", true)),
            Says::AnotherAccount => Ok(granted("acct_2", false)),
            Says::CodeSpent => Err(AccessError::CodeSpent),
            Says::UnknownClient => Err(AccessError::UnknownClient),
            Says::NetworkDown => Err(AccessError::Unreachable("no route".into())),
        }
    }
}

impl StripeAccess for FakeStripe {
    fn account<'a>(&'a self, _: &'a SecretString) -> BoxFuture<'a, Result<Account, AccessError>> {
        let answer = match *self.says.lock().unwrap() {
            Says::KeyRefused => {
                Err(AccessError::Refused { why: "Invalid API Key provided: [key]".to_owned() })
            }
            Says::NetworkDown | Says::GoneAfterwards => Err(AccessError::Unreachable("no route".into())),
            Says::Welcome | Says::CodeSpent | Says::UnknownClient | Says::LiveData | Says::AnotherAccount => {
                Ok(Account {
                    id: "acct_1".to_owned(),
                    name: Some("Shop <b>One</b>".to_owned()),
                    country: None,
                    default_currency: None,
                    time_zone: Some("America/New_York".to_owned()),
                })
            }
        };
        async { answer }.boxed()
    }

    fn give_back<'a>(&'a self, account_id: &'a str, _: bool) -> BoxFuture<'a, Result<(), AccessError>> {
        if matches!(*self.says.lock().unwrap(), Says::NetworkDown | Says::GoneAfterwards) {
            return async { Err(AccessError::Unreachable("no route".into())) }.boxed();
        }
        self.given_back.lock().unwrap().push(account_id.to_owned());
        async { Ok(()) }.boxed()
    }

    fn exchange<'a>(&'a self, code: &'a SecretString) -> BoxFuture<'a, Result<Granted, AccessError>> {
        async {
            let answer = self.answer(code);
            self.traded.pass().await;
            answer
        }
        .boxed()
    }
}
