//! Reports to authors what became of their objects: addresses in the status of Ingresses, Events for
//! problems.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::{BackoffPolicy, Random};
use k3s_client::{Client, EventRecorder, EventType, Object, Patch, resources};
use k3s_meta::tree;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::kinds::Kinds;
use crate::model::{Diagnostic, ObjectKey, Severity};

const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(200),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 0.2,
};

/// What became of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) publish_address: bool,
}

/// Takes reports and acts on them in a task of its own. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StatusReporter(Arc<Shared>);

struct Shared {
    client: Client,
    events: EventRecorder,
    random: Random,
    addresses: Vec<IpAddr>,
    kinds: Kinds,
    state: Mutex<State>,
    wake: Notify,
}

/// Bounded by the number of objects.
#[derive(Default)]
struct State {
    reports: BTreeMap<ObjectKey, Report>,
    /// Objects whose status may have to be written.
    queue: BTreeSet<ObjectKey>,
}

impl StatusReporter {
    /// Objects are found through `kinds`; served Ingresses show `addresses`.
    pub(crate) fn new(
        client: Client,
        events: EventRecorder,
        random: Random,
        addresses: Vec<IpAddr>,
        kinds: Kinds,
    ) -> Self {
        let (state, wake) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared {
            client,
            events,
            random,
            addresses,
            kinds,
            state,
            wake,
        }))
    }

    /// Replaces the report on an object; none when nothing follows from it any more. Problems that the
    /// last report did not have become Events.
    pub(crate) fn report(&self, key: ObjectKey, report: Option<Report>) {
        let problems = report.clone().unwrap_or_default().problems;
        let before = self.store(&key, report);
        let known = before.unwrap_or_default().problems;
        let Some(object) = self.0.kinds.object(&key) else {
            return;
        };
        for problem in problems {
            if !known.contains(&problem) {
                self.record(&object, problem);
            }
        }
    }

    /// Stores a report and gives the one before.
    fn store(&self, key: &ObjectKey, report: Option<Report>) -> Option<Report> {
        let mut state = self.0.state.lock();
        let before = match report {
            Some(report) => {
                state.queue.insert(key.clone());
                state.reports.insert(key.clone(), report)
            }
            None => state.reports.remove(key),
        };
        drop(state);
        self.0.wake.notify_one();
        before
    }

    fn record(&self, object: &Object, problem: Diagnostic) {
        let Diagnostic {
            severity,
            reason,
            message,
        } = problem;
        tracing::info!(object = %object.key(), reason, message, "an object has a problem");
        let event = if severity == Severity::Error {
            EventType::Warning
        } else {
            EventType::Normal
        };
        self.0.events.event(&**object, event, &reason, message);
    }

    /// Has an object's status compared again with what it should be.
    pub(crate) fn requeue(&self, key: &ObjectKey) {
        let mut state = self.0.state.lock();
        if state.reports.contains_key(key) {
            state.queue.insert(key.clone());
            drop(state);
            self.0.wake.notify_one();
        }
    }

    /// Writes statuses, without end. What fails is retried after the others, with back-off.
    pub(crate) async fn run(self) {
        let mut backoff = RETRY.start();
        let mut failed = BTreeSet::new();
        loop {
            let next = self.0.state.lock().queue.pop_first();
            match next {
                Some(key) => {
                    if let Err(error) = self.write(&key).await {
                        tracing::warn!(
                            error = error.chain(),
                            object = key.name,
                            "cannot write an Ingress's status"
                        );
                        failed.insert(key);
                    }
                }
                None if failed.is_empty() => {
                    backoff.reset();
                    self.0.wake.notified().await;
                }
                None => {
                    tokio::select! {
                        () = self.0.wake.notified() => {}
                        () = tokio::time::sleep(backoff.next_delay(&self.0.random)) => {
                            self.0.state.lock().queue.append(&mut failed);
                        }
                    }
                }
            }
        }
    }

    /// Writes the addresses where they are missing.
    async fn write(&self, key: &ObjectKey) -> Result<(), k3s_client::Error> {
        if key.kind != "Ingress" || key.group != "networking.k8s.io" || !self.is_published(key) {
            return Ok(());
        }
        let Some(object) = self.0.kinds.object(key) else {
            return Ok(());
        };
        let addresses = self.0.addresses.iter();
        let wanted: Vec<Value> = addresses.map(|ip| json!({"ip": ip.to_string()})).collect();
        let found = tree::list(object.value(), "status.loadBalancer.ingress");
        if found == wanted {
            return Ok(());
        }
        let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": wanted}}}));
        let (namespace, name) = (object.ns(), object.name());
        let written = self
            .0
            .client
            .patch_status(&resources::INGRESSES, namespace, name, &patch)
            .await;
        match written {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    fn is_published(&self, key: &ObjectKey) -> bool {
        let state = self.0.state.lock();
        let report = state.reports.get(key);
        report.is_some_and(|report| report.publish_address)
    }
}
