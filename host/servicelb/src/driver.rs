//! Follows the cluster, asks the balancer and sets the nodes' forwards; a controller beside it writes to
//! the API.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_base::{Backoff, BackoffPolicy, Clock, Random};
use k3s_client::{
    Client, EventRecorder, Informer, InformerEvent, Informers, Obj, Subscription, WorkQueue,
    resources,
};
use k3s_lifecycle::{Tasks, sleep_opt};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler, Statuses};

use crate::balancer::Balancer;
use crate::decide::next;
use crate::endpoints::{ready_nodes, service_of};
use crate::host_ports::{self, HostPorts, Loser};
use crate::inputs::Changes;
use crate::model::Assignment;
use crate::table::Table;
use crate::write::write;

/// Events come from this component; K3s' name for it.
const COMPONENT: &str = "service-lb-controller";
/// Calls are at least this far apart: a single change is passed at once, a burst in a few calls.
const SPACING: Duration = Duration::from_millis(10);
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(200),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 0.2,
};
/// Writes to one Service in one reconciliation; two are the most that are needed.
const STEPS: usize = 4;
const BY_SERVICE: &str = "service";

/// How nodes learn what they answer for.
pub trait NodeForwards: Send + Sync + 'static {
    /// From now on `node` answers for all ports of `service` (`namespace/name`) on these of its
    /// addresses; none takes it back. Must not block.
    fn set(&self, node: &str, service: &str, addresses: &[IpAddr]);
}

/// What serving needs.
pub struct ServeLoadBalancers {
    /// Who assigns.
    pub balancer: Arc<dyn Balancer>,
    /// With the identity of the cloud controller.
    pub client: Client,
    /// The same identity's informers.
    pub informers: Informers,
    /// Nodes.
    pub forwards: Arc<dyn NodeForwards>,
    /// For conditions and Events.
    pub clock: Clock,
    /// For the jitter of retries.
    pub random: Random,
}

/// Starts to serve LoadBalancer Services.
pub fn serve(config: ServeLoadBalancers, tasks: &Tasks) {
    let recorder = EventRecorder::new(
        config.client.clone(),
        COMPONENT,
        "",
        config.clock.clone(),
        tasks,
    );
    let services = config.informers.all(&resources::SERVICES);
    let slices = config.informers.all(&resources::ENDPOINT_SLICES);
    slices.add_index(BY_SERVICE, |slice| service_of(slice).into_iter().collect());
    let pods = config.informers.all(&resources::PODS);
    let table: Arc<Table> = Arc::default();
    let writer = Writer {
        client: config.client,
        services: services.clone(),
        table: table.clone(),
        recorder: recorder.clone(),
        clock: config.clock,
    };
    let controller = Controller::new(COMPONENT).watch_own(&services);
    let planner = Planner {
        balancer: config.balancer,
        nodes: config.informers.all(&resources::NODES),
        services,
        slices,
        host_ports: HostPorts::new(pods.clone()),
        pods,
        proposed: BTreeMap::new(),
        told: BTreeSet::new(),
        table,
        forwards: config.forwards,
        recorder,
        queue: controller.queue(),
        random: config.random,
        changed: Changed::default(),
    };
    tasks.spawn_until_stopped("load balancer", planner.run());
    controller.run(writer, &Statuses::default(), tasks);
}

/// What to pass on with the next call. Bounded by the number of objects.
#[derive(Default)]
struct Changed {
    services: BTreeSet<Key>,
    nodes: BTreeSet<Key>,
    /// Services whose endpoints changed.
    endpoints: BTreeSet<Key>,
}

struct Planner {
    balancer: Arc<dyn Balancer>,
    services: Informer,
    nodes: Informer,
    slices: Informer,
    pods: Informer,
    host_ports: HostPorts,
    /// What the balancer answered last, before ports of pods were taken from it.
    proposed: BTreeMap<Key, Assignment>,
    /// Pods whose authors were told that a Service has their port, and that Service.
    told: BTreeSet<(Key, Key)>,
    table: Arc<Table>,
    forwards: Arc<dyn NodeForwards>,
    recorder: EventRecorder,
    queue: WorkQueue<Key>,
    random: Random,
    changed: Changed,
}

struct Feeds {
    services: Subscription,
    nodes: Subscription,
    slices: Subscription,
    pods: Subscription,
}

