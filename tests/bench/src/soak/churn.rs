//! Random use of a cluster: objects come and go, and the server is killed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k3s_base::Random;
use k3s_e2e::{SHELL, WEB_1, fixture};
use k3s_harness::Cluster;

use crate::row;
use crate::stats::{ms, percentile};

const NAMESPACE: &str = "soak";
const CONVERGED_WITHIN: Duration = Duration::from_secs(180);

/// What is made and removed, with how many of it there may be at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Pod,
    Deployment,
    Service,
    Ingress,
    Claim,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Deployment => "deployment",
            Self::Service => "service",
            Self::Ingress => "ingress",
            Self::Claim => "pvc",
        }
    }
}

const KINDS: [(Kind, usize); 5] = [
    (Kind::Pod, 6),
    (Kind::Deployment, 4),
    (Kind::Service, 8),
    (Kind::Ingress, 6),
    (Kind::Claim, 4),
];

/// The state of the use, and counts over all of it.
pub(super) struct Churn {
    random: Random,
    live: BTreeMap<Kind, Vec<String>>,
    made: u64,
    removed: u64,
    scaled: u64,
    /// From kill to `/readyz`.
    restarts: Vec<Duration>,
}

impl Churn {
    pub(super) fn new(random: Random) -> Self {
        Self {
            random,
            live: BTreeMap::new(),
            made: 0,
            removed: 0,
            scaled: 0,
            restarts: Vec::new(),
        }
    }

    /// Uses a namespace of its own for a time, waits until everything wanted is there, and removes all of it. One
    /// action in `kill_one_in` kills the server; 0 is never.
    pub(super) fn run(
        &mut self,
        cluster: &mut Cluster,
        time: Duration,
        kill_one_in: u64,
    ) -> Result<()> {
        cluster.kubectl(&["create", "namespace", NAMESPACE])?.ok()?;
        cluster.wait_for("the service account is there", CONVERGED_WITHIN, || {
            kubectl(cluster, &["get", "serviceaccount", "default"])
        })?;
        let end = Instant::now() + time;
        while Instant::now() < end {
            if kill_one_in > 0 && self.random.below(kill_one_in) == 0 {
                self.kill(cluster)?;
            } else {
                self.act(cluster)?;
            }
        }
        self.converged(cluster)?;
        self.live.clear();
        cluster
            .kubectl(&["delete", "namespace", NAMESPACE, "--timeout=110s"])?
            .ok()
            .context("remove everything")?;
        Ok(())
    }

    fn kill(&mut self, cluster: &mut Cluster) -> Result<()> {
        let start = Instant::now();
        cluster.kill_server()?;
        cluster.start_server()?;
        cluster.wait_until_ready()?;
        self.restarts.push(start.elapsed());
        Ok(())
    }

    fn act(&mut self, cluster: &Cluster) -> Result<()> {
        let (kind, most) = self.pick(&KINDS);
        let names = self.live.entry(kind).or_default();
        let count = names.len();
        match self.random.below(10) {
            0 if kind == Kind::Deployment && count > 0 => {
                let name = self.pick(&self.live[&kind]);
                let replicas = format!("--replicas={}", self.random.below(5));
                kubectl(cluster, &["scale", "deployment", &name, &replicas])?;
                self.scaled += 1;
            }
            1..6 if count < most => self.make(cluster, kind)?,
            _ if count > 0 => self.remove(cluster, kind)?,
            _ => self.make(cluster, kind)?,
        }
        Ok(())
    }

    fn pick<T: Clone>(&self, from: &[T]) -> T {
        let at = self.random.below(from.len() as u64);
        from[usize::try_from(at).unwrap_or_default()].clone()
    }

    fn make(&mut self, cluster: &Cluster, kind: Kind) -> Result<()> {
        let services = self.live.get(&Kind::Service).cloned().unwrap_or_default();
        let name = format!("{}-{}", kind.word(), self.made);
        let manifest = match kind {
            Kind::Pod => fixture!("soak-pod", NAME = name, IMAGE = SHELL),
            Kind::Claim => fixture!("soak-claim", NAME = name, IMAGE = SHELL),
            Kind::Deployment => {
                let replicas = 1 + self.random.below(3);
                fixture!(
                    "soak-deployment",
                    NAME = name,
                    REPLICAS = replicas,
                    IMAGE = WEB_1
                )
            }
            Kind::Service => {
                let kind = self.pick(&["ClusterIP", "NodePort", "LoadBalancer"]);
                // Two balancers of one port would conflict.
                let port = 8000 + self.made % 1000;
                fixture!("soak-service", NAME = name, TYPE = kind, PORT = port)
            }
            Kind::Ingress if services.is_empty() => return Ok(()),
            Kind::Ingress => {
                let service = self.pick(&services);
                fixture!("soak-ingress", NAME = name, SERVICE = service)
            }
        };
        let output = cluster.kubectl_with(&["-n", NAMESPACE, "create", "-f", "-"], Some(&manifest));
        output?.ok().with_context(|| format!("create {name}"))?;
        self.made += 1;
        self.live.entry(kind).or_default().push(name);
        Ok(())
    }

    fn remove(&mut self, cluster: &Cluster, kind: Kind) -> Result<()> {
        let names = self.live.entry(kind).or_default();
        let at = self.random.below(names.len() as u64);
        let name = names.swap_remove(usize::try_from(at)?);
        let mut objects = vec![format!("{}/{name}", kind.word())];
        if kind == Kind::Claim {
            objects.push(format!("pod/{name}"));
        }
        let mut words = vec!["delete", "--wait=false"];
        words.extend(objects.iter().map(String::as_str));
        kubectl(cluster, &words).with_context(|| format!("delete {name}"))?;
        self.removed += 1;
        Ok(())
    }

    /// What is wanted comes to be, whatever happened on the way.
    fn converged(&self, cluster: &Cluster) -> Result<()> {
        let wanted = |kind: Kind| self.live.get(&kind).into_iter().flatten();
        for name in wanted(Kind::Pod).chain(wanted(Kind::Claim)) {
            let pod = format!("pod/{name}");
            let wait = ["wait", "--for=condition=Ready", "--timeout=110s", &pod];
            kubectl(cluster, &wait).with_context(|| cluster.log_tail())?;
        }
        for name in wanted(Kind::Deployment) {
            let deployment = format!("deployment/{name}");
            let wait = ["rollout", "status", "--timeout=110s", &deployment];
            kubectl(cluster, &wait).with_context(|| cluster.log_tail())?;
        }
        cluster.wait_for("no other pod is there", CONVERGED_WITHIN, || {
            let pods = kubectl(cluster, &["get", "pods", "--no-headers"])?;
            let running = pods.lines().filter(|line| line.contains(" Running "));
            ensure!(running.count() == pods.lines().count(), "{pods}");
            Ok(())
        })
    }

    pub(super) fn report(&mut self) {
        row(
            "objects made, removed one by one",
            format!("{}, {}", self.made, self.removed),
        );
        row("Deployments scaled", self.scaled);
        row("kills of the server", self.restarts.len());
        if !self.restarts.is_empty() {
            let median = percentile(&mut self.restarts, 0.5);
            row("kill → `/readyz`, p50", ms(median));
            row("the same, slowest", ms(percentile(&mut self.restarts, 1.0)));
        }
    }
}

fn kubectl(cluster: &Cluster, words: &[&str]) -> Result<String> {
    let words: Vec<&str> = ["-n", NAMESPACE].iter().chain(words).copied().collect();
    cluster.kubectl(&words)?.ok()
}
