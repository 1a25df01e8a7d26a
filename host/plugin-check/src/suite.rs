//! What the suites share: cases, verdicts, and the component that is tried.

use std::time::Duration;

use k3s_base::error::chain;
use k3s_base::{BackoffPolicy, Clock, Random};
use k3s_battery::Environment;
use k3s_plugin_host::{CallError, Host, LoadError, Policy, Source};
use serde_json::{Map, Value};
use thiserror::Error;

/// One thing that the contract says, and whether the component keeps it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What was tried.
    pub name: &'static str,
    /// Why it does not hold.
    pub outcome: Result<(), Breach>,
}

/// One sentence: what the contract wants, and what the component did instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Breach(String);

/// Why a suite did not run.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The component is refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The kind has none.
    #[error("there is no contract suite for {0} plugins in this build")]
    NoSuite(String),
    /// No place for the fakes.
    #[error("cannot make a temporary folder")]
    Folder(#[from] std::io::Error),
}

/// What was tried came to this, unless a promise was broken on the way.
pub(crate) type Verdict<T = ()> = Result<T, Breach>;

impl From<String> for Breach {
    fn from(sentence: String) -> Self {
        Self(sentence)
    }
}

impl From<&str> for Breach {
    fn from(sentence: &str) -> Self {
        Self(sentence.to_owned())
    }
}

/// A component that fails breaks every promise.
impl From<CallError> for Breach {
    fn from(error: CallError) -> Self {
        Self(chain(&error))
    }
}

impl From<LoadError> for Breach {
    fn from(error: LoadError) -> Self {
        Self(chain(&error))
    }
}

impl From<k3s_client::Error> for Breach {
    fn from(error: k3s_client::Error) -> Self {
        Self(chain(&error))
    }
}

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
        "cni" => crate::cni::run(tried).await,
        "datastore" => crate::datastore::run(tried).await,
        "ingress" => tokio::task::block_in_place(|| crate::ingress::run(tried)),
        "load-balancer" => tokio::task::block_in_place(|| crate::load_balancer::run(tried)),
        "storage" => crate::storage::run(tried).await,
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
    pub(crate) fn environment() -> Environment {
        Environment {
            policy: Self::policy(),
            clock: Clock::system(),
            random: Random::from_os(),
        }
    }

    fn policy() -> Policy {
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
    if holds { Ok(()) } else { Err(why.into()) }
}

/// What starting with an unknown setting must come to.
pub(crate) fn refuses_unknown(started: Result<(), CallError>) -> Verdict {
    match started {
        Err(CallError::Refused { .. }) => Ok(()),
        Err(error) => Err(Breach(format!(
            "it did not refuse an unknown setting, but failed: {error}"
        ))),
        Ok(()) => Err("it started with an unknown setting".into()),
    }
}
