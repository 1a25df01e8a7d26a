//! The task that writes Events.

use std::time::Duration;

use k3s_base::BackoffPolicy;
use k3s_base::clock::rfc3339;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::debug;

use super::Occurrence;
use super::correlate::{Correlator, Decision};
use crate::client::Client;
use crate::error::Result;
use crate::params::Patch;
use crate::resources::EVENTS;

/// Tries for an event that the server could not take for the moment, then it is dropped.
const TRIES: u32 = 6;
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(500),
    factor: 2.0,
    cap: Duration::from_secs(10),
    jitter: 0.0,
};

pub(super) struct Writer {
    client: Client,
    component: String,
    host: String,
    correlator: Correlator,
}

impl Writer {
    pub(super) fn new(client: Client, component: &str, host: &str) -> Self {
        Self {
            client,
            component: component.to_owned(),
            host: host.to_owned(),
            correlator: Correlator::default(),
        }
    }

    pub(super) async fn run(mut self, mut incoming: mpsc::Receiver<Occurrence>) {
        while let Some(occurrence) = incoming.recv().await {
            let decision = self.correlator.decide(&occurrence);
            for attempt in 0..TRIES {
                match self.write(&occurrence, &decision).await {
                    Ok(()) => break,
                    Err(error) if error.is_unreachable() => {
                        let error = error.chain();
                        debug!(error, attempt, "cannot write an event yet");
                        tokio::time::sleep(RETRY.delay(attempt)).await;
                    }
                    Err(error) => {
                        let (error, reason) = (error.chain(), &occurrence.reason);
                        debug!(error, %reason, "the server refuses an event");
                        break;
                    }
                }
            }
        }
    }

    async fn write(&mut self, occurrence: &Occurrence, decision: &Decision) -> Result<()> {
        match decision {
            Decision::Drop => Ok(()),
            Decision::Create { message } => self.create(occurrence, message).await,
            Decision::Count {
                name,
                count,
                message,
            } => {
                let patch = json!({"count": count, "lastTimestamp": rfc3339(occurrence.at), "message": message});
                let done = self
                    .client
                    .patch(
                        &EVENTS,
                        Some(namespace(occurrence)),
                        name,
                        &Patch::Merge(patch),
                    )
                    .await;
                match done {
                    // Events expire; then the count starts over.
                    Err(error) if error.is_not_found() => {
                        self.correlator.lost(occurrence, message);
                        self.create(occurrence, message).await
                    }
                    other => other.map(drop),
                }
            }
        }
    }

    async fn create(&mut self, occurrence: &Occurrence, message: &str) -> Result<()> {
        let name = format!(
            "{}.{:x}",
            occurrence.about.name,
            occurrence.at.as_nanosecond()
        );
        let body = self.body(occurrence, message, &name);
        let made = self
            .client
            .create(&EVENTS, Some(namespace(occurrence)), &body)
            .await?;
        self.correlator
            .created(occurrence, message, made.name().to_owned());
        Ok(())
    }

    fn body(&self, occurrence: &Occurrence, message: &str, name: &str) -> Value {
        let mut source = json!({"component": self.component});
        if let Some(map) = source.as_object_mut().filter(|_| !self.host.is_empty()) {
            map.insert("host".into(), self.host.as_str().into());
        }
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace(occurrence)},
            "involvedObject": occurrence.about.to_value(),
            "reason": occurrence.reason,
            "message": message,
            "source": source,
            "type": occurrence.kind.as_str(),
            "firstTimestamp": rfc3339(occurrence.at),
            "lastTimestamp": rfc3339(occurrence.at),
            "count": 1,
            "reportingComponent": self.component,
            "reportingInstance": self.host,
        })
    }
}

fn namespace(occurrence: &Occurrence) -> &str {
    match occurrence.about.namespace.as_str() {
        "" => "default",
        namespace => namespace,
    }
}
