//! Starts the workers of pods and keeps the table of those that run (`podWorkers` of
//! `pkg/kubelet/pod_workers.go`).

use std::sync::Arc;

use k3s_client::{Client, Informer};
use k3s_lifecycle::Tasks;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::{Notify, watch};

use super::burstable::BurstableShares;
use super::handle::{PodHandle, Source, WorkerEnd, channel};
use super::perform::Performer;
use super::publish::Publisher;
use super::sync::PodSync;
use super::table::PodTable;
use super::worker::{Ended, PodWorker};
use super::writer::StatusWriter;
use crate::model::Rejection;
use crate::probe::prober::ProbeContext;
use crate::probe::probers::Probers;

/// See the module.
pub(crate) struct PodWorkers {
    pub(crate) table: Arc<PodTable>,
    pub(crate) performer: Arc<Performer>,
    pub(crate) burstable: Arc<BurstableShares>,
    pub(crate) probes: Arc<ProbeContext>,
    pub(crate) client: Client,
    /// Pods bound to this node, mirrors among them.
    pub(crate) objects: Informer,
    /// Prefix of container ids.
    pub(crate) runtime_name: Arc<str>,
    /// Asks the manager to compare the table with what should be there.
    pub(crate) resync: Arc<Notify>,
    pub(crate) tasks: Tasks,
}

impl PodWorkers {
    /// Starts the worker of a pod that is new on this node.
    pub(crate) fn start(&self, source: Source, pod: Arc<Pod>, rejection: Option<Rejection>) {
        let (handle, end) = channel(source, pod, rejection);
        let handle = Arc::new(handle);
        self.table.insert(handle.clone());
        self.tasks.spawn("pod worker", self.work(handle, end));
    }

    /// The task of one pod: its worker and the writer of its status.
    fn work(
        &self,
        handle: Arc<PodHandle>,
        end: WorkerEnd,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (updates, statuses) = watch::channel(Arc::default());
        let (written, versions) = watch::channel(0);
        let writer = self.writer(&end, written);
        let worker = self.worker(end, updates, versions);
        let table = self.table.clone();
        let resync = self.resync.clone();
        async move {
            // The writer ends once the worker has dropped its sender and the last status is written.
            let writing = writer.run(statuses);
            let (ended, ()) = tokio::join!(worker.run(), writing);
            if ended == Ended::PodRemoved {
                let finished = writer.delete_pod().await;
                if finished {
                    table.finish(&handle.uid);
                } else {
                    table.remove(&handle.uid);
                }
                // A pod that waits for this one's name or place may start now.
                resync.notify_one();
            }
        }
    }

    fn worker(
        &self,
        end: WorkerEnd,
        updates: watch::Sender<Arc<PodStatus>>,
        written: watch::Receiver<u64>,
    ) -> PodWorker {
        let desired = end.desired.clone();
        let relist = end.relist.clone();
        let random = self.performer.config.random.clone();
        let sync = self.sync(end, updates, written);
        PodWorker::new(sync, desired, relist, random, self.tasks.clone())
    }

    fn writer(&self, end: &WorkerEnd, written: watch::Sender<u64>) -> StatusWriter {
        StatusWriter {
            client: self.client.clone(),
            objects: self.objects.clone(),
            desired: end.desired.clone(),
            rewrite: end.rewrite.clone(),
            written,
            random: self.performer.config.random.clone(),
            tasks: self.tasks.clone(),
        }
    }

    fn sync(
        &self,
        end: WorkerEnd,
        updates: watch::Sender<Arc<PodStatus>>,
        written: watch::Receiver<u64>,
    ) -> PodSync {
        let probers = Probers::new(self.probes.clone(), end.published.subscribe());
        let publisher = Publisher {
            node: self.performer.containers.node.clone(),
            runtime_name: self.runtime_name.clone(),
            clock: self.performer.config.clock.clone(),
            published: end.published,
            updates,
            written,
        };
        let performer = self.performer.clone();
        let burstable = self.burstable.clone();
        PodSync::new(performer, burstable, probers, publisher, end.desired)
    }
}
