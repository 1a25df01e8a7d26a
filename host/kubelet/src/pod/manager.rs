//! Keeps the table of pods equal to what the API and the manifest directory say: admits, starts
//! workers, tells them of changes, finds orphans in the runtime and on disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k3s_client::{EventType, Informer, InformerEvent, Object};
use k3s_cri::v1;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::admit::{self, Node};
use super::model;
use super::qos::{self, Amounts, QosClass};
use super::static_pods::{self, Manifests};
use super::table::{Handle, Source};
use super::worker;
use crate::context::Ctx;
use crate::{labels, logs, volume};

/// Between looks for orphans; events and workers do the rest.
const HOUSEKEEPING: Duration = Duration::from_secs(300);
/// A runtime that cuts the event stream is asked again after this.
const RECONNECT: Duration = Duration::from_secs(1);

/// The informer of this node's pods.
pub(crate) fn informer(ctx: &Ctx) -> &Informer {
    &ctx.pod_objects
}

/// A worker ended: what was waiting for its place may go on.
pub(crate) fn readmit(ctx: &Ctx, _gone: &Handle) {
    ctx.resync.notify_one();
}

/// Gives the burstable class its share of the CPU.
pub(crate) fn balance(ctx: &Ctx) {
    let pods = ctx.pods.list();
    let sum = pods
        .iter()
        .map(|h| h.pod())
        .filter(|p| admit::counts(p) && qos::qos_class(p) == QosClass::Burstable)
        .fold(Amounts::default(), |sum, p| sum.plus(qos::pod_requests(&p)));
    ctx.cgroups.set_burstable_shares(sum.milli_cpu);
}

/// Starts the manager's tasks.
pub(crate) fn start(ctx: &Ctx) {
    ctx.tasks
        .spawn_until_stopped("pod manager", run(ctx.clone()));
    ctx.tasks
        .spawn_until_stopped("runtime events", follow_events(ctx.clone()));
}

async fn run(ctx: Ctx) {
    let mut subscription = ctx.pod_objects.subscribe();
    ctx.pod_objects.has_synced().await;
    // Admission needs the node's labels.
    while ctx.node.object().is_none() {
        if !ctx.tasks.sleep(Duration::from_millis(20)).await {
            return;
        }
    }
    let mut manifests = Manifests::open(&ctx.config);
    reconcile(&ctx, &manifests).await;
    ctx.node.set_pods_synced();
    housekeep(&ctx).await;
    loop {
        tokio::select! {
            event = subscription.next() => apply(&ctx, event, &manifests).await,
            () = ctx.resync.notified() => reconcile(&ctx, &manifests).await,
            () = manifests.changed() => reconcile(&ctx, &manifests).await,
            () = tokio::time::sleep(HOUSEKEEPING) => housekeep(&ctx).await,
        }
    }
}

async fn apply(ctx: &Ctx, event: InformerEvent, manifests: &Manifests) {
    if event.object().annotation(labels::CONFIG_MIRROR).is_some() {
        static_pods::sync_mirrors(ctx, manifests).await;
        return;
    }
    match event {
        InformerEvent::Added(object) => desire(ctx, &object),
        InformerEvent::Updated { old, new } => {
            if old.uid() != new.uid() {
                gone(ctx, old.uid());
            }
            desire(ctx, &new);
        }
        InformerEvent::Deleted(object) => gone(ctx, object.uid()),
    }
}

fn gone(ctx: &Ctx, uid: &str) {
    if let Some(handle) = ctx.pods.get(uid) {
        handle.remove();
    }
}

/// Brings the whole table to the present state, oldest pods first.
async fn reconcile(ctx: &Ctx, manifests: &Manifests) {
    let mut objects: Vec<Object> = ctx
        .pod_objects
        .list()
        .into_iter()
        .filter(|o| o.annotation(labels::CONFIG_MIRROR).is_none())
        .collect();
    objects.sort_by(|a, b| {
        a.meta()
            .creation_timestamp
            .cmp(&b.meta().creation_timestamp)
            .then_with(|| a.key().cmp(b.key()))
    });
    let files = manifests.read(&ctx.config);
    let wanted: HashSet<String> = objects
        .iter()
        .map(|o| o.uid().to_owned())
        .chain(files.iter().map(|p| model::uid(p).to_owned()))
        .collect();
    for handle in ctx.pods.list() {
        if handle.source != Source::Orphan && !wanted.contains(&handle.uid) && !handle.is_removed()
        {
            handle.remove();
        }
    }
    for pod in files {
        if ctx.pods.get(model::uid(&pod)).is_none() {
            take(ctx, Source::File, Arc::new(pod));
        }
    }
    for object in &objects {
        desire(ctx, object);
    }
    static_pods::sync_mirrors(ctx, manifests).await;
}

