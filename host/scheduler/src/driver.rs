//! The task that runs cycles: informers in, decisions out.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_base::{Clock, Random};
use k3s_client::{Client, EventRecorder, InformerEvent, Informers, Obj, Subscription, resources};
use k3s_lifecycle::Tasks;
use k3s_meta::tree;
use tokio::sync::{Semaphore, mpsc};
use tracing::{error, info};

use crate::cache::Cache;
use crate::cycle::{Decision, decide};
use crate::effects::{Bound, Effects};
use crate::event::Event;
use crate::framework::{Profile, Refusers};
use crate::model::{Choice, NodeInfo, PodInfo, VolumeNeeds};
use crate::namespaces::Namespaces;
use crate::queue::Queue;
use crate::volumes::{Changes, Volumes};

/// Bindings under way at once; the cycle waits when all are taken, so that a slow API cannot pile
/// up assumptions without end.
pub const BINDINGS_IN_FLIGHT: usize = 64;
const NAME: &str = "default-scheduler";
const GATED: &str = "Scheduling is blocked due to non-empty scheduling gates";

/// What a scheduler needs.
#[derive(Debug)]
pub struct SchedulerConfig {
    /// Speaks as `system:kube-scheduler`.
    pub client: Client,
    /// Informers over the same client.
    pub informers: Informers,
    /// Time.
    pub clock: Clock,
    /// Picks among equally good nodes.
    pub random: Random,
    /// Plugins; [`crate::plugins::default_profile`] unless tests say otherwise.
    pub profile: Profile,
}

/// A running scheduler.
#[derive(Debug)]
pub struct Scheduler;

struct Driver {
    profile: Profile,
    cache: Cache,
    namespaces: Namespaces,
    queue: Queue,
    effects: Effects,
    random: Random,
    clock: Clock,
    tasks: Tasks,
    permits: Arc<Semaphore>,
    results: mpsc::Sender<(Arc<PodInfo>, Bound)>,
}

/// What the cycle hears of.
struct Watched {
    pods: Subscription,
    nodes: Subscription,
    namespaces: Subscription,
    storage: Changes,
}

impl Scheduler {
    /// Starts the scheduler's task; it works as soon as its informers have synced.
    pub fn start(config: SchedulerConfig, tasks: &Tasks) -> Self {
        let tasks = tasks.child("scheduler");
        let events = EventRecorder::new(
            config.client.clone(),
            NAME,
            "",
            config.clock.clone(),
            &tasks,
        );
        let volumes = Volumes::new(&config.informers);
        let effects = Effects {
            client: config.client,
            events,
            clock: config.clock.clone(),
            volumes,
        };
        // Every binding in flight holds a permit and sends once, so the channel never fills.
        let (results, finished) = mpsc::channel(BINDINGS_IN_FLIGHT);
        let driver = Driver {
            profile: config.profile,
            cache: Cache::default(),
            namespaces: Namespaces::default(),
            queue: Queue::default(),
            effects,
            random: config.random,
            clock: config.clock,
            tasks: tasks.clone(),
            permits: Arc::new(Semaphore::new(BINDINGS_IN_FLIGHT)),
            results,
        };
        let informers = config.informers;
        tasks.spawn_until_stopped(
            "cycle",
            async move { driver.run(&informers, finished).await },
        );
        Self
    }
}

