//! What is special about load balancer plugins: they are given objects through masks, and answer in
//! pages.

use std::time::Duration;

use k3s_battery::feed::View;
use k3s_battery::{Component, Kind, Stage, SwapError};
use k3s_plugin_host::{CallError, Contract, Limits, PluginState, Refused};
use k3s_servicelb::{Assignment, Changes, Inputs, Proposal};
use k3s_wit_bindings::common::exports::k3s::common::plugin::ConfigError;
use k3s_wit_bindings::load_balancer::{self as wit, LoadBalancer as Bindings};
use parking_lot::Mutex;
use wasmtime::Store;
use wasmtime::component::{InstancePre, Linker};

use super::calls::{Calls, Seen};
use super::convert;

/// Assignments in one answer; one for three nodes is some 300 bytes.
pub(super) const PAGE: u32 = 1000;
/// Answers to one call, more than there can be Services: a plugin that repeats itself without end is
/// cut off here.
const PAGES: usize = 1000;

/// The load balancer of a cluster.
#[derive(Default)]
pub struct BalancerKind {
    pub(super) inputs: Mutex<Inputs>,
}

impl BalancerKind {
    /// Tells a component what changed, and answers with what it proposes, at most `page` at a time.
    pub(super) fn propose(
        component: &Component<Self>,
        changes: &Changes,
        page: u32,
    ) -> Result<Vec<Proposal>, CallError> {
        component.call("assign", |bindings, store| {
            let calls = Calls::of(changes, &mut component.session().lock());
            calls.make(bindings, &mut *store)?;
            all_pages(bindings, store, page)
        })
    }

    /// The same, held against what the components were given.
    pub(super) fn assign(
        &self,
        component: &Component<Self>,
        changes: &Changes,
    ) -> Result<Vec<Assignment>, CallError> {
        let proposals = Self::propose(component, changes, PAGE)?;
        let inputs = self.inputs.lock();
        let checked = proposals.into_iter().filter_map(|p| p.check(&inputs));
        Ok(checked.collect())
    }
}

fn all_pages(
    bindings: &Bindings,
    store: &mut Store<PluginState<()>>,
    page: u32,
) -> wasmtime::Result<Vec<Proposal>> {
    let mut all = Vec::new();
    for _ in 0..PAGES {
        let answer = one_page(bindings, &mut *store, page)?;
        let is_last = answer.len() < page as usize;
        all.extend(answer);
        if is_last {
            return Ok(all);
        }
    }
    let why = format!("it returned more than {PAGES} pages of assignments");
    Err(wasmtime::Error::msg(why))
}

pub(super) fn one_page(
    bindings: &Bindings,
    store: &mut Store<PluginState<()>>,
    page: u32,
) -> wasmtime::Result<Vec<Proposal>> {
    let answer = bindings.call_assign(store, page)?;
    Ok(answer.into_iter().map(convert::proposal).collect())
}

/// The view of a component that asked for nothing but what a load balancer is given.
fn view(interests: Vec<wit::Interest>) -> wasmtime::Result<Seen> {
    let given = [("", wit::SERVICE), ("", wit::NODE)];
    let is_given = |i: &wit::Interest| given.contains(&(i.group.as_str(), i.kind.as_str()));
    match interests.iter().find(|interest| !is_given(interest)) {
        Some(other) => {
            let why = format!("load balancers are not given {}", other.plural);
            Err(wasmtime::Error::msg(why))
        }
        None => Ok(View::new(interests)),
    }
}

impl Kind for BalancerKind {
    const CONTRACT: Contract = super::CONTRACT;

    type Grant = ();
    type Bindings = Bindings;
    /// What the component has seen.
    type Session = Mutex<Seen>;
    /// Every Service, as the component assigned it when it took over.
    type Handover = Vec<Assignment>;

    /// Ten thousand Services are some 20 MiB in the guest; a call plans them all, and the first one
    /// of an instance reads them all.
    fn limits(&self) -> Limits {
        let standard = Limits::default();
        Limits {
            call: Duration::from_secs(10),
            recycle_bytes: standard.memory_bytes,
            ..standard
        }
    }

    fn add_to_linker(&self, _linker: &mut Linker<PluginState<()>>) -> wasmtime::Result<()> {
        Ok(())
    }

    fn session(&self, _stage: &Stage) -> Self::Session {
        Mutex::default()
    }

    fn grant(&self, _session: &Self::Session) {}

    fn instantiate(
        &self,
        store: &mut Store<PluginState<()>>,
        pre: &InstancePre<PluginState<()>>,
    ) -> wasmtime::Result<Bindings> {
        let instance = pre.instantiate(&mut *store)?;
        Bindings::new(&mut *store, &instance)
    }

    fn configure(
        &self,
        bindings: &Bindings,
        store: &mut Store<PluginState<()>>,
        config: &[u8],
    ) -> wasmtime::Result<Result<(), Refused>> {
        let result = bindings.call_configure(store, config)?;
        Ok(result.map_err(|(ConfigError::Invalid(why) | ConfigError::Other(why))| Refused(why)))
    }

    fn replay(
        &self,
        bindings: &Bindings,
        store: &mut Store<PluginState<()>>,
        session: &Self::Session,
        _stage: &Stage,
    ) -> wasmtime::Result<()> {
        let mut view = view(bindings.call_interests(&mut *store)?)?;
        let everything = self.inputs.lock().everything();
        Calls::of(&everything, &mut view).make(bindings, store)?;
        *session.lock() = view;
        Ok(())
    }

    fn take_over(&self, candidate: &Component<Self>) -> Result<Option<Vec<Assignment>>, SwapError> {
        let assignments = self.assign(candidate, &Changes::default())?;
        Ok(Some(assignments))
    }
}
