//! What is special about a kind of plugin.

use k3s_plugin_host::{Contract, Limits, PluginState, Refused};
use wasmtime::Store;
use wasmtime::component::{InstancePre, Linker};

use crate::component::{Component, Stage};
use crate::error::SwapError;

/// A kind of plugin. Its value holds what the components of one battery share, such as the desired
/// state, which a successor gets too. All functions may block.
pub trait Kind: Sized + Send + Sync + 'static {
    /// What a component of the kind must export and may import.
    const CONTRACT: Contract;

    /// The data behind an instance's capabilities.
    type Grant: Send + 'static;

    /// The generated bindings of the kind's world.
    type Bindings: Send + 'static;

    /// What the host remembers of one component from instance to instance.
    type Session: Send + Sync + 'static;

    /// What a component answered while it took over, kept for the next call.
    type Handover: Send + 'static;

    /// The bounds of an instance.
    fn limits(&self) -> Limits;

    /// Offers the kind's capabilities.
    ///
    /// # Errors
    /// When the bindings contradict each other, which is a fault of this program.
    fn add_to_linker(&self, linker: &mut Linker<PluginState<Self::Grant>>) -> wasmtime::Result<()>;

    /// Made once per component.
    fn session(&self, stage: &Stage) -> Self::Session;

    /// Made once per instance.
    fn grant(&self, session: &Self::Session) -> Self::Grant;

    /// Instantiates a component.
    ///
    /// # Errors
    /// When it traps.
    fn instantiate(
        &self,
        store: &mut Store<PluginState<Self::Grant>>,
        pre: &InstancePre<PluginState<Self::Grant>>,
    ) -> wasmtime::Result<Self::Bindings>;

    /// Gives an instance its configuration, JSON; empty means defaults.
    ///
    /// # Errors
    /// When it traps; inside, when it refuses the configuration.
    fn configure(
        &self,
        bindings: &Self::Bindings,
        store: &mut Store<PluginState<Self::Grant>>,
        config: &[u8],
    ) -> wasmtime::Result<Result<(), Refused>>;

    /// Brings a fresh, configured instance to the desired state. Of a candidate it may do less, so
    /// that it can be tried without effect. By default there is no state to replay.
    ///
    /// # Errors
    /// When it traps.
    fn replay(
        &self,
        bindings: &Self::Bindings,
        store: &mut Store<PluginState<Self::Grant>>,
        session: &Self::Session,
        stage: &Stage,
    ) -> wasmtime::Result<()> {
        let _ = (bindings, store, session, stage);
        Ok(())
    }

    /// Tries a candidate while the active component serves. By default nothing: the candidate is started
    /// when it takes over.
    ///
    /// # Errors
    /// Why it is not to take over.
    fn rehearse(&self, _candidate: &Component<Self>) -> Result<(), SwapError> {
        Ok(())
    }

    /// Has a candidate do the active component's work, between two calls of that one. Its stage is
    /// active by now. By default there is nothing to do.
    ///
    /// # Errors
    /// Why it is not to take over; [`Kind::restore`] follows.
    fn take_over(&self, _candidate: &Component<Self>) -> Result<Option<Self::Handover>, SwapError> {
        Ok(None)
    }

    /// Has the active component undo what a candidate did that failed to take over. By default
    /// nothing: kinds whose components have no effect of their own need not.
    fn restore(&self, _active: &Component<Self>) {}
}
