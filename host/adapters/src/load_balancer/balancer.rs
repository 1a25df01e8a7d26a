//! The component: given what changed, it answers with what follows.

use std::sync::Arc;

use k3s_plugin_host::{CallError, Host, LoadError, Plugin, Source, Status};
use k3s_wit_bindings::load_balancer::LoadBalancer as Bindings;
use k3s_wit_bindings::load_balancer::exports::k3s::load_balancer::balancer as wit;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::inputs::{Calls, Changes, Inputs, View};
use super::model::{Assignment, checked};
use super::open::{LoadBalancerOptions, slot};

/// The running component.
pub(super) type Instance = Plugin<(), Bindings>;

/// Assignments in one answer; one for three nodes is some 300 bytes.
const ANSWER: u32 = 1000;
/// Answers to one question. More than the Services there can be: a plugin that says the same again and
/// again is cut off here.
const ANSWERS: usize = 1000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum BalancerError {
    /// The plugin failed or is down. Repeat with no changes: the next instance is given everything.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The calling task was cut off.
    #[error("the call was cut off")]
    CutOff,
    /// A new component was refused; the old one goes on.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// A component and what it has seen.
pub(super) struct Slot {
    pub(super) plugin: Arc<Instance>,
    pub(super) view: View,
}

/// A load balancer by plugin. One question at a time.
pub struct LoadBalancer {
    slot: Arc<tokio::sync::Mutex<Slot>>,
    /// The plugin of the slot, for [`LoadBalancer::status`] while a question is being answered.
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

    /// Tells the component what changed; answers with the assignments that are new or different.
    ///
    /// # Errors
    /// When the component has no answer. The changes are kept: try again without.
    pub async fn update(&self, changes: Changes) -> Result<Vec<Assignment>, BalancerError> {
        let mut slot = self.slot.clone().lock_owned().await;
        let mut answers = std::mem::take(&mut *self.swapped.lock());
        let inputs = self.inputs.clone();
        let work = move || {
            let calls = inputs.lock().change(changes, &mut slot.view);
            ask(&slot.plugin, &calls, &inputs)
        };
        let result = tokio::task::spawn_blocking(work).await;
        match result
            .map_err(|_| BalancerError::CutOff)
            .and_then(|answer| Ok(answer?))
        {
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
    ) -> Result<(), BalancerError> {
        let mut current = self.slot.lock().await;
        let inputs = self.inputs.clone();
        let (new, answers) = tokio::task::block_in_place(|| {
            let new = slot(host, source, options, inputs.clone())?;
            let answers = ask(&new.plugin, &Calls::default(), &inputs)?;
            Ok::<_, BalancerError>((new, answers))
        })?;
        *self.current.lock() = new.plugin.clone();
        *current = new;
        *self.swapped.lock() = answers;
        self.wake.notify_one();
        Ok(())
    }

    /// Waits until another component took over; [`LoadBalancer::update`] then answers with what it
    /// assigned.
    pub(super) async fn taken_over(&self) {
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
        .filter_map(|answer| checked(answer, &inputs))
        .collect())
}

/// What the component says, at most `limit` assignments at a time. Blocks.
pub(super) fn answers(
    plugin: &Instance,
    calls: &Calls,
    limit: u32,
) -> Result<Vec<wit::Assignment>, CallError> {
    plugin.call("assign", |bindings, store| {
        calls.tell(bindings, &mut *store)?;
        let mut all = Vec::new();
        for _ in 0..ANSWERS {
            let answer = bindings
                .k3s_load_balancer_balancer()
                .call_assign(&mut *store, limit)?;
            let more = answer.len() >= limit as usize;
            all.extend(answer);
            if !more {
                return Ok(all);
            }
        }
        Err(wasmtime::Error::msg("it has no end of assignments"))
    })
}
