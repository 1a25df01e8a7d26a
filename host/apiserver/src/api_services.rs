//! The APIServices of the groups and versions that this server serves itself: made for built-in ones when the
//! server starts, and kept for those of custom resources as long as they are served.
//!
//! Upstream: `kube-aggregator/pkg/controllers/autoregister` and
//! `pkg/controlplane/controller/crdregistration`. A label says which ones the server manages, and when; all
//! others are left alone.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use k3s_api::discovery::{self, Row, built_in};
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use k3s_meta::{object, tree};
use k3s_registry::mirror::{self, Reflector};
use k3s_registry::{
    Call, DeleteOptions, NoAdmission, Registry, Resource, Result, Scope, Update, Warnings,
};
use k3s_resources::apiextensions::CustomSet;
use k3s_store::{Entry, EventKind};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::custom::apiserver;

const GROUP: &str = "apiregistration.k8s.io";
const PLURAL: &str = "apiservices";
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// [`MANAGED`]: synced once, when the server starts; of built-in groups.
const ON_START: &str = "onstart";
/// [`MANAGED`]: synced whenever it differs; of custom resources.
const ALWAYS: &str = "true";
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(5);

/// Makes the stored APIServices what they should be, and keeps them so. `served` tells of changes of what
/// custom resources are served, which must be in place already.
pub(crate) async fn start(
    registry: &Registry,
    served: watch::Receiver<()>,
    tasks: &Tasks,
) -> Result<Priorities> {
    let resource = registry.resource(GROUP, "v1", PLURAL)?.clone();
    let (entries, reflector) = Reflector::start(registry, &resource)?;
    let mut services = ApiServices {
        registry: registry.clone(),
        resource,
        stored: BTreeMap::new(),
        priorities: Priorities::default(),
    };
    services.note(mirror::Update::Replaced(entries));
    services.sync(true).await?;
    let priorities = services.priorities.clone();
    tasks.spawn_until_stopped("api services", services.follow(reflector, served));
    Ok(priorities)
}

/// The priorities that were changed in APIServices, by the names of these. Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Priorities(Arc<RwLock<BTreeMap<String, (u32, u32)>>>);

impl Priorities {
    /// The row with the priorities that its APIService has.
    pub(crate) fn apply<'a>(&self, row: Row<'a>) -> Row<'a> {
        let changed = self.0.read();
        let own = (!changed.is_empty())
            .then(|| changed.get(&name(row.group, row.version)).copied())
            .flatten();
        let priorities = own.unwrap_or(row.priorities);
        Row { priorities, ..row }
    }

    /// Tells one state from another; empty while none is changed.
    pub(crate) fn tag(&self) -> String {
        let changed = self.0.read();
        if changed.is_empty() {
            return String::new();
        }
        let mut hasher = DefaultHasher::new();
        changed.hash(&mut hasher);
        format!("-{:016X}", hasher.finish())
    }

    fn take_from(&self, services: &BTreeMap<String, Value>) {
        let local = services
            .iter()
            .filter(|(_, service)| !tree::has(service, "spec.service"));
        let changed = local.filter_map(|(name, service)| {
            let usual = discovery::priorities(
                tree::text(service, "spec.group"),
                tree::text(service, "spec.version"),
            );
            let number = |path| u32::try_from(tree::int(service, path)?).ok();
            let own = (
                number("spec.groupPriorityMinimum")?,
                number("spec.versionPriority")?,
            );
            (own != usual).then(|| (name.clone(), own))
        });
        *self.0.write() = changed.collect();
    }
}

fn name(group: &str, version: &str) -> String {
    format!("{version}.{group}")
}

struct ApiServices {
    registry: Registry,
    resource: Arc<Resource>,
    stored: BTreeMap<String, Value>,
    priorities: Priorities,
}

/// One write.
#[derive(Debug, PartialEq)]
enum Step {
    Create(Value),
    /// The spec that an existing one should have.
    Change(String, Value),
    Delete(String),
}