impl Planner {
    async fn run(mut self) {
        let mut feeds = Feeds {
            services: self.services.subscribe(),
            nodes: self.nodes.subscribe(),
            slices: self.slices.subscribe(),
            pods: self.pods.subscribe(),
        };
        for informer in [&self.services, &self.nodes, &self.slices, &self.pods] {
            informer.has_synced().await;
        }
        let mut backoff = RETRY.start();
        let mut first = true;
        loop {
            self.drain(&mut feeds);
            let delay = self.update(&mut backoff).await;
            if delay.is_none() && std::mem::take(&mut first) {
                self.table.set_complete();
                for service in self.services.list() {
                    self.queue.add(service.key().clone());
                }
            }
            tokio::time::sleep(SPACING).await;
            self.wait(&mut feeds, delay).await;
        }
    }

    fn drain(&mut self, feeds: &mut Feeds) {
        while let Some(event) = feeds.services.try_next() {
            self.changed.service(&event);
        }
        while let Some(event) = feeds.nodes.try_next() {
            self.changed.node(&event);
        }
        while let Some(event) = feeds.slices.try_next() {
            self.changed.slice(&event);
        }
        while let Some(event) = feeds.pods.try_next() {
            self.pod_changed(&event);
        }
    }

    async fn wait(&mut self, feeds: &mut Feeds, delay: Option<Duration>) {
        tokio::select! {
            event = feeds.services.next() => self.changed.service(&event),
            event = feeds.nodes.next() => self.changed.node(&event),
            event = feeds.slices.next() => self.changed.slice(&event),
            event = feeds.pods.next() => self.pod_changed(&event),
            () = self.balancer.replaced() => {}
            () = sleep_opt(delay) => {}
        }
    }

    /// Passes on what changed and acts on the answer. Returns how long to wait before a retry.
    async fn update(&mut self, backoff: &mut Backoff) -> Option<Duration> {
        let changes = self.collect();
        for (key, object) in &changes.services {
            match object {
                None => self.forget(key),
                Some(object) if object.is_deleting() => self.withdraw(key),
                Some(_) => {}
            }
        }
        match self.balancer.update(changes).await {
            Ok(assignments) => {
                backoff.reset();
                for assignment in assignments {
                    self.apply(assignment);
                }
                None
            }
            Err(error) => {
                let (error, delay) = (chain(&error), backoff.next_delay(&self.random));
                tracing::warn!(error, ?delay, "load balancers stay as they are");
                Some(delay)
            }
        }
    }

    fn collect(&mut self) -> Changes {
        let Changed {
            services,
            nodes,
            endpoints,
        } = std::mem::take(&mut self.changed);
        let balancer = |key: &Key| self.services.get(key).filter(|s| is_balancer(s));
        let ready = services
            .union(&endpoints)
            .filter(|key| balancer(key).is_some());
        Changes {
            ready: ready
                .map(|key| (key.clone(), self.ready_nodes(key)))
                .collect(),
            services: services
                .iter()
                .map(|key| (key.clone(), balancer(key)))
                .collect(),
            nodes: nodes
                .into_iter()
                .map(|name| (name.clone(), self.nodes.get(&name)))
                .collect(),
        }
    }

    fn ready_nodes(&self, service: &str) -> BTreeSet<String> {
        let slices = self.slices.by_index(BY_SERVICE, service);
        slices.iter().flat_map(|slice| ready_nodes(slice)).collect()
    }

    /// A pod with host ports came or went: the Services that want one of them are assigned again.
    fn pod_changed(&mut self, event: &InformerEvent) {
        let pod = event.object();
        if event.is_deleted() {
            self.told.retain(|(told, _)| told != pod.key());
        }
        let concerned = |service: &&Key| {
            let object = self.services.get(service);
            object.is_some_and(|service| host_ports::concerns(pod, &service))
        };
        let services: Vec<Key> = self.proposed.keys().filter(concerned).cloned().collect();
        for service in services {
            if let Some(proposed) = self.proposed.get(&service).cloned() {
                self.apply(proposed);
            }
        }
    }

    /// A Service that was deleted, or is no longer a load balancer.
    fn forget(&mut self, service: &Key) {
        self.proposed.remove(service);
        self.told.retain(|(_, told)| told != service);
        if let Some(before) = self.table.last(service) {
            for forward in &before.forwards {
                self.forwards.set(&forward.node, service, &[]);
            }
            self.table.remove(service);
            self.queue.add(service.clone());
        }
    }

