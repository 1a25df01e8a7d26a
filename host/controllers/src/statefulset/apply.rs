//! One pass over a set.

use std::collections::BTreeSet;
use std::time::Duration;

use k3s_client::resources::{PODS, STATEFUL_SETS};
use k3s_client::{DeleteParams, Object, Patch, uid_is};
use k3s_reconcile::{Error, Outcome};

use super::StatefulSetController;
use super::model::{Member, StatefulSet};
use super::plan::{Observed, Step, Version, plan};
use super::revision::Revisions;
use super::{pod, status};
use crate::common::{time, write};

impl StatefulSetController {
    pub(super) async fn pass(
        &self,
        owner: &StatefulSet,
        mut members: Vec<Member>,
        history: Vec<Object>,
    ) -> Result<Outcome, Error> {
        let revisions = self.revisions(owner, history, &members).await?;
        let mut acted = Ok(());
        let mut held = None;
        if !owner.object.is_deleting() {
            let blocked = self.blocked(owner, &members);
            let observed = Observed {
                range: owner.range(),
                ordered: owner.ordered,
                strategy: owner.strategy,
                update: &revisions.update.name,
                members: &members,
                blocked: &blocked,
            };
            let mut steps = plan(&observed);
            held = self.hold_back(owner, &mut steps);
            let mut made = Vec::new();
            acted = self.perform(owner, &revisions, steps, &mut made).await;
            let now = self.clock.now();
            let made = made
                .into_iter()
                .filter_map(|pod| Member::read(owner, pod, now));
            members.extend(made);
        }
        let status = status::status(owner, &revisions, &members);
        write::status(&self.client, &STATEFUL_SETS, &owner.object, status).await?;
        acted?;
        let next = members
            .iter()
            .filter_map(|member| member.available_in)
            .chain(held)
            .min();
        match next {
            Some(next) => Ok(Outcome::After(next)),
            None => Ok(Outcome::Done),
        }
    }

    /// A Pod that keeps ending is deleted, and so made again, later each time. Returns when the next one
    /// is due.
    fn hold_back(&self, owner: &StatefulSet, steps: &mut Vec<Step<'_>>) -> Option<Duration> {
        let mut next = None;
        steps.retain(|step| {
            let Step::Recreate(member) = step else {
                return true;
            };
            let key = format!("{} {}", owner.object.uid(), member.ordinal);
            if let Some(left) = self.failures.wait(&key) {
                next = Some(time::sooner(next, left));
                return false;
            }
            self.failures.failed(&key);
            true
        });
        next
    }

    /// Places without a Pod whose old claims are not gone yet.
    fn blocked(&self, owner: &StatefulSet, members: &[Member]) -> BTreeSet<i64> {
        let mut blocked = BTreeSet::new();
        for ordinal in owner.range() {
            let is_taken = members.iter().any(|member| member.ordinal == ordinal);
            if !is_taken && self.has_stale_claim(owner, ordinal) {
                blocked.insert(ordinal);
            }
        }
        blocked
    }

    /// Takes the steps; an ordered set stops at the first failure, the others go on to the end and
    /// report the first one.
    async fn perform(
        &self,
        owner: &StatefulSet,
        revisions: &Revisions,
        steps: Vec<Step<'_>>,
        made: &mut Vec<Object>,
    ) -> Result<(), Error> {
        let mut first = Ok(());
        for step in steps {
            let result = match step {
                Step::Create(ordinal, version) => self
                    .create(owner, revisions, ordinal, version)
                    .await
                    .map(|pod| made.extend(pod)),
                Step::Recreate(member) => self.recreate(owner, member).await,
                Step::Keep(member) => self.keep(owner, member).await,
                Step::Delete(member) => self.remove(owner, member).await,
            };
            if result.is_err() && owner.ordered {
                return result;
            }
            first = first.and(result);
        }
        first
    }

    /// Nothing where the Pod is there already: the cache will say so soon.
    async fn create(
        &self,
        owner: &StatefulSet,
        revisions: &Revisions,
        ordinal: i64,
        version: Version,
    ) -> Result<Option<Object>, Error> {
        self.ensure_claims(owner, ordinal).await?;
        let revision = match version {
            Version::Current => &revisions.current,
            Version::Update => &revisions.update,
        };
        let body = pod::build(owner, ordinal, &revision.name, &revision.template);
        let name = owner.pod_name(ordinal);
        let set = owner.object.name();
        let created = self.client.create(&PODS, owner.object.ns(), &body).await;
        match created {
            Ok(made) => {
                let message = format!("create Pod {name} in StatefulSet {set} successful");
                self.recorder
                    .normal(&*owner.object, "SuccessfulCreate", message);
                Ok(Some(made))
            }
            Err(error) if error.is_already_exists() => Ok(None),
            Err(error) if error.is_namespace_terminating() => Ok(None),
            Err(error) => {
                let message =
                    format!("create Pod {name} in StatefulSet {set} failed error: {error}");
                self.recorder
                    .warning(&*owner.object, "FailedCreate", message);
                Err(error.into())
            }
        }
    }

    async fn recreate(&self, owner: &StatefulSet, member: &Member) -> Result<(), Error> {
        let failed = crate::common::pod::of(&member.object).status.phase == "Failed";
        let (reason, word) = if failed {
            ("RecreatingFailedPod", "failed")
        } else {
            ("RecreatingTerminatedPod", "terminated")
        };
        let message = format!(
            "StatefulSet {} is recreating {word} Pod {}",
            owner.object.key(),
            member.object.name()
        );
        self.recorder.warning(&*owner.object, reason, message);
        self.delete(owner, member).await
    }

    /// A Pod outside the range takes its claims with it, where the set says so.
    async fn remove(&self, owner: &StatefulSet, member: &Member) -> Result<(), Error> {
        if !owner.range().contains(&member.ordinal) {
            self.fix_owners(owner, member).await?;
        }
        self.delete(owner, member).await
    }

    async fn delete(&self, owner: &StatefulSet, member: &Member) -> Result<(), Error> {
        let (name, set) = (member.object.name(), owner.object.name());
        let params = DeleteParams::default().preconditions(uid_is(member.object.uid()));
        match self
            .client
            .delete(&PODS, member.object.ns(), name, &params)
            .await
        {
            Ok(_) => {
                let message = format!("delete Pod {name} in StatefulSet {set} successful");
                self.recorder
                    .normal(&*owner.object, "SuccessfulDelete", message);
                Ok(())
            }
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => {
                let message =
                    format!("delete Pod {name} in StatefulSet {set} failed error: {error}");
                self.recorder
                    .warning(&*owner.object, "FailedDelete", message);
                Err(error.into())
            }
        }
    }

    async fn keep(&self, owner: &StatefulSet, member: &Member) -> Result<(), Error> {
        // A Pod may wait for a claim that was deleted.
        if !crate::common::pod::of(&member.object).is_scheduled() {
            self.ensure_claims(owner, member.ordinal).await?;
        }
        self.fix_owners(owner, member).await?;
        let Some(patch) = pod::restored(owner, member) else {
            return Ok(());
        };
        match self
            .client
            .patch(
                &PODS,
                member.object.ns(),
                member.object.name(),
                &Patch::Strategic(patch),
            )
            .await
        {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error.into()),
            _ => Ok(()),
        }
    }
}
