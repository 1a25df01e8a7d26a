//! A check of recorded histories: many clients write and read a few keys through one or several
//! stores, while the caller may do to the database what it likes; afterwards every answer that was
//! given must fit one order of events, that of the log.
//!
//! Writes carry their place in that order (the revision), so no search is needed. What is checked:
//! - the log holds exactly the writes that were acknowledged, each once, with their values; besides them
//!   only those whose client was told that their outcome is unknown;
//! - a write that was over before another began has the smaller revision, whichever stores they went
//!   through;
//! - every precondition held at its write's place in the log; every conflict was one;
//! - a read shows a state that was current at some moment between its beginning and its end, as far as
//!   its own store had acknowledged it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a contract case fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use k3s_base::Random;
use parking_lot::Mutex;

use super::Fixture;
use super::rig::Rig;
use crate::backend::AfterRequest;
use crate::backend::{Backend, BackendError};
use crate::error::WriteError;
use crate::model::{EventKind, Precondition, Revision, Write};
use crate::store::Store;

/// Few keys, so that clients meet.
const KEYS: u64 = 5;

/// One call and its answer. Times are ticks of one counter.
#[derive(Clone, Debug)]
struct Call {
    begin: u64,
    end: u64,
    store: usize,
    key: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Put {
        precondition: Precondition,
        value: String,
        answer: Answer,
    },
    Delete {
        precondition: Precondition,
        answer: Answer,
    },
    /// The key's revision, if it was there.
    Get(Option<Revision>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Committed(Revision),
    /// The revision of the entry that was in the way.
    Conflict(Option<Revision>),
    /// Refused: nothing may have been written.
    Refused,
    /// It may have been written.
    Unknown,
}

/// Clients that write until they are stopped, and what they saw.
pub struct Recorder {
    clock: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    calls: Arc<Mutex<Vec<Call>>>,
    refusals: Arc<Mutex<Vec<String>>>,
    clients: tokio::task::JoinSet<()>,
    start: Revision,
}

impl Recorder {
    /// Starts `clients` clients on each of `stores`, which share one log. Call before anything is
    /// written.
    #[must_use]
    pub fn start(stores: &[Store], clients: u64, seed: u64) -> Self {
        let mut recorder = Self {
            clock: Arc::default(),
            stop: Arc::default(),
            calls: Arc::default(),
            refusals: Arc::default(),
            clients: tokio::task::JoinSet::new(),
            start: stores.iter().map(Store::revision).max().unwrap_or_default(),
        };
        for (number, store) in stores.iter().enumerate() {
            for client in 0..clients {
                let id = client + clients * number as u64;
                recorder.clients.spawn(client_loop(
                    Client {
                        store: store.clone(),
                        number,
                        id,
                        random: Random::seeded(seed * 1000 + id),
                        clock: recorder.clock.clone(),
                        calls: recorder.calls.clone(),
                        refusals: recorder.refusals.clone(),
                    },
                    recorder.stop.clone(),
                ));
            }
        }
        recorder
    }

    /// How many writes were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.calls
            .lock()
            .iter()
            .filter(|c| c.committed().is_some())
            .count()
    }

    /// Why writes were refused so far.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        self.refusals.lock().clone()
    }

    /// Stops the clients and holds what they saw against the log of `backend`.
    ///
    /// # Panics
    /// With what does not fit.
    pub async fn check(mut self, backend: &dyn Backend) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("a client ends by itself");
        }
        let calls = std::mem::take(&mut *self.calls.lock());
        let log = read_log(backend, self.start).await;
        only_what_was_acknowledged(&calls, &log);
        real_time_order(&calls);
        each_answer_fits(&calls, &log);
        calls.len()
    }
}

impl Call {
    fn committed(&self) -> Option<Revision> {
        match self.what {
            What::Put {
                answer: Answer::Committed(r),
                ..
            }
            | What::Delete {
                answer: Answer::Committed(r),
                ..
            } => Some(r),
            _ => None,
        }
    }
}

struct Client {
    store: Store,
    number: usize,
    id: u64,
    random: Random,
    clock: Arc<AtomicU64>,
    calls: Arc<Mutex<Vec<Call>>>,
    refusals: Arc<Mutex<Vec<String>>>,
}

async fn client_loop(client: Client, stop: Arc<AtomicBool>) {
    for n in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let key = format!("/linear/{}", client.random.below(KEYS));
        let begin = client.clock.fetch_add(1, Ordering::SeqCst);
        let what = client.call(&key, n).await;
        let end = client.clock.fetch_add(1, Ordering::SeqCst);
        client.calls.lock().push(Call {
            begin,
            end,
            store: client.number,
            key,
            what,
        });
        tokio::task::yield_now().await;
    }
}

