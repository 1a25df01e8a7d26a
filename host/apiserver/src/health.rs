//! `/livez`, `/readyz`, `/healthz`: named checks, shown in upstream's text form.
//!
//! Probes need no credential, so a check's result is used again for half a second: probing costs the
//! datastore at most two questions a second, however often a load balancer asks.

use std::error::Error;
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::Clock;
use k3s_base::error::chain;
use k3s_serve::BoxError;
use k3s_store::Store;
use tokio::sync::Mutex;

/// How long one result of a check is used.
const FRESH: Duration = Duration::from_millis(500);
/// How long a check may take (upstream's `etcd-healthcheck-timeout` and `etcd-readycheck-timeout`).
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a component is not well.
#[derive(Clone, Debug, thiserror::Error)]
enum Unhealthy {
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("the check failed")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
}

type CheckResult = Result<(), Unhealthy>;
type Checking = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// One named check of a component.
#[derive(Clone)]
pub struct HealthCheck {
    name: String,
    ready_only: bool,
    check: Arc<dyn Fn() -> Checking + Send + Sync>,
    /// The last result and when it came; locked while checking, so that only one request checks.
    last: Arc<Mutex<Option<(Duration, CheckResult)>>>,
}

impl HealthCheck {
    /// A check that counts for every probe. It fails after two seconds.
    pub fn new<F>(name: impl Into<String>, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self {
            name: name.into(),
            ready_only: false,
            check: Arc::new(move || Box::pin(check())),
            last: Arc::default(),
        }
    }

    /// The same check for `/readyz` alone: its failure does not mean that a restart would help.
    #[must_use]
    pub fn ready_only(mut self) -> Self {
        self.ready_only = true;
        self
    }

    /// The datastore answers. It has the names that upstream uses for its storage.
    pub(crate) fn datastore(store: &Store) -> [Self; 2] {
        let check = |name: &str| {
            let store = store.clone();
            Self::new(name, move || {
                let store = store.clone();
                async move { Ok(store.health().await?) }
            })
        };
        [check("etcd"), check("etcd-readiness").ready_only()]
    }

    /// The result of a moment ago, or of checking again.
    async fn run(&self, clock: &Clock) -> CheckResult {
        let mut last = self.last.lock().await;
        if let Some((at, result)) = &*last
            && clock.elapsed().saturating_sub(*at) < FRESH
        {
            return result.clone();
        }
        let result = match tokio::time::timeout(PATIENCE, (self.check)()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Unhealthy::Failed(error.into())),
            Err(_elapsed) => Err(Unhealthy::Late),
        };
        *last = Some((clock.elapsed(), result.clone()));
        result
    }
}

/// Which probe is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    Healthz,
    Livez,
    Readyz,
}

impl Probe {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Healthz => "healthz",
            Self::Livez => "livez",
            Self::Readyz => "readyz",
        }
    }
}

/// All checks of the server.
pub(crate) struct Health {
    checks: Vec<HealthCheck>,
    clock: Clock,
}

/// The answer to a probe.
pub(crate) struct Report {
    pub(crate) healthy: bool,
    pub(crate) text: String,
    /// False when a check was asked for by a name that does not exist.
    pub(crate) known: bool,
}

impl Health {
    /// The checks in the order in which they are shown, `ping` first.
    pub(crate) fn new(mut checks: Vec<HealthCheck>, clock: Clock) -> Self {
        checks.insert(0, HealthCheck::new("ping", || async { Ok(()) }));
        Self { checks, clock }
    }

    /// Runs the probe's checks, or the one named. Reasons are not shown, since probes need no
    /// credential: they are in the log, as upstream withholds them.
    pub(crate) async fn probe(
        &self,
        probe: Probe,
        only: Option<&str>,
        exclude: &[&str],
        verbose: bool,
    ) -> Report {
        let mut text = String::new();
        let mut healthy = true;
        let mut known = false;
        for check in &self.checks {
            if (check.ready_only && probe == Probe::Livez)
                || only.is_some_and(|name| name != check.name)
            {
                continue;
            }
            known = true;
            // Writing to a String cannot fail.
            let _ = if exclude.contains(&check.name.as_str()) {
                writeln!(text, "[+]{} excluded: ok", check.name)
            } else if let Err(error) = check.run(&self.clock).await {
                tracing::warn!(probe = probe.name(), check = %check.name, reason = %chain(&error), "health check failed");
                healthy = false;
                writeln!(text, "[-]{} failed: reason withheld", check.name)
            } else {
                writeln!(text, "[+]{} ok", check.name)
            };
        }
        if !healthy {
            let _ = writeln!(text, "{} check failed", probe.name());
        } else if verbose {
            let _ = writeln!(text, "{} check passed", probe.name());
        } else {
            "ok".clone_into(&mut text);
        }
        Report {
            healthy,
            text,
            known,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn clock() -> Clock {
        Clock::manual("2026-01-02T03:04:05Z".parse().unwrap())
    }

    #[tokio::test]
    async fn one_failure_shows_all_checks() {
        let cni = HealthCheck::new("cni", || async { Err("secret reason".into()) }).ready_only();
        let health = Health::new(
            vec![HealthCheck::new("etcd", || async { Ok(()) }), cni],
            clock(),
        );
        let report = health.probe(Probe::Readyz, None, &[], false).await;
        assert!(!report.healthy);
        assert_eq!(
            report.text,
            "[+]ping ok\n[+]etcd ok\n[-]cni failed: reason withheld\nreadyz check failed\n"
        );
        assert!(health.probe(Probe::Livez, None, &[], false).await.healthy);
        assert_eq!(
            health
                .probe(Probe::Readyz, None, &["cni"], false)
                .await
                .text,
            "ok"
        );
        assert!(
            !health
                .probe(Probe::Readyz, Some("nothing"), &[], false)
                .await
                .known
        );
    }

    #[tokio::test]
    async fn a_result_is_used_again_for_half_a_second() {
        let asked = Arc::new(AtomicU32::new(0));
        let seen = asked.clone();
        let check = HealthCheck::new("etcd", move || {
            let n = seen.fetch_add(1, Ordering::Relaxed);
            async move { if n == 0 { Ok(()) } else { Err("gone".into()) } }
        });
        let clock = clock();
        let health = Health::new(vec![check], clock.clone());
        for _ in 0..3 {
            assert!(health.probe(Probe::Readyz, None, &[], false).await.healthy);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        clock.advance(FRESH);
        assert!(!health.probe(Probe::Readyz, None, &[], false).await.healthy);
    }

    #[tokio::test]
    async fn a_check_that_hangs_has_failed() {
        let health = Health::new(
            vec![HealthCheck::new("etcd", std::future::pending)],
            clock(),
        );
        assert!(!health.probe(Probe::Livez, None, &[], false).await.healthy);
    }
}
