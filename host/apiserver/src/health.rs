//! `/livez`, `/readyz`, `/healthz`: named checks, shown in upstream's text form.

use std::fmt::Write;
use std::sync::Arc;

/// One named check of a component.
#[derive(Clone)]
pub struct HealthCheck {
    name: String,
    ready_only: bool,
    check: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl HealthCheck {
    /// A check that runs for every probe. It must be quick: it reads a state, it does no work.
    pub fn new(name: impl Into<String>, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { name: name.into(), ready_only: false, check: Arc::new(check) }
    }

    /// The same check for `/readyz` alone: its failure does not mean that a restart would help.
    #[must_use]
    pub fn ready_only(mut self) -> Self {
        self.ready_only = true;
        self
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
}

/// The answer of a probe.
pub(crate) struct Report {
    pub(crate) healthy: bool,
    pub(crate) text: String,
    /// False when a check was asked for by a name that does not exist.
    pub(crate) known: bool,
}

impl Health {
    pub(crate) fn new(mut checks: Vec<HealthCheck>) -> Self {
        checks.insert(0, HealthCheck::new("ping", || Ok(())));
        Self { checks }
    }

    /// Runs the probe's checks, or the one named. Reasons are not shown to whoever may ask: they
    /// are in the log, as upstream withholds them.
    pub(crate) fn probe(&self, probe: Probe, only: Option<&str>, exclude: &[&str], verbose: bool) -> Report {
        let mut text = String::new();
        let mut healthy = true;
        let mut known = false;
        for check in &self.checks {
            if (check.ready_only && probe == Probe::Livez) || only.is_some_and(|name| name != check.name) {
                continue;
            }
            known = true;
            // Writing to a String cannot fail.
            let _ = if exclude.contains(&check.name.as_str()) {
                writeln!(text, "[+]{} excluded: ok", check.name)
            } else if let Err(reason) = (check.check)() {
                tracing::warn!(probe = probe.name(), check = %check.name, %reason, "health check failed");
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
        Report { healthy, text, known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_shows_all_checks() {
        let cni = HealthCheck::new("cni", || Err("secret reason".to_owned())).ready_only();
        let health = Health::new(vec![HealthCheck::new("etcd", || Ok(())), cni]);
        let report = health.probe(Probe::Readyz, None, &[], false);
        assert!(!report.healthy);
        assert_eq!(report.text, "[+]ping ok\n[+]etcd ok\n[-]cni failed: reason withheld\nreadyz check failed\n");
        assert!(health.probe(Probe::Livez, None, &[], false).healthy);
        assert_eq!(health.probe(Probe::Readyz, None, &["cni"], false).text, "ok");
        assert!(!health.probe(Probe::Readyz, Some("nothing"), &[], false).known);
    }
}
