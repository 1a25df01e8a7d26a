//! Asking a component what it is, before anything is at stake: in an instance of its own, in which
//! every import traps.

use k3s_base::{Clock, Random};
use k3s_wit_bindings::common::AnyPlugin;
use wasmtime::component::{Component, Linker};
use wasmtime::{Store, UpdateDeadline};

use crate::error::{ComponentError, LoadError};
use crate::grants::Grants;
use crate::limits::Limits;
use crate::state::PluginState;
use crate::ticker::Ticker;
use crate::{cause, wasi};

/// A name or version longer than this is cut: they go into status objects and metrics.
const TEXT_BYTES: usize = 63;

/// What a plugin says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Short name.
    pub name: String,
    /// Its own version.
    pub version: String,
}

/// Calls `describe`. Instantiates the component and throws the instance away.
pub(crate) fn describe(
    name: &str,
    component: &Component,
    ticker: &Ticker,
    grants: Grants,
) -> Result<Description, LoadError> {
    let refused = |error: wasmtime::Error| LoadError::Invalid {
        name: name.to_owned(),
        source: ComponentError::Describe {
            cause: cause::of(&error),
        },
    };
    let _running = ticker.running();
    let found = call(name, component, grants).map_err(refused)?;
    Ok(Description {
        name: tidy(&found.name),
        version: tidy(&found.version),
    })
}

fn call(
    name: &str,
    component: &Component,
    grants: Grants,
) -> wasmtime::Result<k3s_wit_bindings::common::exports::k3s::common::plugin::Description> {
    let engine = component.engine();
    let mut linker: Linker<PluginState<()>> = Linker::new(engine);
    if grants.wasi {
        wasi::add_empty(&mut linker, component)?;
    }
    linker.define_unknown_imports_as_traps(component)?;
    let limits = Limits::default();
    let mut store = Store::new(
        engine,
        PluginState::new(name, (), limits, Clock::system(), Random::from_os()),
    );
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits.hostcall_bytes);
    store.epoch_deadline_callback(|context| {
        context.data().check_deadline()?;
        Ok(UpdateDeadline::Continue(1))
    });
    store.data_mut().begin_call();
    store.set_epoch_deadline(1);
    let instance = linker.instantiate(&mut store, component)?;
    let bindings = AnyPlugin::new(&mut store, &instance)?;
    bindings.k3s_common_plugin().call_describe(&mut store)
}

/// One line of printable text.
fn tidy(text: &str) -> String {
    let cut = text
        .get(..text.floor_char_boundary(TEXT_BYTES))
        .unwrap_or_default();
    cut.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