/// A pod of the API: known ones get the new state, others a worker.
fn desire(ctx: &Ctx, object: &Object) {
    let pod: Arc<Pod> = match object.decode() {
        Ok(pod) => Arc::new(pod),
        Err(error) => {
            tracing::error!(%error, pod = %object.key(), "pod cannot be read");
            return;
        }
    };
    match ctx.pods.get(object.uid()) {
        Some(handle) if handle.source == Source::Api => {
            let known = handle.pod().metadata.resource_version.clone();
            if known.as_deref() != Some(object.resource_version()) {
                handle.update(pod);
            }
        }
        // Being removed as an orphan; its worker's end brings us back here.
        Some(_) => {}
        None => take(ctx, Source::Api, pod),
    }
}

/// Admits the pod and starts its worker.
fn take(ctx: &Ctx, source: Source, pod: Arc<Pod>) {
    let handle = Arc::new(Handle::new(source, pod.clone()));
    let phase = pod
        .status
        .as_ref()
        .and_then(|s| s.phase.as_deref())
        .unwrap_or("Pending");
    // A pod that runs already was admitted by the process before.
    if phase == "Pending" && pod.metadata.deletion_timestamp.is_none() {
        let others = counted(ctx, &handle.uid);
        if let Some(rejection) = admit::admit(&pod, &admission_view(ctx, &others)) {
            ctx.events.pod(
                &pod,
                EventType::Warning,
                &rejection.reason,
                rejection.message.clone(),
            );
            *handle.rejection.lock() = Some(rejection);
        }
    }
    spawn(ctx, handle);
    balance(ctx);
}

fn spawn(ctx: &Ctx, handle: Arc<Handle>) {
    ctx.pods.insert(handle.clone());
    ctx.tasks
        .spawn("pod worker", worker::run(ctx.clone(), handle));
}

fn counted(ctx: &Ctx, except: &str) -> Vec<Arc<Pod>> {
    let others = ctx
        .pods
        .list()
        .into_iter()
        .filter(|h| h.uid != except && h.source != Source::Orphan);
    let active = others.filter(|h| {
        h.rejection.lock().is_none()
            && !matches!(h.status().phase.as_deref(), Some("Succeeded" | "Failed"))
    });
    active.map(|h| h.pod()).collect()
}

fn admission_view<'a>(ctx: &Ctx, others: &'a [Arc<Pod>]) -> Node<'a> {
    let machine = &ctx.node.machine;
    let disk = k3s_sys::volume::usage(&ctx.config.root_dir).map_or(0, |u| u.capacity_bytes);
    Node {
        labels: ctx
            .node
            .object()
            .map(|o| o.meta().labels.clone())
            .unwrap_or_default(),
        allocatable: Amounts {
            milli_cpu: machine.cpus * 1000,
            memory_bytes: machine.memory_bytes,
            ephemeral_bytes: i64::try_from(disk).unwrap_or(i64::MAX),
        },
        max_pods: usize::try_from(ctx.config.max_pods).unwrap_or(usize::MAX),
        features: ctx.features(),
        pressure: ctx.node.pressure(),
        others,
    }
}