impl Client {
    async fn call(&self, key: &str, n: u64) -> What {
        let seen = self.store.get(key).map(|e| e.mod_revision);
        if self.random.below(4) == 0 {
            return What::Get(seen);
        }
        let precondition = match (self.random.below(3), seen) {
            (0, _) => Precondition::Any,
            (_, Some(revision)) => Precondition::Revision(revision),
            (_, None) => Precondition::Absent,
        };
        if self.random.below(5) == 0 && precondition != Precondition::Absent {
            let answer = self.write(Write::delete(key, precondition)).await;
            return What::Delete {
                precondition,
                answer,
            };
        }
        let value = format!("{}-{n}", self.id);
        let answer = self
            .write(Write::put(key, precondition, value.clone().into_bytes()))
            .await;
        What::Put {
            precondition,
            value,
            answer,
        }
    }

    async fn write(&self, write: Write) -> Answer {
        match self.store.write(write).await {
            Ok(committed) => Answer::Committed(committed.revision),
            Err(WriteError::Conflict { current }) => {
                Answer::Conflict(current.map(|e| e.mod_revision))
            }
            Err(WriteError::Unavailable(why)) => {
                self.refusals.lock().push(why.to_string());
                if matches!(why, BackendError::OutcomeUnknown(_)) {
                    Answer::Unknown
                } else {
                    Answer::Refused
                }
            }
            Err(other) => panic!("an answer that cannot be: {other}"),
        }
    }
}

/// A row of the log.
#[derive(Debug)]
struct Row {
    key: String,
    /// None for a delete.
    value: Option<String>,
    previous: Revision,
}

async fn read_log(backend: &dyn Backend, start: Revision) -> BTreeMap<Revision, Row> {
    let through = backend.open().await.expect("the log is there").revision;
    let (mut after, mut rows) = (start, BTreeMap::new());
    while after < through {
        let request = AfterRequest {
            after,
            through,
            prefix: "".into(),
            limit: 1000,
            limit_bytes: 1 << 20,
        };
        let batch = backend.after(request).await.expect("the log can be read");
        after = batch.through;
        for change in batch.changes {
            let value = String::from_utf8_lossy(&change.value).into_owned();
            let row = Row {
                key: change.key.to_string(),
                value: (change.kind != EventKind::Delete).then_some(value),
                previous: change.prev_revision,
            };
            assert!(
                rows.insert(change.revision, row).is_none(),
                "revision {} is there twice",
                change.revision
            );
        }
    }
    let expected = (1..=through.0 - start.0).map(|n| start.plus(n));
    assert!(
        rows.keys().copied().eq(expected),
        "the log has holes between {start} and {through}"
    );
    rows
}

fn only_what_was_acknowledged(calls: &[Call], log: &BTreeMap<Revision, Row>) {
    let mut acknowledged = BTreeMap::new();
    for call in calls {
        let Some(revision) = call.committed() else {
            continue;
        };
        assert!(
            acknowledged.insert(revision, call).is_none(),
            "revision {revision} was given twice"
        );
        let row = log
            .get(&revision)
            .unwrap_or_else(|| panic!("an acknowledged write is missing: {call:?}"));
        let value = if let What::Put { value, .. } = &call.what {
            Some(value)
        } else {
            None
        };
        assert!(
            row.key == call.key && row.value.as_ref() == value,
            "another row is at {revision}: {call:?}"
        );
    }
    let unknown = |row: &Row| {
        let asked = |c: &Call| match &c.what {
            What::Delete {
                answer: Answer::Unknown,
                ..
            } => row.value.is_none(),
            What::Put {
                answer: Answer::Unknown,
                value,
                ..
            } => row.value.as_ref() == Some(value),
            _ => false,
        };
        calls.iter().any(|c| c.key == row.key && asked(c))
    };
    let foreign: Vec<_> = log
        .iter()
        .filter(|(r, row)| !acknowledged.contains_key(r) && !unknown(row))
        .collect();
    assert!(
        foreign.is_empty(),
        "in the log, but nobody was told so: {foreign:?}"
    );
}

