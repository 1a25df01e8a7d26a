//! Tells authors what became of their objects: addresses in the status of Ingresses, Events for problems.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k3s_base::{BackoffPolicy, Random};
use k3s_client::{Client, EventRecorder, EventType, Patch, resources};
use k3s_meta::tree;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::feed::Feed;
use crate::model::{Diagnostic, ObjectId, Severity};

const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(200),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 0.2,
};

/// What became of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) publish_address: bool,
}

/// Takes verdicts and acts on them in a task of its own. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Teller(Arc<Shared>);

struct Shared {
    client: Client,
    events: EventRecorder,
    random: Random,
    addresses: Vec<IpAddr>,
    feed: OnceLock<Feed>,
    state: Mutex<State>,
    wake: Notify,
}

/// Bounded by the number of objects.
#[derive(Default)]
struct State {
    verdicts: BTreeMap<ObjectId, Verdict>,
    /// Objects whose status must be looked at.
    queue: BTreeSet<ObjectId>,
}

impl Teller {
    pub(crate) fn new(
        client: Client,
        events: EventRecorder,
        random: Random,
        addresses: Vec<IpAddr>,
    ) -> Self {
        let (feed, state, wake) = (OnceLock::new(), Mutex::default(), Notify::new());
        Self(Arc::new(Shared {
            client,
            events,
            random,
            addresses,
            feed,
            state,
            wake,
        }))
    }

    /// Where objects are found; given once.
    pub(crate) fn attach(&self, feed: &Feed) {
        let _given_once = self.0.feed.set(feed.clone());
    }

    /// Takes a new verdict, or none for an object that nothing follows from any more. Problems that
    /// were not there before become Events.
    pub(crate) fn tell(&self, id: ObjectId, verdict: Option<Verdict>) {
        let mut state = self.0.state.lock();
        let before = match &verdict {
            Some(verdict) => state.verdicts.insert(id.clone(), verdict.clone()),
            None => state.verdicts.remove(&id),
        };
        if verdict.is_some() {
            state.queue.insert(id.clone());
        }
        drop(state);
        self.0.wake.notify_one();
        let known = before.unwrap_or_default().problems;
        let problems = verdict.unwrap_or_default().problems;
        let Some(object) = self.0.feed.get().and_then(|feed| feed.object(&id)) else {
            return;
        };
        for problem in problems
            .into_iter()
            .filter(|problem| !known.contains(problem))
        {
            let Diagnostic {
                severity,
                reason,
                message,
            } = problem;
            tracing::info!(kind = id.kind, object = %object.key(), reason, message, "an object has a problem");
            let kind = if severity == Severity::Error {
                EventType::Warning
            } else {
                EventType::Normal
            };
            self.0.events.event(&*object, kind, &reason, message);
        }
    }

    /// Looks at an object's status again.
    pub(crate) fn look_at(&self, id: &ObjectId) {
        let mut state = self.0.state.lock();
        if state.verdicts.contains_key(id) {
            state.queue.insert(id.clone());
            drop(state);
            self.0.wake.notify_one();
        }
    }

    /// Writes statuses for ever. What fails is tried again after the others, later and later.
    pub(crate) async fn run(self) {
        let mut backoff = RETRY.start();
        let mut failed = BTreeSet::new();
        loop {
            let next = self.0.state.lock().queue.pop_first();
            match next {
                Some(id) => {
                    if let Err(error) = self.write(&id).await {
                        tracing::warn!(
                            error = error.chain(),
                            object = id.name,
                            "cannot write an Ingress's status"
                        );
                        failed.insert(id);
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

    /// Writes the addresses where they are not there yet.
    async fn write(&self, id: &ObjectId) -> Result<(), k3s_client::Error> {
        let publish = self
            .0
            .state
            .lock()
            .verdicts
            .get(id)
            .is_some_and(|verdict| verdict.publish_address);
        if !publish || id.kind != "Ingress" || id.group != "networking.k8s.io" {
            return Ok(());
        }
        let Some(object) = self.0.feed.get().and_then(|feed| feed.object(id)) else {
            return Ok(());
        };
        let wanted: Vec<Value> = self
            .0
            .addresses
            .iter()
            .map(|ip| json!({"ip": ip.to_string()}))
            .collect();
        let found = tree::list(object.value(), "status.loadBalancer.ingress");
        if found == wanted {
            return Ok(());
        }
        let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": wanted}}}));
        let written = self
            .0
            .client
            .patch_status(&resources::INGRESSES, object.ns(), object.name(), &patch)
            .await;
        match written {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}
