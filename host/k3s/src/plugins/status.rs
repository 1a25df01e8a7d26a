//! What `kubectl get plugins` shows: the server keeps one read-only `Plugin` object per kind in step
//! with the plugin host. Written only when something changed, past the API's verbs, which know no
//! writes of this kind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::Clock;
use k3s_base::error::chain;
use k3s_client::{Client, EventRecorder, ObjectReference};
use k3s_lifecycle::{Tasks, sleep_opt};
use k3s_meta::tree;
use k3s_meta::user::UserInfo;
use k3s_plugin_host::{Health, Host, PluginStatus};
use k3s_registry::{
    Call, DeleteOptions, ListRequest, NoAdmission, Registry, Resource, Scope, Update, Warnings,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing::warn;

use super::reload::Swaps;

const GROUP: &str = "k3s.io";
const VERSION: &str = "v1alpha1";
const PLURAL: &str = "plugins";
/// Several changes in a moment (instances of one datastore, a trap and its restart) are one.
const SETTLE: Duration = Duration::from_millis(100);
/// A write that failed is tried again after this.
const RETRY: Duration = Duration::from_secs(5);

/// Events about plugins.
#[derive(Clone)]
pub(crate) struct PluginEvents(EventRecorder);

impl PluginEvents {
    pub(crate) fn new(client: Client, node: &str, clock: Clock, tasks: &Tasks) -> Self {
        Self(EventRecorder::new(
            client,
            "plugin-host",
            node,
            clock,
            tasks,
        ))
    }

    pub(crate) fn swapped(&self, kind: &str, message: &str) {
        self.0.normal(about(kind), "Replaced", message);
    }

    pub(crate) fn refused(&self, kind: &str, message: &str) {
        self.0.warning(about(kind), "NotReplaced", message);
    }

    fn quarantined(&self, kind: &str, message: &str) {
        self.0.warning(about(kind), "Quarantined", message);
    }

    fn recovered(&self, kind: &str) {
        self.0
            .normal(about(kind), "Recovered", "it may be called again");
    }
}

fn about(kind: &str) -> ObjectReference {
    ObjectReference {
        kind: "Plugin".to_owned(),
        api_version: format!("{GROUP}/{VERSION}"),
        name: kind.to_owned(),
        ..ObjectReference::default()
    }
}

/// What publishing needs.
pub(crate) struct Publisher {
    pub(crate) host: Host,
    pub(crate) registry: Registry,
    pub(crate) swaps: Swaps,
    pub(crate) events: PluginEvents,
    pub(crate) clock: Clock,
}

/// Keeps the objects in step until the tasks stop.
pub(crate) fn start(publisher: Publisher, tasks: &Tasks) {
    let changed = Arc::new(Notify::new());
    let wake = changed.clone();
    publisher.host.on_change(move || wake.notify_one());
    tasks.spawn_until_stopped("plugin status", run(publisher, changed));
}

async fn run(publisher: Publisher, changed: Arc<Notify>) {
    let mut shown: Option<BTreeMap<&'static str, Value>> = None;
    loop {
        let all = by_kind(&publisher.host.status(), publisher.clock.elapsed());
        let wanted: BTreeMap<&'static str, Value> = all
            .iter()
            .map(|(kind, plugin)| (*kind, plugin.object(publisher.swaps.reference_of(kind))))
            .collect();
        let mut again = all
            .values()
            .filter_map(|p| p.until)
            .min()
            .map(|until| until.saturating_sub(publisher.clock.elapsed()));
        if shown.as_ref() != Some(&wanted) {
            publisher.record_events(shown.as_ref(), &wanted);
            match publisher.write(&wanted).await {
                Ok(()) => shown = Some(wanted),
                Err(error) => {
                    warn!(
                        error = chain(&error),
                        "the plugins' status objects were not written"
                    );
                    again = Some(RETRY);
                }
            }
        }
        tokio::select! {
            () = changed.notified() => tokio::time::sleep(SETTLE).await,
            () = sleep_opt(again.map(|delay| delay + SETTLE)) => {}
        }
    }
}

/// One kind's plugin, of however many instances.
struct Shown {
    status: PluginStatus,
    health: &'static str,
    /// When its health changes by itself.
    until: Option<Duration>,
}

/// Instances of one component are one plugin: the worst health, all failures, the last error.
fn by_kind(all: &[PluginStatus], now: Duration) -> BTreeMap<&'static str, Shown> {
    let mut kinds: BTreeMap<&'static str, Shown> = BTreeMap::new();
    for status in all.iter().filter(|s| s.in_use) {
        let (health, until) = read(status.health, now);
        match kinds.get_mut(status.kind) {
            Some(shown) if shown.status.digest == status.digest => {
                shown.status.failures += status.failures;
                if !status.last_error.is_empty() {
                    shown.status.last_error.clone_from(&status.last_error);
                }
                if until.is_some() {
                    (shown.health, shown.until) = (health, until);
                }
            }
            // The one made last; the other is about to go.
            _ => {
                kinds.insert(
                    status.kind,
                    Shown {
                        status: status.clone(),
                        health,
                        until,
                    },
                );
            }
        }
    }
    kinds
}