/// Wakes the worker of every pod the runtime reports about. A lost stream means lost events, so all
/// workers look after a reconnect.
async fn follow_events(ctx: Ctx) {
    loop {
        match ctx.cri.events().await {
            Ok(mut events) => {
                ctx.pods.list().iter().for_each(|handle| handle.wake());
                loop {
                    match events.message().await {
                        Ok(Some(event)) => wake_for(&ctx, &event),
                        Ok(None) => break,
                        Err(status) => {
                            tracing::debug!(%status, "runtime event stream ended");
                            break;
                        }
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no runtime events");
                // A runtime of before CRI events (containerd 1.6): all that is left is to look.
                if error.code == k3s_cri::Code::Unimplemented {
                    ctx.pods.list().iter().for_each(|handle| handle.wake());
                }
            }
        }
        if !ctx.tasks.sleep(RECONNECT).await {
            return;
        }
    }
}

fn wake_for(ctx: &Ctx, event: &v1::ContainerEventResponse) {
    let sandbox = event.pod_sandbox_status.as_ref();
    let uid = sandbox
        .and_then(|s| s.metadata.as_ref().map(|m| m.uid.clone()))
        .or_else(|| sandbox.and_then(|s| s.labels.get(labels::POD_UID).cloned()))
        .or_else(|| {
            event
                .containers_statuses
                .iter()
                .find_map(|c| c.labels.get(labels::POD_UID).cloned())
        });
    match uid.filter(|uid| !uid.is_empty()) {
        Some(uid) => {
            if let Some(handle) = ctx.pods.get(&uid) {
                handle.wake();
            }
        }
        None => {
            let knows = |h: &Arc<Handle>| {
                let observed = h.observed();
                observed
                    .containers
                    .iter()
                    .any(|c| c.id == event.container_id)
                    || observed
                        .sandboxes
                        .iter()
                        .any(|s| s.id == event.container_id)
            };
            ctx.pods
                .list()
                .iter()
                .filter(|h| knows(h))
                .for_each(|h| h.wake());
        }
    }
}

/// Removes what belongs to no pod: containers, directories, cgroups, logs.
async fn housekeep(ctx: &Ctx) {
    let mut known: HashSet<String> = ctx.pods.list().iter().map(|h| h.uid.clone()).collect();
    match runtime_pods(ctx).await {
        Ok(pods) => {
            for (uid, pod) in pods {
                if known.insert(uid) {
                    tracing::info!(pod = %model::pod_key(&pod), "removing a pod that only the runtime knows");
                    spawn(ctx, Arc::new(Handle::new(Source::Orphan, Arc::new(pod))));
                }
            }
        }
        // Without the runtime's word nothing on disk is safe to remove.
        Err(error) => {
            tracing::debug!(%error, "orphans not looked for");
            return;
        }
    }
    for uid in ctx
        .cgroups
        .pod_uids()
        .into_iter()
        .filter(|uid| !known.contains(uid))
    {
        if let Err(error) = ctx.cgroups.remove_pod(&uid) {
            tracing::debug!(%error, uid, "orphaned cgroup not removed");
        }
    }
    let entries = std::fs::read_dir(ctx.config.root_dir.join("pods"))
        .into_iter()
        .flatten()
        .flatten();
    for entry in entries.filter(|e| !known.contains(&e.file_name().to_string_lossy().into_owned()))
    {
        if let Err(error) = volume::remove_pod_dir(&entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "orphaned pod directory not removed");
        }
    }
    logs::remove_orphans(&ctx.config, &known);
}

/// Pods as the runtime knows them: enough to stop and remove them.
async fn runtime_pods(ctx: &Ctx) -> Result<BTreeMap<String, Pod>, crate::cri::CriError> {
    let mut pods = BTreeMap::new();
    let sandboxes = ctx.cri.sandboxes(HashMap::new()).await?;
    let containers = ctx.cri.containers(HashMap::new()).await?;
    let all = sandboxes.iter().map(|s| (&s.labels, None)).chain(
        containers
            .iter()
            .map(|c| (&c.labels, c.annotations.get(labels::GRACE_PERIOD))),
    );
    for (pod_labels, grace) in all {
        let get = |key: &str| pod_labels.get(key).cloned();
        let Some(uid) = get(labels::POD_UID) else {
            continue;
        };
        let pod = pods.entry(uid.clone()).or_insert_with(|| Pod {
            metadata: ObjectMeta {
                name: get(labels::POD_NAME),
                namespace: get(labels::POD_NAMESPACE),
                uid: Some(uid),
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec::default()),
            status: None,
        });
        if let (Some(spec), Some(grace)) = (&mut pod.spec, grace.and_then(|g| g.parse().ok())) {
            spec.termination_grace_period_seconds = Some(grace);
        }
    }
    Ok(pods)
}