fn real_time_order(calls: &[Call]) {
    let mut writes: Vec<_> = calls
        .iter()
        .filter_map(|c| Some((c.begin, c.end, c.committed()?)))
        .collect();
    writes.sort_unstable();
    let mut ended: Vec<_> = writes
        .iter()
        .map(|(_, end, revision)| (*end, *revision))
        .collect();
    ended.sort_unstable();
    let (mut next, mut newest) = (0, Revision::ZERO);
    for (begin, _, revision) in writes {
        while next < ended.len() && ended[next].0 < begin {
            newest = newest.max(ended[next].1);
            next += 1;
        }
        assert!(
            revision > newest,
            "{revision} began after {newest} was acknowledged"
        );
    }
}

/// Each answer against the state of its key at its place in the log.
fn each_answer_fits(calls: &[Call], log: &BTreeMap<Revision, Row>) {
    // Key → its states: since which revision, and the revision of its entry if it is there.
    let mut states: BTreeMap<&str, BTreeMap<Revision, Option<Revision>>> = BTreeMap::new();
    for (revision, row) in log {
        let live = row.value.is_some().then_some(*revision);
        states.entry(&row.key).or_default().insert(*revision, live);
    }
    let empty = BTreeMap::new();
    for call in calls {
        let states = states.get(call.key.as_str()).unwrap_or(&empty);
        let before = |at: Revision| states.range(..at).next_back().and_then(|(_, live)| *live);
        match &call.what {
            What::Put {
                precondition,
                answer,
                ..
            }
            | What::Delete {
                precondition,
                answer,
            } => match answer {
                Answer::Committed(revision) => {
                    let current = before(*revision);
                    let holds = match precondition {
                        Precondition::Absent => current.is_none(),
                        Precondition::Revision(wanted) => current == Some(*wanted),
                        Precondition::Exists => current.is_some(),
                        Precondition::Any => true,
                    };
                    assert!(holds, "{call:?} was committed on {current:?}");
                    if let Some(current) = current {
                        assert_eq!(
                            log[revision].previous, current,
                            "{call:?} replaced another row"
                        );
                    }
                }
                Answer::Conflict(shown) => {
                    let wanted = match precondition {
                        Precondition::Revision(wanted) => Some(*wanted),
                        _ => None,
                    };
                    let real = match precondition {
                        Precondition::Absent => shown.is_some(),
                        Precondition::Any | Precondition::Exists => shown.is_none(),
                        Precondition::Revision(_) => *shown != wanted,
                    };
                    assert!(real, "{call:?} is no conflict");
                    assert!(
                        shown.is_none_or(|s| states.get(&s) == Some(&Some(s))),
                        "{call:?} shows what never was"
                    );
                }
                Answer::Refused | Answer::Unknown => {}
            },
            What::Get(shown) => check_read(call, *shown, calls, states),
        }
    }
}

/// A read shows nothing older than what its store had acknowledged before it began, and nothing that
/// began after its end.
fn check_read(
    call: &Call,
    shown: Option<Revision>,
    calls: &[Call],
    states: &BTreeMap<Revision, Option<Revision>>,
) {
    let of_key = |c: &&Call| c.key == call.key && c.committed().is_some();
    let known = calls
        .iter()
        .filter(of_key)
        .filter(|c| c.store == call.store && c.end < call.begin);
    let oldest = known.filter_map(Call::committed).max().unwrap_or_default();
    // States that end (are replaced) after the oldest allowed moment.
    let from = states
        .range(..=oldest)
        .next_back()
        .map_or(Revision::ZERO, |(r, _)| *r);
    let mut allowed: Vec<Option<Revision>> = states.range(from..).map(|(_, live)| *live).collect();
    if from == Revision::ZERO {
        allowed.push(None);
    }
    assert!(allowed.contains(&shown), "{call:?} is older than {oldest}");
    let later = calls
        .iter()
        .filter(of_key)
        .find(|c| c.begin > call.end && c.committed() == shown && shown.is_some());
    assert!(
        later.is_none(),
        "{call:?} shows what began after it: {later:?}"
    );
}

/// Histories without faults, through one store and through two.
pub(super) async fn all(fixture: &dyn Fixture) {
    for (stores, seed) in [(1, 1), (2, 2)] {
        let backend = fixture.create().await;
        let mut rigs = Vec::new();
        for _ in 0..stores {
            rigs.push(Rig::open(backend.clone()).await);
        }
        let handles: Vec<Store> = rigs.iter().map(|rig| rig.store.clone()).collect();
        let recorder = Recorder::start(&handles, 4, seed);
        super::rig::until("enough writes", || recorder.acknowledged() >= 200).await;
        assert_eq!(
            recorder.refusals(),
            Vec::<String>::new(),
            "nothing went wrong, so nothing is refused"
        );
        assert!(recorder.check(&*backend).await > 200);
        for rig in rigs {
            rig.stop().await;
        }
    }
}