fn read(health: Health, now: Duration) -> (&'static str, Option<Duration>) {
    match health {
        Health::Restarting(until) if until > now => ("Restarting", Some(until)),
        Health::Quarantined(until) if until > now => ("Quarantined", Some(until)),
        _ => ("Ready", None),
    }
}

impl Shown {
    fn object(&self, source: Option<String>) -> Value {
        let status = &self.status;
        let mut object = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Plugin",
            "metadata": {"name": status.kind},
            "spec": {"kind": status.kind, "source": source.unwrap_or_else(|| status.name.clone())},
            "status": {
                "name": status.description.name,
                "version": status.description.version,
                "digest": status.digest.to_string(),
                "health": self.health,
                "restarts": status.failures,
            },
        });
        if !status.last_error.is_empty() {
            tree::set(&mut object, "status.lastError", status.last_error.as_str());
        }
        object
    }
}

fn health_of<'a>(
    objects: Option<&'a BTreeMap<&'static str, Value>>,
    kind: &str,
) -> Option<&'a str> {
    tree::get(objects?.get(kind)?, "status.health")?.as_str()
}

impl Publisher {
    /// Events for what is news.
    fn record_events(
        &self,
        before: Option<&BTreeMap<&'static str, Value>>,
        now: &BTreeMap<&'static str, Value>,
    ) {
        for (kind, object) in now {
            match (health_of(before, kind), health_of(Some(now), kind)) {
                (old, Some("Quarantined")) if old != Some("Quarantined") => {
                    self.events
                        .quarantined(kind, tree::text(object, "status.lastError"));
                }
                (Some("Quarantined"), Some("Ready")) => self.events.recovered(kind),
                _ => {}
            }
        }
    }

    async fn write(&self, wanted: &BTreeMap<&'static str, Value>) -> k3s_registry::Result<()> {
        let resource = self.registry.resource(GROUP, VERSION, PLURAL)?.clone();
        let user = UserInfo::new("system:k3s-supervisor", ["system:masters"]);
        let call = Call {
            user: &user,
            dry_run: false,
            admission: &NoAdmission,
            warnings: &Warnings::default(),
        };
        for (kind, object) in wanted {
            self.put(&resource, kind, object, &call).await?;
        }
        let list = self
            .registry
            .list(&resource, &ListRequest::default())
            .await?;
        for entry in list.entries {
            let object = resource.decode(&entry)?;
            let name = k3s_meta::object::name(&object);
            if !wanted.contains_key(name) {
                self.registry
                    .delete(&resource, "", name, &DeleteOptions::default(), &call)
                    .await?;
            }
        }
        Ok(())
    }

    async fn put(
        &self,
        resource: &Arc<Resource>,
        name: &str,
        object: &Value,
        call: &Call<'_>,
    ) -> k3s_registry::Result<()> {
        let update = Update {
            resource,
            namespace: "",
            name,
            scope: Scope::Main,
            create_missing: true,
        };
        let make = |old: Option<&Value>| {
            let mut new = old.cloned().unwrap_or_else(|| object.clone());
            for part in ["spec", "status"] {
                tree::set(
                    &mut new,
                    part,
                    object.get(part).cloned().unwrap_or_default(),
                );
            }
            Ok(new)
        };
        self.registry.update(&update, call, make).await.map(drop)
    }
}
