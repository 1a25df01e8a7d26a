//! Keeps the set of pods equal to what the API and the manifest directory say: admits new pods,
//! starts their workers and notifies workers of changes.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_client::{Client, Error, EventType, Informer, InformerEvent, Object, resources};
use k3s_lifecycle::Tasks;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Notify;

use super::admit::{self, Node, Stated};
use super::handle::Source;
use super::housekeeping::Housekeeper;
use super::static_pods::{Manifests, MirrorPods};
use super::workers::PodWorkers;
use crate::config::KubeletConfig;
use crate::events::Events;
use crate::labels;
use crate::model::{self, Rejection};
use crate::node::state::NodeState;

/// Between searches for orphans; events and workers do the rest.
const HOUSEKEEPING: Duration = Duration::from_secs(300);
/// Until a pod is looked at again that could not be decided on.
const UNDECIDED: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct PodManager {
    pub(crate) config: Arc<KubeletConfig>,
    pub(crate) client: Client,
    pub(crate) events: Events,
    pub(crate) node: Arc<NodeState>,
    pub(crate) workers: Arc<PodWorkers>,
    pub(crate) mirrors: MirrorPods,
    pub(crate) housekeeper: Housekeeper,
    /// Pods bound to this node, mirrors among them.
    pub(crate) objects: Informer,
    /// Another part asks to compare the table with what should be there.
    pub(crate) resync: Arc<Notify>,
    pub(crate) tasks: Tasks,
}

impl PodManager {
    /// Starts the manager's task.
    pub(crate) fn start(self) {
        let tasks = self.tasks.clone();
        tasks.spawn_until_stopped("pod manager", self.run());
    }

    async fn run(self) {
        let mut subscription = self.objects.subscribe();
        self.objects.has_synced().await;
        // Admission needs the node's labels.
        self.node.registered().await;
        let mut manifests = Manifests::open(&self.config);
        self.reconcile(&manifests).await;
        self.node.set_pods_synced();
        self.housekeeper.clean_up().await;
        loop {
            // Once all pods are there: what changed may make room for a resize that waits.
            self.resize_pods().await;
            tokio::select! {
                event = subscription.next() => self.handle_event(event).await,
                () = self.resync.notified() => self.reconcile(&manifests).await,
                () = manifests.changed() => self.reconcile(&manifests).await,
                () = tokio::time::sleep(HOUSEKEEPING) => self.housekeeper.clean_up().await,
            }
        }
    }

    async fn handle_event(&self, event: InformerEvent) {
        if is_mirror(event.object()) {
            if !event.is_deleted() {
                self.mirrors.show_status(event.object());
            }
            self.mirrors.sync().await;
            return;
        }
        match event {
            InformerEvent::Added(object) => self.handle_pod_update(&object).await,
            InformerEvent::Updated { old, new } => {
                if old.uid() != new.uid() {
                    self.handle_pod_removal(old.uid());
                }
                self.handle_pod_update(&new).await;
            }
            InformerEvent::Deleted(object) => self.handle_pod_removal(object.uid()),
        }
    }

    fn handle_pod_removal(&self, uid: &str) {
        self.workers.table.forget_finished(uid);
        if let Some(handle) = self.workers.table.get(uid) {
            handle.remove();
        }
    }

    /// Brings the whole table to the present state, oldest pods first: they were admitted first.
    async fn reconcile(&self, manifests: &Manifests) {
        let mut objects = self.objects.list();
        objects.retain(|object| !is_mirror(object));
        objects.sort_by(by_age);
        let files = manifests.read(&self.config);
        self.remove_unwanted(&objects, &files);
        for pod in files {
            let known = self.workers.table.get(model::uid(&pod));
            if known.is_none() {
                self.admit_and_start(Source::File, Arc::new(pod)).await;
            }
        }
        for object in &objects {
            self.handle_pod_update(object).await;
        }
        self.mirrors.sync().await;
    }

    /// Ends the pods that their source does not have any more.
    fn remove_unwanted(&self, objects: &[Object], files: &[Pod]) {
        let of_api: HashSet<&str> = objects.iter().map(|object| object.uid()).collect();
        self.workers.table.retain_finished(&of_api);
        let of_files = files.iter().map(model::uid);
        let wanted: HashSet<&str> = of_api.into_iter().chain(of_files).collect();
        for handle in self.workers.table.list() {
            let is_orphan = handle.source == Source::Orphan;
            let is_known = is_orphan || wanted.contains(handle.uid.as_str());
            if !is_known && !handle.is_removed() {
                handle.remove();
            }
        }
    }

