//! Kubernetes Events as a component writes them: counted, aggregated, and never in the way.
//!
//! The rules are client-go's (`tools/record/events_cache.go`): equal events raise a count, many
//! similar ones are combined, and one object's stream is limited. Writing happens in a task of its
//! own; when it cannot keep up, new events are dropped, since an event is news and not state.

mod correlate;
mod writer;

use std::sync::Arc;

use k3s_base::Clock;
use k3s_lifecycle::Tasks;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::client::Client;
use crate::object::Obj;

/// Events waiting for the writer; beyond this the newest is dropped (client-go's queue length).
const QUEUE_LENGTH: usize = 1000;

/// `Normal` or `Warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Something happened as intended.
    Normal,
    /// Something needs attention.
    Warning,
}

impl EventType {
    /// As the API spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What an event is about (`core/v1.ObjectReference`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectReference {
    /// Kind.
    pub kind: String,
    /// Group and version.
    pub api_version: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Resource version the writer had seen.
    pub resource_version: String,
    /// A part of the object, for instance `spec.containers{web}`.
    pub field_path: String,
}

impl From<&Obj> for ObjectReference {
    fn from(object: &Obj) -> Self {
        Self {
            kind: object.kind().to_owned(),
            api_version: object.api_version().to_owned(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            resource_version: object.resource_version().to_owned(),
            field_path: String::new(),
        }
    }
}

impl ObjectReference {
    /// The same object, narrowed to a part of it.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>) -> Self {
        self.field_path = path.into();
        self
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut value = json!({});
        let fields = [
            ("kind", &self.kind),
            ("apiVersion", &self.api_version),
            ("namespace", &self.namespace),
            ("name", &self.name),
            ("uid", &self.uid),
            ("resourceVersion", &self.resource_version),
            ("fieldPath", &self.field_path),
        ];
        if let Some(map) = value.as_object_mut() {
            for (name, text) in fields {
                if !text.is_empty() {
                    map.insert(name.into(), text.as_str().into());
                }
            }
        }
        value
    }
}

/// One event on its way to the writer.
#[derive(Clone, Debug)]
pub(crate) struct Occurrence {
    pub(crate) about: ObjectReference,
    pub(crate) kind: EventType,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) at: jiff::Timestamp,
}

/// Records events of one component. Cheap to clone; clones share the writer.
#[derive(Clone, Debug)]
pub struct EventRecorder {
    clock: Clock,
    queue: mpsc::Sender<Occurrence>,
    component: Arc<str>,
}

impl EventRecorder {
    /// A recorder that writes through `client` as `component` (for instance
    /// `deployment-controller`) on `host` (a node's name, or empty).
    #[must_use]
    pub fn new(client: Client, component: &str, host: &str, clock: Clock, tasks: &Tasks) -> Self {
        let (queue, incoming) = mpsc::channel(QUEUE_LENGTH);
        let writer = writer::Writer::new(client, component, host);
        tasks.spawn_until_stopped("event-writer", writer.run(incoming));
        Self {
            clock,
            queue,
            component: component.into(),
        }
    }

    /// Records an event about `about`; returns at once.
    pub fn event(
        &self,
        about: impl Into<ObjectReference>,
        kind: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        let occurrence = Occurrence {
            about: about.into(),
            kind,
            reason: reason.to_owned(),
            message: message.into(),
            at: self.clock.now(),
        };
        if self.queue.try_send(occurrence).is_err() {
            tracing::debug!(component = %self.component, reason, "event dropped: the writer is behind or stopped");
        }
    }

    /// [`EventRecorder::event`] of type `Normal`.
    pub fn normal(
        &self,
        about: impl Into<ObjectReference>,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.event(about, EventType::Normal, reason, message);
    }

    /// [`EventRecorder::event`] of type `Warning`.
    pub fn warning(
        &self,
        about: impl Into<ObjectReference>,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.event(about, EventType::Warning, reason, message);
    }
}
