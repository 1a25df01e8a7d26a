//! One loop: objects and Secrets that changed → the plugin's decisions → a new route table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use k3s_base::error::chain;
use k3s_client::Informers;
use k3s_lifecycle::sleep_opt;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::feed::Feed;
use super::secrets::Secrets;
use super::status::{Report, StatusReporter};
use crate::compiler::{Compiled, Compiler};
use crate::config::EntryPoint;
use crate::model::{Change, NamespacedName, ObjectKey};
use crate::proxy::Proxy;
use crate::table::Table;
use crate::table::build::{Builder, Built};
use crate::tls::certs::Certificates;

/// Changes come in bursts; a table is made of those that come within this time.
const GATHER: Duration = Duration::from_millis(10);

/// What the loop works with.
pub(crate) struct Reload {
    pub(crate) compiler: Arc<dyn Compiler>,
    pub(crate) feed: Feed,
    pub(crate) informers: Informers,
    pub(crate) secrets: Secrets,
    pub(crate) builder: Builder,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) certificates: Arc<ArcSwap<Certificates>>,
    pub(crate) default_certificate: Arc<CertifiedKey>,
    pub(crate) entry_points: Vec<EntryPoint>,
    pub(crate) reporter: StatusReporter,
    /// Becomes true with the first table.
    pub(crate) ready: watch::Sender<bool>,
}

/// What a round is about.
#[derive(Default)]
struct Round {
    compile: bool,
    secrets: BTreeSet<NamespacedName>,
}

impl Reload {
    /// Runs without end.
    pub(crate) async fn run(self) {
        self.feed.synced(&self.informers).await;
        let mut built: BTreeMap<ObjectKey, Built> = BTreeMap::new();
        let mut round = Round {
            compile: true,
            ..Round::default()
        };
        loop {
            let retry = self.round(&mut built, round).await;
            round = self.next(retry).await;
        }
    }

    /// Waits for work, and a moment longer for more of it.
    async fn next(&self, retry: Option<Duration>) -> Round {
        let mut round = Round::default();
        tokio::select! {
            () = self.feed.changed() => round.compile = true,
            () = self.compiler.changed() => round.compile = true,
            () = sleep_opt(retry) => round.compile = true,
            secrets = self.secrets.changed() => round.secrets = secrets,
        }
        tokio::time::sleep(GATHER).await;
        round
    }

    /// One table. Returns when to retry after a failure.
    async fn round(
        &self,
        built: &mut BTreeMap<ObjectKey, Built>,
        round: Round,
    ) -> Option<Duration> {
        let mut retry = None;
        let mut changed = BTreeSet::new();
        if round.compile {
            match self.compiler.compile(self.feed.take_batch()).await {
                Ok(compiled) => changed = self.apply(built, compiled),
                Err(error) => {
                    // The table that is served stays as it is.
                    let (why, retry_after) = (chain(&error), error.retry_after);
                    tracing::warn!(why, ?retry_after, "no new route table");
                    self.proxy.metrics.reload_failed();
                    retry = Some(error.retry_after);
                }
            }
        }
        if !round.secrets.is_empty() {
            changed.extend(self.rebuild(built, &round.secrets));
        }
        if !changed.is_empty() || !*self.ready.borrow() {
            self.publish(built);
        }
        for key in changed {
            let report = built.get(&key).map(|built| Report {
                problems: built.problems.clone(),
                publish_address: built.outcome.publish_address,
            });
            self.reporter.report(key, report);
        }
        if retry.is_none() && self.secrets_are_known(built) {
            self.ready.send_replace(true);
        }
        retry
    }

    fn apply(
        &self,
        built: &mut BTreeMap<ObjectKey, Built>,
        compiled: Compiled,
    ) -> BTreeSet<ObjectKey> {
        let mut changed = BTreeSet::new();
        let mut named = BTreeSet::new();
        for change in compiled.changes {
            match change {
                Change::Put(outcome) => {
                    let key = outcome.key.clone();
                    let before = built.get(&key);
                    // A component that took over repeats what is true already.
                    if before.is_none_or(|before| before.outcome != outcome) {
                        let made = self.builder.build(outcome, before);
                        built.insert(key.clone(), made);
                        changed.insert(key.clone());
                    }
                    named.insert(key);
                }
                Change::Gone(key) => {
                    if built.remove(&key).is_some() {
                        changed.insert(key);
                    }
                }
            }
        }
        if compiled.complete {
            built.retain(|key, _| named.contains(key) || !changed.insert(key.clone()));
        }
        changed
    }

    /// Builds again what was built from these Secrets.
    fn rebuild(
        &self,
        built: &mut BTreeMap<ObjectKey, Built>,
        secrets: &BTreeSet<NamespacedName>,
    ) -> BTreeSet<ObjectKey> {
        let concerned = |(_, built): &(&ObjectKey, &Built)| !built.secrets.is_disjoint(secrets);
        let keys: BTreeSet<ObjectKey> = built
            .iter()
            .filter(concerned)
            .map(|(key, _)| key.clone())
            .collect();
        self.builder.forget_tls_clients();
        for key in &keys {
            if let Some(before) = built.remove(key) {
                let made = self.builder.build(before.outcome.clone(), Some(&before));
                built.insert(key.clone(), made);
            }
        }
        keys
    }

    fn publish(&self, built: &BTreeMap<ObjectKey, Built>) {
        let certificates = built.values().flat_map(|built| &built.certificates);
        let mut stores = built
            .values()
            .filter_map(|it| it.default_certificate.as_ref());
        let default = stores.next().map(|certificate| certificate.key.clone());
        let default = default.unwrap_or_else(|| self.default_certificate.clone());
        let certificates = Certificates::new(certificates, default);
        // Certificates first: a new route is never served with the wrong one.
        self.certificates.store(Arc::new(certificates));
        let http: Vec<_> = built
            .values()
            .flat_map(|built| built.http.iter().cloned())
            .collect();
        let tcp: Vec<_> = built
            .values()
            .flat_map(|built| built.tcp.iter().cloned())
            .collect();
        let table = Table::new(&self.entry_points, &http, &tcp);
        self.proxy.metrics.reloaded(table.routes);
        self.proxy.table.store(Arc::new(table));
        self.secrets.retain(
            &built
                .values()
                .flat_map(|built| built.secrets.iter().cloned())
                .collect(),
        );
    }

    /// Nothing is served before its Secrets were read once.
    fn secrets_are_known(&self, built: &BTreeMap<ObjectKey, Built>) -> bool {
        let mut secrets = built.values().flat_map(|built| &built.secrets);
        secrets.all(|name| !matches!(self.secrets.get(name), super::secrets::Lookup::Unknown))
    }
}