    /// A pod of the API: a known one gets the new state, another one a worker.
    async fn handle_pod_update(&self, object: &Object) {
        if self.workers.table.is_finished(object.uid()) {
            return;
        }
        match self.workers.table.get(object.uid()) {
            Some(handle) if handle.source == Source::Api => {
                // Compared before decoding: a resync brings every pod along, and few have changed.
                if handle.is_version(object.resource_version()) {
                    return;
                }
                match decode(object) {
                    // Decided first: the worker reports the generation that it is given.
                    Some(pod) if handle.is_active() && handle.is_resize(&pod) => {
                        self.resize_pod(&handle, &pod).await;
                    }
                    Some(pod) => handle.update_pod(pod),
                    None => {}
                }
            }
            // It is being removed as an orphan; its worker's end brings us back here.
            Some(_) => {}
            None => {
                if let Some(pod) = decode(object) {
                    self.admit_and_start(Source::Api, pod).await;
                }
            }
        }
    }

    /// Admits the pod and starts its worker; a refused pod gets one too, to write its status.
    async fn admit_and_start(&self, source: Source, pod: Arc<Pod>) {
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let is_pending = phase.unwrap_or("Pending") == "Pending";
        let is_deleting = pod.metadata.deletion_timestamp.is_some();
        // A pod that runs already was admitted by the process before.
        let rejection = if is_pending && !is_deleting {
            match self.admit(&pod).await {
                Ok(rejection) => rejection,
                Err(error) => return self.try_again(&pod, &error),
            }
        } else {
            None
        };
        self.workers.start(source, pod, rejection);
        self.workers.burstable.update();
    }

    async fn admit(&self, pod: &Pod) -> Result<Option<Rejection>, Error> {
        let rejection = self.decide(pod).await?;
        if let Some(rejection) = &rejection {
            let message = rejection.message.clone();
            self.events
                .pod(pod, EventType::Warning, &rejection.reason, message);
        }
        Ok(rejection)
    }

    /// Admits the pod, new or resized, by what is known of the node. A refusal that hangs on the Node needs the newest one:
    /// whoever placed the pod has seen a Node that this kubelet may not have seen yet
    /// (`generalFilter` of `pkg/kubelet/lifecycle/predicate.go`).
    ///
    /// # Errors
    /// When the Node cannot be read: nothing is decided then.
    pub(super) async fn decide(&self, pod: &Pod) -> Result<Option<Rejection>, Error> {
        let others = self.active_pods(model::uid(pod));
        let object = self.node.object();
        let known = object.as_ref().map(Stated::read).transpose()?;
        let known = known.unwrap_or_default();
        let node = self.node_for_admission(&known, &others);
        let mut rejection = admit::admit(pod, &node);
        if rejection.is_some() && admit::hangs_on_node(pod, &node) {
            let newest = Stated::read(&self.read_node().await?)?;
            rejection = admit::admit(pod, &self.node_for_admission(&newest, &others));
        }
        Ok(rejection)
    }

    async fn read_node(&self) -> Result<Object, Error> {
        let name = &self.config.node_name;
        let node = self.client.get(&resources::NODES, None, name).await?;
        self.node.set_object(node.clone());
        Ok(node)
    }

    /// Syncs the pods again after a while: one of them could not be decided on.
    pub(super) fn try_again(&self, pod: &Pod, error: &Error) {
        let pod = model::pod_key(pod);
        tracing::debug!(
            error = chain(error),
            pod,
            "the node cannot be read to admit a pod"
        );
        let resync = self.resync.clone();
        self.tasks.spawn_until_stopped("admission", async move {
            tokio::time::sleep(UNDECIDED).await;
            resync.notify_one();
        });
    }

    fn node_for_admission<'a>(&'a self, stated: &'a Stated, others: &'a [Arc<Pod>]) -> Node<'a> {
        let max_pods = usize::try_from(self.config.max_pods);
        Node {
            name: &self.config.node_name,
            stated,
            allocatable: self.node.allocatable(),
            max_pods: max_pods.unwrap_or(usize::MAX),
            features: self.node.features(),
            pressure: self.node.pressure(),
            others,
        }
    }

    /// The pods that count against the node, without the one in question.
    fn active_pods(&self, except: &str) -> Vec<Arc<Pod>> {
        let mut handles = self.workers.table.list();
        handles.retain(|handle| {
            let is_other = handle.uid != except;
            let is_orphan = handle.source == Source::Orphan;
            is_other && !is_orphan && handle.is_active()
        });
        let pods = handles.iter().map(|handle| handle.pod());
        pods.collect()
    }
}

fn by_age(a: &Object, b: &Object) -> Ordering {
    let created = |object: &Object| object.meta().creation_timestamp.clone();
    let by_creation = created(a).cmp(&created(b));
    by_creation.then_with(|| a.key().cmp(b.key()))
}

fn is_mirror(object: &Object) -> bool {
    object.annotation(labels::CONFIG_MIRROR).is_some()
}

/// A pod that cannot be read is left alone: the API has validated it, so that this is a version
/// this node does not understand.
fn decode(object: &Object) -> Option<Arc<Pod>> {
    match object.decode() {
        Ok(pod) => Some(Arc::new(pod)),
        Err(error) => {
            tracing::error!(error = chain(&error), pod = %object.key(), "pod cannot be read");
            None
        }
    }
}