impl Driver {
    async fn run(
        mut self,
        informers: &Informers,
        mut finished: mpsc::Receiver<(Arc<PodInfo>, Bound)>,
    ) {
        let (pods, nodes) = (
            informers.all(&resources::PODS),
            informers.all(&resources::NODES),
        );
        let namespaces = informers.all(&resources::NAMESPACES);
        pods.has_synced().await;
        nodes.has_synced().await;
        namespaces.has_synced().await;
        self.effects.volumes.have_synced().await;
        info!(
            pods = pods.len(),
            nodes = nodes.len(),
            "scheduler has synced"
        );
        let mut watched = Watched {
            pods: pods.subscribe(),
            nodes: nodes.subscribe(),
            namespaces: namespaces.subscribe(),
            storage: self.effects.volumes.changes(),
        };
        loop {
            self.absorb(&mut watched, &mut finished);
            if self.permits.available_permits() > 0
                && let Some(pod) = self.queue.pop(self.clock.elapsed())
            {
                self.schedule(pod).await;
                // Let bindings and informers have their turn in a long run of pods.
                tokio::task::yield_now().await;
                continue;
            }
            let pause = self
                .queue
                .next_due()
                .map(|due| due.saturating_sub(self.clock.elapsed()));
            tokio::select! {
                event = watched.pods.next() => self.on_pod(&event),
                event = watched.nodes.next() => self.on_node(&event),
                event = watched.namespaces.next() => self.on_namespace(&event),
                () = watched.storage.next() => self.on_storage(),
                Some((pod, bound)) = finished.recv() => self.on_bound(&pod, bound),
                () = sleep(pause) => {}
            }
        }
    }

    /// Everything that happened meanwhile, before the next decision.
    fn absorb(
        &mut self,
        watched: &mut Watched,
        finished: &mut mpsc::Receiver<(Arc<PodInfo>, Bound)>,
    ) {
        if watched.storage.drain() {
            self.on_storage();
        }
        while let Some(event) = watched.namespaces.try_next() {
            self.on_namespace(&event);
        }
        while let Some(event) = watched.nodes.try_next() {
            self.on_node(&event);
        }
        while let Some(event) = watched.pods.try_next() {
            self.on_pod(&event);
        }
        while let Ok((pod, bound)) = finished.try_recv() {
            self.on_bound(&pod, bound);
        }
    }

    fn on_storage(&mut self) {
        self.wake(Some(&Event::StorageChanged));
    }

    fn on_namespace(&mut self, event: &InformerEvent) {
        let namespace = event.object();
        if event.is_deleted() {
            return self.namespaces.remove(namespace.name());
        }
        let labels = &namespace.meta().labels;
        let event = self.namespaces.set(namespace.name(), labels);
        self.wake(event.as_ref());
    }

    fn on_node(&mut self, event: &InformerEvent) {
        if event.is_deleted() {
            let event = self.cache.remove_node(event.object().name());
            return self.wake(event.as_ref());
        }
        if let Some(node) = read(event.object(), NodeInfo::read) {
            let event = self.cache.set_node(node);
            self.wake(event.as_ref());
        }
    }

    fn on_pod(&mut self, event: &InformerEvent) {
        if let InformerEvent::Updated { old, new } = event
            && old.uid() != new.uid()
        {
            let left = self.cache.remove_pod(old.uid());
            self.wake(left.as_ref());
        }
        let object = event.object();
        if event.is_deleted() {
            self.queue.remove(object.key());
            let left = self.cache.remove_pod(object.uid());
            return self.wake(left.as_ref());
        }
        let Some(pod) = read(object, PodInfo::read).map(Arc::new) else {
            return;
        };
        let placed = self.cache.set_pod(&pod);
        let to_place = pod.node_name.is_empty()
            && pod.scheduler_name == NAME
            && !pod.finished
            && !pod.deleting;
        if to_place {
            self.queue.set(pod, asks_anew(event));
        } else {
            self.queue.remove(&pod.key);
        }
        self.wake(placed.as_ref());
    }

    fn on_bound(&mut self, pod: &Arc<PodInfo>, bound: Bound) {
        match bound {
            // The bound pod comes back through the informer.
            Bound::Yes => {}
            Bound::Moot => {
                let now = self.clock.elapsed();
                self.queue.park(&pod.key, Refusers::new(), now);
                self.give_back(pod);
            }
            Bound::TryAgain => {
                self.queue.retry(&pod.key, self.clock.elapsed());
                self.give_back(pod);
            }
        }
    }

