//! Job: Pods that run to an end, counted exactly once.
//!
//! A Pod of a Job carries a finalizer until its end stands in the Job's status, so that a Pod that
//! is deleted is not lost to the count: first the UID is written down (`uncountedTerminatedPods`),
//! then the finalizer goes, then the UID becomes a number ([`account`]). Upstream: `pkg/controller/job`.
//!
//! With `backoffLimitPerIndex` the failures of an index stand on its Pods: a failed one is kept until its
//! replacement has taken them over.

mod account;
mod apply;
mod index;
mod model;
mod plan;
mod pods;
mod policy;
mod status;
mod strip;
mod success;

use std::sync::Arc;

use k3s_client::informer::BY_OWNER;
use k3s_client::resources::{JOBS, PODS};
use k3s_client::{Client, EventRecorder, Expectations, Informer, InformerEvent, Obj, key};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::common::controller_ref::ControllerRefManager;
use crate::common::selector;
use crate::context::Context;
use crate::replicaset::{ORPHANS, orphans};
use model::{FINALIZER, Job};

const NAME_LABEL: &str = "batch.kubernetes.io/job-name";

struct JobController {
    client: Client,
    clock: k3s_base::Clock,
    recorder: EventRecorder,
    expectations: Arc<Expectations>,
    jobs: Informer,
    pods: Informer,
}

pub(crate) fn start(context: &Context) {
    let client = context.client("job-controller");
    let jobs = context.informers.all(&JOBS);
    let pods = context.informers.all(&PODS);
    pods.add_index(ORPHANS, orphans);
    let expectations = Arc::new(Expectations::new(context.clock()));
    let reconciler = JobController {
        recorder: context.recorder(&client, "job-controller"),
        client,
        clock: context.clock(),
        expectations: expectations.clone(),
        jobs: jobs.clone(),
        pods: pods.clone(),
    };
    Controller::new("job-controller")
        .workers(5)
        .watch_own(&jobs)
        .watch(&pods, move |event| pod_changed(event, &expectations))
        .run(reconciler, &context.statuses, &context.tasks);
}

/// The Job a Pod belongs to; one that lost its owner but kept the finalizer is found by its label.
fn job_of(pod: &Obj) -> Option<Key> {
    let Some(owner) = pod.controller() else {
        let name = pod.label(NAME_LABEL)?;
        if name.is_empty() {
            return None;
        }
        return Some(key(pod.namespace(), name));
    };
    let is_job = owner.kind == "Job" && owner.api_version == "batch/v1";
    if !is_job {
        return None;
    }
    Some(key(pod.namespace(), &owner.name))
}

fn pod_changed(event: &InformerEvent, expectations: &Expectations) -> Vec<Key> {
    let pod = event.object();
    let Some(job) = job_of(pod) else {
        return Vec::new();
    };
    if let InformerEvent::Added(_) = event {
        expectations.creation_observed(&job);
    }
    if event.is_deleted() || pod.is_deleting() || !pod.has_finalizer(FINALIZER) {
        expectations.deletion_observed(&job, pod.uid());
    }
    vec![job]
}

impl Reconciler for JobController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let cached = self.jobs.get(key);
        self.strip_strangers(key, cached.as_deref()).await?;
        let Some(object) = cached else {
            self.expectations.forget(key);
            return Ok(Outcome::Done);
        };
        let may_act = self.expectations.satisfied(key);
        let job = Job::read(&object);
        if job.managed_elsewhere() {
            return Ok(Outcome::Done);
        }
        let selector = selector::of(&object)?;
        if selector.is_empty() {
            return Ok(Outcome::Done);
        }
        let mut candidates = self.pods.by_index(BY_OWNER, object.uid());
        if !job.is_finished() {
            let orphans = self.pods.by_index(ORPHANS, object.namespace());
            candidates.extend(orphans);
        }
        let manager = ControllerRefManager {
            client: &self.client,
            owner: &object,
            owner_resource: &JOBS,
            selector: &selector,
            resource: &PODS,
            finalizer: Some(FINALIZER),
        };
        let pods = manager.claim(candidates).await?;
        self.pass(&job, pods, may_act).await
    }
}
