//! One pass over a Deployment: decides by the pure parts, writes what differs.

use k3s_client::informer::BY_OWNER;
use k3s_client::resources::{DEPLOYMENTS, REPLICA_SETS};
use k3s_client::{DeleteParams, Object, uid_is};
use k3s_meta::{object, tree};
use k3s_reconcile::{Error, Outcome};

use super::DeploymentController;
use super::history;
use super::model::{DESIRED_REPLICAS, Deployment, MAX_REPLICAS, Set, Sets};
use super::new_set::Found;
use super::plan::{self, Resize};
use super::progress::{self, Counts, Phase};
use super::proportional;
use crate::common::pod;
use crate::common::write;

impl DeploymentController {
    pub(super) async fn roll(
        &self,
        deployment: &Deployment,
        objects: Vec<Object>,
    ) -> Result<Outcome, Error> {
        let sets = Sets::divide(deployment, &objects);
        if deployment.object.is_deleting() {
            return self.finish(deployment, &sets, Phase::Standing).await;
        }
        let is_scaling = proportional::is_scaling(deployment, &sets);
        if deployment.paused || is_scaling {
            return self.resize_all(deployment, sets).await;
        }
        if deployment.is_recreate() {
            return self.recreate(deployment, sets).await;
        }
        let found = self.ensure_new(deployment, sets, true).await?;
        let sets = match found {
            Found::Ready(sets) => sets,
            Found::Wrote => return Ok(Outcome::Done),
        };
        let steps = plan::rolling(deployment, &sets);
        self.resize(deployment, &sets, &steps).await?;
        self.clean_up(deployment, &sets).await?;
        self.finish(deployment, &sets, Phase::Rolling).await
    }

    /// A paused Deployment is scaled, but not rolled.
    async fn resize_all(&self, deployment: &Deployment, sets: Sets) -> Result<Outcome, Error> {
        let found = self.ensure_new(deployment, sets, false).await?;
        let sets = match found {
            Found::Ready(sets) => sets,
            Found::Wrote => return Ok(Outcome::Done),
        };
        let steps = proportional::scale(deployment, &sets);
        self.resize(deployment, &sets, &steps).await?;
        if deployment.paused {
            self.clean_up(deployment, &sets).await?;
        }
        self.finish(deployment, &sets, Phase::Standing).await
    }

    async fn recreate(&self, deployment: &Deployment, sets: Sets) -> Result<Outcome, Error> {
        let retired = plan::retire(&sets);
        let is_retiring = !retired.is_empty() || self.old_pods_run(&sets);
        if is_retiring {
            self.resize(deployment, &sets, &retired).await?;
            return self.finish(deployment, &sets, Phase::Rolling).await;
        }
        let found = self.ensure_new(deployment, sets, true).await?;
        let sets = match found {
            Found::Ready(sets) => sets,
            Found::Wrote => return Ok(Outcome::Done),
        };
        let mut steps = Vec::new();
        if let Some(new) = &sets.new
            && new.replicas != deployment.replicas
        {
            let up = Resize::new(new, deployment.replicas);
            steps.push(up);
        }
        self.resize(deployment, &sets, &steps).await?;
        self.clean_up(deployment, &sets).await?;
        self.finish(deployment, &sets, Phase::Rolling).await
    }

    fn old_pods_run(&self, sets: &Sets) -> bool {
        let pods = sets
            .old
            .iter()
            .flat_map(|set| self.pods.by_index(BY_OWNER, set.object.uid()));
        pods.into_iter()
            .any(|object| !pod::of(&object).is_terminal())
    }

    async fn resize(
        &self,
        deployment: &Deployment,
        sets: &Sets,
        steps: &[Resize],
    ) -> Result<(), Error> {
        for step in steps {
            let target = sets.all().find(|set| set.name() == step.name);
            if let Some(target) = target {
                self.resize_one(deployment, target, step.to).await?;
            }
        }
        // Sets that keep their size still learn the Deployment's, or every pass would look like a
        // change of it.
        for target in sets.all() {
            let is_active = target.replicas > 0;
            let has_step = steps.iter().any(|step| step.name == target.name());
            let knows_size = target.desired() == Some(deployment.replicas);
            if is_active && !has_step && !knows_size {
                self.resize_one(deployment, target, target.replicas).await?;
            }
        }
        Ok(())
    }

    async fn resize_one(
        &self,
        deployment: &Deployment,
        target: &Set,
        to: i64,
    ) -> Result<(), Error> {
        let mut value = target.object.value().clone();
        tree::set(&mut value, "spec.replicas", to);
        object::set_annotation(
            &mut value,
            DESIRED_REPLICAS,
            deployment.replicas.to_string(),
        );
        object::set_annotation(&mut value, MAX_REPLICAS, deployment.max_total().to_string());
        if value == *target.object.value() {
            return Ok(());
        }
        self.client
            .update(&REPLICA_SETS, target.object.ns(), &value)
            .await?;
        if to != target.replicas {
            let way = if to > target.replicas { "up" } else { "down" };
            let message = format!(
                "Scaled {way} replica set {} from {} to {to}",
                target.name(),
                target.replicas
            );
            self.recorder
                .normal(&*deployment.object, "ScalingReplicaSet", message);
        }
        Ok(())
    }

    async fn clean_up(&self, deployment: &Deployment, sets: &Sets) -> Result<(), Error> {
        // Only when a rollout is through: until then an old set may be rolled back to.
        let is_complete = Counts::observe(sets).complete(deployment);
        if !is_complete && !deployment.paused {
            return Ok(());
        }
        for old in history::surplus(deployment, sets) {
            let object = &old.object;
            let params = DeleteParams::background().preconditions(uid_is(object.uid()));
            let deleted = self
                .client
                .delete(&REPLICA_SETS, object.ns(), object.name(), &params)
                .await;
            match deleted {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn finish(
        &self,
        deployment: &Deployment,
        sets: &Sets,
        phase: Phase,
    ) -> Result<Outcome, Error> {
        let now = self.clock.now();
        let collisions = deployment.collisions();
        let status = progress::status(deployment, sets, phase, collisions, now);
        let wait = progress::wait(deployment, &status, now);
        write::status(&self.client, &DEPLOYMENTS, &deployment.object, status).await?;
        match wait {
            Some(wait) => Ok(Outcome::After(wait)),
            None => Ok(Outcome::Done),
        }
    }
}