    /// What the pod was to take on its node is free for others.
    fn give_back(&mut self, pod: &PodInfo) {
        let left = self.cache.forget_assumed(&pod.uid);
        self.wake(left.as_ref());
    }

    fn wake(&mut self, event: Option<&Event>) {
        let Some(event) = event else { return };
        let (now, profile) = (self.clock.elapsed(), &self.profile);
        self.queue
            .wake(now, |pod, refusers| profile.may_help(refusers, pod, event));
    }

    async fn schedule(&mut self, pod: Arc<PodInfo>) {
        if !pod.gates.is_empty() {
            self.queue.gate(&pod.key);
            return self.effects.explain(&pod, "SchedulingGated", GATED).await;
        }
        let pod = self.namespaces.resolve(self.with_volumes(pod));
        match decide(&self.profile, &pod, self.cache.nodes(), self.random.unit()) {
            Decision::Nowhere(message, refusers) => {
                self.queue.park(&pod.key, refusers, self.clock.elapsed());
                self.effects.explain(&pod, "Unschedulable", &message).await;
            }
            Decision::Node(node) => {
                let choices = self.choices(&pod, &node);
                self.cache.assume(&pod, &node);
                if choices.is_empty() {
                    self.bind(pod, node).await;
                } else {
                    self.bind_with_volumes(pod, node, choices);
                }
            }
        }
    }

    /// The pod with what its claims ask for at this moment.
    fn with_volumes(&self, pod: Arc<PodInfo>) -> Arc<PodInfo> {
        if pod.volume_claims.is_empty() {
            return pod;
        }
        let volumes = VolumeNeeds::read(&pod, &self.effects.volumes);
        Arc::new(PodInfo {
            volumes,
            ..PodInfo::clone(&pod)
        })
    }

    fn choices(&self, pod: &PodInfo, node: &str) -> Vec<Choice> {
        let node = self.cache.nodes().iter().find(|n| n.name == node);
        node.and_then(|node| pod.volumes.choose(node).ok())
            .unwrap_or_default()
    }

    /// Volumes may take minutes to come, so a pod waits for them without a permit.
    fn bind_with_volumes(&self, pod: Arc<PodInfo>, node: String, choices: Vec<Choice>) {
        let (effects, results, permits) = (
            self.effects.clone(),
            self.results.clone(),
            self.permits.clone(),
        );
        self.tasks
            .spawn_until_stopped("bind with volumes", async move {
                let mut bound = Bound::TryAgain;
                if effects.bind_volumes(&pod, &node, &choices).await
                    && let Ok(_permit) = permits.acquire().await
                {
                    bound = effects.bind(&pod, &node).await;
                }
                let _ = results.send((pod, bound)).await;
            });
    }

    async fn bind(&self, pod: Arc<PodInfo>, node: String) {
        let Ok(permit) = self.permits.clone().acquire_owned().await else {
            return;
        };
        let (effects, results) = (self.effects.clone(), self.results.clone());
        self.tasks.spawn_until_stopped("bind", async move {
            let bound = effects.bind(&pod, &node).await;
            drop(permit);
            let _ = results.send((pod, bound)).await;
        });
    }
}

/// Whether a pod asks for something else than before: of its own object, scheduling depends on spec
/// and labels.
fn asks_anew(event: &InformerEvent) -> bool {
    let InformerEvent::Updated { old, new } = event else {
        return true;
    };
    let spec = |object| tree::get(object, "spec");
    old.meta().labels != new.meta().labels || spec(old.value()) != spec(new.value())
}

/// Reads an object; one that does not decode is logged and left alone.
fn read<T>(object: &Obj, how: fn(&Obj) -> Result<T, k3s_client::Error>) -> Option<T> {
    how(object)
        .map_err(|e| error!(key = %object.key(), error = chain(&e), "cannot read an object"))
        .ok()
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