impl ApiServices {
    async fn follow(mut self, mut reflector: Reflector, mut served: watch::Receiver<()>) {
        loop {
            let outcome = self.sync(false).await;
            if let Err(error) = &outcome {
                tracing::warn!(error = chain(error), "cannot register the APIs served here");
            }
            tokio::select! {
                update = reflector.next() => match update {
                    Some(update) => self.note(update),
                    None => return,
                },
                changed = served.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(RETRY), if outcome.is_err() => {}
            }
        }
    }

    fn note(&mut self, update: mirror::Update) {
        match update {
            mirror::Update::Replaced(entries) => {
                self.stored.clear();
                for entry in entries {
                    self.put(&entry);
                }
            }
            mirror::Update::Changed(events) => {
                for event in events {
                    match event.kind {
                        EventKind::Put { .. } => self.put(&event.entry),
                        EventKind::Delete => self.remove(&event.entry),
                    }
                }
            }
        }
        self.priorities.take_from(&self.stored);
    }

    fn put(&mut self, entry: &Entry) {
        let (_, name) = self.resource.name_in_key(&entry.key);
        match self.resource.decode(entry) {
            Ok(service) => drop(self.stored.insert(name.to_owned(), service)),
            Err(error) => {
                tracing::error!(error = chain(&error), key = %entry.key, "a stored APIService cannot be decoded; it is left alone");
            }
        }
    }

    fn remove(&mut self, entry: &Entry) {
        let (_, name) = self.resource.name_in_key(&entry.key);
        self.stored.remove(name);
    }

    async fn sync(&self, at_start: bool) -> Result<()> {
        let wanted = wanted(&CustomSet::of(self.registry.resources()));
        let steps = plan(&self.stored, wanted, at_start);
        // At once, so that they share commits: there are some two dozen on an empty disk.
        let outcomes = join_all(steps.into_iter().map(|step| self.write(step))).await;
        outcomes.into_iter().collect()
    }

    async fn write(&self, step: Step) -> Result<()> {
        let (user, warnings) = (apiserver(), Warnings::default());
        let call = Call {
            user: &user,
            dry_run: false,
            admission: &NoAdmission,
            warnings: &warnings,
        };
        let (registry, resource) = (&self.registry, &self.resource);
        let outcome = match step {
            Step::Create(service) => registry
                .create(resource, "", service, &call)
                .await
                .map(drop),
            Step::Change(name, spec) => {
                let update = Update {
                    resource,
                    namespace: "",
                    name: &name,
                    scope: Scope::Main,
                    create_missing: false,
                };
                let changed = |current: Option<&Value>| {
                    let mut service = current.cloned().unwrap_or_default();
                    tree::set(&mut service, "spec", spec.clone());
                    Ok(service)
                };
                registry.update(&update, &call, changed).await.map(drop)
            }
            Step::Delete(name) => registry
                .delete(resource, "", &name, &DeleteOptions::default(), &call)
                .await
                .map(drop),
        };
        match outcome {
            // Someone was faster; the change wakes this task.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            outcome => outcome,
        }
    }
}

/// What should be stored, by name. The group that APIServices are of has none, as upstream.
fn wanted(custom: &CustomSet) -> BTreeMap<String, Value> {
    let built_in = built_in().map(|row| (row.group, row.version, ON_START));
    let custom = custom.rows().map(|row| (row.group, row.version, ALWAYS));
    let all = built_in.chain(custom).filter(|(group, ..)| *group != GROUP);
    let named = all.map(|(group, version, managed)| {
        let service = local(group, version, managed);
        (object::name(&service).to_owned(), service)
    });
    named.collect()
}

fn local(group: &str, version: &str, managed: &str) -> Value {
    let (group_priority, version_priority) = discovery::priorities(group, version);
    let mut service = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name(group, version), "labels": {MANAGED: managed}},
        "spec": {
            "version": version,
            "groupPriorityMinimum": group_priority,
            "versionPriority": version_priority,
        },
    });
    if !group.is_empty() {
        tree::set(&mut service, "spec.group", group);
    }
    service
}

