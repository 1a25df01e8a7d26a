//! Stages of the process: each has a group of tasks and a time to stop in. They stop from the last to
//! the first, since each needs those before it.

use std::time::Duration;

use futures_util::future::{FutureExt, select_all};
use k3s_lifecycle::Tasks;

/// What is known of a stage before it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    /// As it is named in messages.
    pub(crate) name: &'static str,
    /// How long its tasks may take to stop; all stages together stay below the 10 s that a user waits.
    pub(crate) stop_within: Duration,
}

/// The stages that have started.
#[derive(Default)]
pub(crate) struct Stages(Vec<(Stage, Tasks)>);

impl Stages {
    /// Begins a stage, and gives the group that its tasks run in.
    pub(crate) fn begin(&mut self, stage: Stage) -> Tasks {
        let tasks = Tasks::root(stage.name);
        self.0.push((stage, tasks.clone()));
        tasks
    }

    /// Stops all stages, the last one first.
    pub(crate) async fn stop(&self) {
        for (stage, tasks) in self.0.iter().rev() {
            tasks.stop(stage.stop_within).await;
        }
    }

    /// The name of the first stage in which a task panics. Never resolves where there is no stage.
    pub(crate) async fn first_failure(&self) -> &'static str {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        let failures = self.0.iter().map(|(stage, tasks)| {
            let name = stage.name;
            tasks.failed().cancelled_owned().map(move |()| name).boxed()
        });
        let (name, _, _) = select_all(failures).await;
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP_WITHIN: Duration = Duration::from_secs(5);

    fn stage(name: &'static str) -> Stage {
        Stage {
            name,
            stop_within: STOP_WITHIN,
        }
    }

    #[tokio::test]
    async fn stages_stop_from_the_last_to_the_first() {
        let mut stages = Stages::default();
        let (stopped, mut order) = tokio::sync::mpsc::unbounded_channel();
        for name in ["first", "second"] {
            let (tasks, stopped) = (stages.begin(stage(name)), stopped.clone());
            let stopping = tasks.stopping();
            tasks.spawn("waits", async move {
                stopping.cancelled().await;
                stopped.send(name).unwrap();
            });
        }
        stages.stop().await;
        assert_eq!(order.recv().await, Some("second"));
        assert_eq!(order.recv().await, Some("first"));
    }

    #[tokio::test]
    async fn a_panic_names_its_stage() {
        let mut stages = Stages::default();
        stages.begin(stage("first"));
        let tasks = stages.begin(stage("second"));
        tasks.spawn("bad", async { panic!("on purpose") });
        assert_eq!(stages.first_failure().await, "second");
    }
}