    /// On deletion, removes all forwards at once, whatever the balancer says and whether or not it
    /// answers, so that nothing is left when the finalizer is removed.
    fn withdraw(&mut self, service: &Key) {
        if let Some(before) = self.table.last(service) {
            self.apply(Assignment::clone(&before));
        }
    }

    /// Sets the nodes' forwards first, then wakes the writers.
    fn apply(&mut self, mut assignment: Assignment) {
        let service = assignment.service.clone();
        self.proposed.insert(service.clone(), assignment.clone());
        let object = self.services.get(&service);
        if let Some(object) = &object {
            let losers = self.host_ports.settle(&mut assignment, object);
            self.tell(&service, losers);
        }
        if object.as_ref().is_some_and(|object| object.is_deleting()) {
            assignment.forwards.clear();
        }
        let before = self.table.last(&service);
        self.set_forwards(before.as_deref(), &assignment);
        if let Some(object) = object {
            self.record_problems(&object, before.as_deref(), &assignment);
        }
        self.table.set(assignment);
        self.queue.add(service);
    }

    /// Tells authors of pods once that a Service has their port.
    fn tell(&mut self, service: &Key, losers: Vec<Loser>) {
        let now: BTreeSet<Key> = losers.iter().map(|loser| loser.pod.key().clone()).collect();
        self.told
            .retain(|(pod, told)| told != service || now.contains(pod));
        for Loser { pod, message } in losers {
            if self.told.insert((pod.key().clone(), service.clone())) {
                self.recorder
                    .warning(&*pod, host_ports::PORT_CONFLICT, message);
            }
        }
    }

    fn set_forwards(&self, before: Option<&Assignment>, assignment: &Assignment) {
        let (service, forwards) = (&assignment.service, &assignment.forwards);
        let had = before.map(|b| b.forwards.as_slice()).unwrap_or_default();
        for old in had {
            if !forwards.iter().any(|f| f.node == old.node) {
                self.forwards.set(&old.node, service, &[]);
            }
        }
        for forward in forwards {
            self.forwards
                .set(&forward.node, service, &forward.addresses);
        }
    }

    /// Events for problems that the last assignment did not have.
    fn record_problems(&self, object: &Obj, before: Option<&Assignment>, now: &Assignment) {
        let known = before.map(|b| b.problems.as_slice()).unwrap_or_default();
        for problem in now.problems.iter().filter(|p| !known.contains(p)) {
            self.recorder
                .warning(object, &problem.reason, &*problem.message);
        }
    }
}

impl Changed {
    fn service(&mut self, event: &InformerEvent) {
        self.services.insert(event.object().key().clone());
    }

    fn node(&mut self, event: &InformerEvent) {
        self.nodes.insert(event.object().key().clone());
    }

    fn slice(&mut self, event: &InformerEvent) {
        self.endpoints
            .extend(service_of(event.object()).map(Key::from));
        if let InformerEvent::Updated { old, .. } = event {
            self.endpoints.extend(service_of(old).map(Key::from));
        }
    }
}

struct Writer {
    client: Client,
    services: Informer,
    table: Arc<Table>,
    recorder: EventRecorder,
    clock: Clock,
}

impl Reconciler for Writer {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let (Some(mut service), Some(assignment)) = (self.services.get(key), self.table.get(key))
        else {
            return Ok(Outcome::Done);
        };
        let now = self.clock.now().to_string();
        let before = shown(&service);
        for _ in 0..STEPS {
            let Some(step) = next(service.value(), assignment.as_deref(), &now) else {
                break;
            };
            service = write(&self.client, &service, step).await?;
        }
        let after = shown(&service);
        if before != after && !service.is_deleting() {
            let list = after.join(", ");
            let text = format!("LoadBalancer Ingress IP addresses updated: {list}");
            self.recorder.normal(&*service, "UpdatedIngressIP", text);
        }
        Ok(Outcome::Done)
    }
}

/// The addresses in a Service's status.
fn shown(service: &Obj) -> Vec<String> {
    let list = tree::list(service.value(), "status.loadBalancer.ingress");
    list.iter()
        .filter_map(|entry| Some(entry.get("ip")?.as_str()?.to_owned()))
        .collect()
}

fn is_balancer(service: &Obj) -> bool {
    tree::text(service.value(), "spec.type") == "LoadBalancer"
}
