//! The component: given what changed, it answers with what follows.

use std::sync::Arc;

use async_trait::async_trait;
use k3s_plugin_host::{CallError, Host, LoadError, Plugin, Source, Status};
use k3s_servicelb::{Assignment, Balancer, BalancerError, Changes, Inputs, Proposal};
use k3s_wit_bindings::load_balancer::LoadBalancer as Bindings;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::calls::{Calls, View};
use super::convert;
use super::open::{LoadBalancerOptions, slot};

/// The running component.
pub(super) type Instance = Plugin<(), Bindings>;

/// Assignments in one answer; one for three nodes is some 300 bytes.
const ANSWER: u32 = 1000;
/// Answers to one question. More than the Services there can be: a plugin that says the same again and
/// again is cut off here.
const ANSWERS: usize = 1000;

/// Why another component did not take over. The one before serves on.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// It is refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It failed with the Services there are.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A component and what it has seen.
pub(super) struct Slot {
    pub(super) plugin: Arc<Instance>,
    pub(super) view: View,
}

/// A load balancer by plugin. One question at a time.
pub struct LoadBalancer {
    slot: Arc<tokio::sync::Mutex<Slot>>,
    /// The plugin of the slot, for [`LoadBalancer::status`] during a call.
    current: Mutex<Arc<Instance>>,
    inputs: Arc<Mutex<Inputs>>,
    /// What a component said when it took over.
    swapped: Mutex<Vec<Assignment>>,
    wake: Notify,
}

impl LoadBalancer {
    pub(super) fn new(slot: Slot, inputs: Arc<Mutex<Inputs>>) -> Self {
        let current = Mutex::new(slot.plugin.clone());
        let slot = Arc::new(tokio::sync::Mutex::new(slot));
        Self {
            slot,
            current,
            inputs,
            swapped: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// How the instance is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.current.lock().clone().status()
    }

    /// Puts another component in place of this one, once it has been given everything and has
    /// assigned every Service. Until then, and if it fails, nothing changes.
    ///
    /// # Errors
    /// When the component is refused, or fails.
    pub async fn swap(
        &self,
        host: &Host,
        source: Source<'_>,
        options: LoadBalancerOptions,
    ) -> Result<(), SwapError> {
        let mut current = self.slot.lock().await;
        let inputs = self.inputs.clone();
        let (new, answers) = tokio::task::block_in_place(|| {
            let new = slot(host, source, options, inputs.clone())?;
            let answers = ask(&new.plugin, &Calls::default(), &inputs)?;
            Ok::<_, SwapError>((new, answers))
        })?;
        *self.current.lock() = new.plugin.clone();
        *current = new;
        *self.swapped.lock() = answers;
        self.wake.notify_one();
        Ok(())
    }
}

#[async_trait]
impl Balancer for LoadBalancer {
    async fn update(&self, changes: Changes) -> Result<Vec<Assignment>, BalancerError> {
        let mut slot = self.slot.clone().lock_owned().await;
        let mut answers = std::mem::take(&mut *self.swapped.lock());
        let inputs = self.inputs.clone();
        let work = move || {
            let changes = inputs.lock().apply(changes);
            let calls = slot.view.calls(changes);
            ask(&slot.plugin, &calls, &inputs)
        };
        let result = match tokio::task::spawn_blocking(work).await {
            Ok(answer) => answer.map_err(|error| BalancerError(error.into())),
            Err(lost) => Err(BalancerError(lost.into())),
        };
        match result {
            Ok(newer) => {
                answers.extend(newer);
                Ok(answers)
            }
            Err(error) => {
                *self.swapped.lock() = answers;
                Err(error)
            }
        }
    }

    async fn replaced(&self) {
        self.wake.notified().await;
    }
}

/// Blocks.
fn ask(
    plugin: &Instance,
    calls: &Calls,
    inputs: &Mutex<Inputs>,
) -> Result<Vec<Assignment>, CallError> {
    let answers = answers(plugin, calls, ANSWER)?;
    let inputs = inputs.lock();
    Ok(answers
        .into_iter()
        .filter_map(|proposal| proposal.check(&inputs))
        .collect())
}

/// What the component says, at most `limit` assignments at a time. Blocks.
pub(super) fn answers(
    plugin: &Instance,
    calls: &Calls,
    limit: u32,
) -> Result<Vec<Proposal>, CallError> {
    plugin.call("assign", |bindings, store| {
        calls.tell(bindings, &mut *store)?;
        let mut all = Vec::new();
        for _ in 0..ANSWERS {
            let answer = bindings.call_assign(&mut *store, limit)?;
            let more = answer.len() >= limit as usize;
            all.extend(answer.into_iter().map(convert::proposal));
            if !more {
                return Ok(all);
            }
        }
        Err(wasmtime::Error::msg(
            "it returned more than 1000 pages of assignments",
        ))
    })
}
