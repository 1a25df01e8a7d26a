//! Contract suites of the kinds, for components of others: `k3s plugin check`. What a kind's contract
//! promises is tried on a fake of the host's side, so that no node, no cluster and no privilege is needed.
//!
//! A suite tries each promise on an instance of its own, so that a plugin that breaks one is still held
//! against the others, and says in one sentence what the contract wanted.

use std::time::Duration;

use k3s_base::BackoffPolicy;
use k3s_plugin_host::{Host, Policy, Source};
use serde_json::{Map, Value};
use thiserror::Error;

/// One thing that the contract says, and whether the component keeps it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What was tried.
    pub name: &'static str,
    /// Why it does not hold.
    pub outcome: Result<(), String>,
}

/// Why a suite did not run.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The component is refused.
    #[error(transparent)]
    Load(#[from] k3s_plugin_host::LoadError),
    /// The kind has none.
    #[error("there is no contract suite for {0} plugins in this build")]
    NoSuite(String),
    /// No place for the fakes.
    #[error("make a temporary folder")]
    Folder(#[from] std::io::Error),
}

/// Whether a promise is kept; else why not.
pub(crate) type Verdict = Result<(), String>;

/// A component to try, as the operator would choose it.
#[derive(Clone, Copy)]
pub struct Tried<'a> {
    /// Where it is loaded.
    pub host: &'a Host,
    /// It.
    pub source: Source<'a>,
    /// The operator's settings, laid over what the server gives by itself.
    pub settings: &'a Map<String, Value>,
}

/// Runs the suite of a kind. Blocks at times: it needs a runtime with several threads.
///
/// # Errors
/// When it cannot be run; that a case fails is no error.
pub async fn run(kind: &str, tried: Tried<'_>) -> Result<Vec<Case>, CheckError> {
    match kind {
        "cni" => crate::cni::check::run(tried).await,
        "datastore" => crate::datastore::check::run(tried).await,
        "ingress" => tokio::task::block_in_place(|| crate::ingress::check::run(tried)),
        "load-balancer" => tokio::task::block_in_place(|| crate::load_balancer::check::run(tried)),
        "storage" => crate::storage::check::run(tried).await,
        other => Err(CheckError::NoSuite(other.to_owned())),
    }
}

impl Tried<'_> {
    /// The configuration: what the server gives, and the operator's settings over it.
    pub(crate) fn config(&self, given: Value) -> Vec<u8> {
        let mut all = given;
        if let Some(map) = all.as_object_mut() {
            map.extend(self.settings.clone());
        }
        all.to_string().into_bytes()
    }

    /// The same with a setting that no plugin knows.
    pub(crate) fn config_with_unknown(&self, mut given: Value) -> Vec<u8> {
        if let Some(map) = given.as_object_mut() {
            map.insert("no-such-setting".to_owned(), 1.into());
        }
        self.config(given)
    }

    /// Restarts at once and without end: one failure must not hide what comes after it.
    pub(crate) fn policy() -> Policy {
        let backoff = BackoffPolicy {
            base: Duration::ZERO,
            factor: 1.0,
            cap: Duration::ZERO,
            jitter: 0.0,
        };
        Policy {
            restarts: u32::MAX,
            input_failures: u32::MAX,
            backoff,
            ..Policy::default()
        }
    }
}

pub(crate) fn ensure(holds: bool, why: &str) -> Verdict {
    if holds { Ok(()) } else { Err(why.to_owned()) }
}

/// What an attempt with an unknown setting must come to.
pub(crate) fn refuses_unknown<T, E: std::fmt::Display>(attempt: Result<T, E>) -> Verdict {
    match attempt {
        Err(error) if error.to_string().contains("it refuses its configuration") => Ok(()),
        Err(error) => Err(format!(
            "it did not refuse a setting that nobody knows, but failed: {error}"
        )),
        Ok(_) => Err("it started with a setting that nobody knows".to_owned()),
    }
}