/// The writes that lead from `stored` to `wanted`, as upstream's table of `checkAPIService` has them.
fn plan(
    stored: &BTreeMap<String, Value>,
    mut wanted: BTreeMap<String, Value>,
    at_start: bool,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (name, service) in stored {
        let wanted = wanted.remove(name);
        if !is_due(service, at_start) {
            continue;
        }
        match wanted {
            None => steps.push(Step::Delete(name.clone())),
            Some(wanted) if !has_spec_of(service, &wanted) => {
                let spec = tree::get(&wanted, "spec").cloned().unwrap_or_default();
                steps.push(Step::Change(name.clone(), spec));
            }
            Some(_) => {}
        }
    }
    let missing = wanted.into_values();
    steps.extend(
        missing
            .filter(|service| is_due(service, at_start))
            .map(Step::Create),
    );
    steps
}

fn is_due(service: &Value, at_start: bool) -> bool {
    match object::label(service, MANAGED) {
        Some(ALWAYS) => true,
        Some(ON_START) => at_start,
        _ => false,
    }
}

fn has_spec_of(service: &Value, wanted: &Value) -> bool {
    let texts = ["spec.group", "spec.version"];
    let numbers = ["spec.groupPriorityMinimum", "spec.versionPriority"];
    texts
        .iter()
        .all(|path| tree::text(service, path) == tree::text(wanted, path))
        && numbers
            .iter()
            .all(|path| tree::int(service, path) == tree::int(wanted, path))
        && !tree::has(service, "spec.service")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Services by name, each with its label and the priority of its group.
    fn services(all: &[(&str, &str, i64)]) -> BTreeMap<String, Value> {
        let named = all.iter().map(|(group, managed, priority)| {
            let mut service = local(group, "v1", managed);
            tree::set(&mut service, "spec.groupPriorityMinimum", *priority);
            (format!("v1.{group}"), service)
        });
        named.collect()
    }

    /// What is done about the one service: `+`, `~`, `-` or nothing.
    fn done(stored: &[(&str, &str, i64)], wanted: &[(&str, &str, i64)], at_start: bool) -> String {
        let steps = plan(&services(stored), services(wanted), at_start);
        let signs = steps.iter().map(|step| match step {
            Step::Create(_) => '+',
            Step::Change(..) => '~',
            Step::Delete(_) => '-',
        });
        signs.collect()
    }

    #[test]
    fn a_service_is_synced_when_its_label_says() {
        let once = ("g", ON_START, 5);
        let always = ("g", ALWAYS, 5);
        let own = ("g", "", 7);
        for (stored, wanted, at_start, later) in [
            (None, Some(once), "+", ""),
            (None, Some(always), "+", "+"),
            (Some(own), Some(once), "", ""),
            (Some(own), Some(always), "", ""),
            (Some(own), None, "", ""),
            (Some(once), None, "-", ""),
            (Some(once), Some(once), "", ""),
            (Some(("g", ON_START, 7)), Some(once), "~", ""),
            (Some(always), None, "-", "-"),
            (Some(always), Some(always), "", ""),
            (Some(("g", ALWAYS, 7)), Some(always), "~", "~"),
        ] {
            for (start, want) in [(true, at_start), (false, later)] {
                let found = done(stored.as_slice(), wanted.as_slice(), start);
                assert_eq!(found, want, "{stored:?} {wanted:?} at the start: {start}");
            }
        }
    }

    #[test]
    fn the_core_group_has_no_name_and_custom_ones_come_last() {
        let core = local("", "v1", ON_START);
        assert_eq!(object::name(&core), "v1.");
        assert!(!tree::has(&core, "spec.group"));
        assert_eq!(tree::int(&core, "spec.groupPriorityMinimum"), Some(18_000));
        let custom = local("example.com", "v1", ALWAYS);
        assert_eq!(tree::int(&custom, "spec.groupPriorityMinimum"), Some(1000));
        assert_eq!(tree::int(&custom, "spec.versionPriority"), Some(100));
    }
}
