//! `k3s:ingress`: components of both tracks behind one type.
//!
//! The records of 0.1 and 0.2 are equal, and wasmtime compares types by structure, so the Rust types of
//! 0.2 serve both. The tracks differ in where the functions are: 0.2 receives objects through
//! `k3s:common/feed`, 0.1 has that interface's functions in `routing`.

use wasmtime::AsContextMut;
use wasmtime::component::Instance;

use crate::common::AnyPlugin;
use crate::common::exports::k3s::common::plugin;
use crate::feed::FedPlugin;
use crate::feed::exports::k3s::common::feed;
use crate::ingress_0_2::Ingress as Current;
use crate::released::{Function, Interface};

pub use crate::feed::exports::k3s::common::feed::{Interest, Object, ObjectKey};
pub use crate::ingress_0_2::exports::k3s::ingress::routing::*;

/// An instance of an ingress component.
pub struct Ingress {
    plugin: AnyPlugin,
    track: Track,
}

/// The exports of one track.
enum Track {
    /// `k3s:ingress@0.2.0`.
    V0_2(FedPlugin, Current),
    /// `k3s:ingress@0.1.0`.
    V0_1(Released),
}

/// The functions of `k3s:ingress/routing@0.1.0`.
struct Released {
    interests: Function,
    upsert: Function,
    remove: Function,
    compile: Function,
}

impl Ingress {
    /// Finds the exports of an instance, of the newest track that it has.
    ///
    /// # Errors
    /// When the instance has neither track's exports.
    pub fn new(mut store: impl AsContextMut, instance: &Instance) -> wasmtime::Result<Self> {
        let released = Interface::find(&mut store, instance, "k3s:ingress/routing@0.1.0");
        let track = match released {
            Some(routing) => Track::V0_1(Released {
                interests: routing.function(&mut store, "interests")?,
                upsert: routing.function(&mut store, "upsert")?,
                remove: routing.function(&mut store, "remove")?,
                compile: routing.function(&mut store, "compile")?,
            }),
            None => Track::V0_2(
                FedPlugin::new(&mut store, instance)?,
                Current::new(&mut store, instance)?,
            ),
        };
        let plugin = AnyPlugin::new(store, instance)?;
        Ok(Self { plugin, track })
    }

    /// See `configure` in `wit/common/plugin.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_configure(
        &self,
        store: impl AsContextMut,
        config: &[u8],
    ) -> wasmtime::Result<Result<(), plugin::ConfigError>> {
        self.plugin
            .k3s_common_plugin()
            .call_configure(store, config)
    }

    /// See `interests` in `wit/common/feed.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_interests(&self, store: impl AsContextMut) -> wasmtime::Result<Vec<Interest>> {
        match &self.track {
            Track::V0_2(fed, _) => fed.k3s_common_feed().call_interests(store),
            Track::V0_1(released) => released
                .interests
                .call::<_, (Vec<Interest>,)>(store, ())
                .map(one),
        }
    }

    /// See `upsert` in `wit/common/feed.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_upsert(
        &self,
        store: impl AsContextMut,
        objects: &[Object],
    ) -> wasmtime::Result<Result<(), feed::Error>> {
        match &self.track {
            Track::V0_2(fed, _) => fed.k3s_common_feed().call_upsert(store, objects),
            Track::V0_1(released) => released.upsert.call(store, (objects,)).map(accepted),
        }
    }

    /// See `remove` in `wit/common/feed.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_remove(
        &self,
        store: impl AsContextMut,
        keys: &[ObjectKey],
    ) -> wasmtime::Result<Result<(), feed::Error>> {
        match &self.track {
            Track::V0_2(fed, _) => fed.k3s_common_feed().call_remove(store, keys),
            Track::V0_1(released) => released.remove.call(store, (keys,)).map(accepted),
        }
    }

    /// See `compile` in `wit/ingress-0.2/ingress.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_compile(
        &self,
        store: impl AsContextMut,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<Change>, Error>> {
        match &self.track {
            Track::V0_2(_, current) => current.k3s_ingress_routing().call_compile(store, max),
            Track::V0_1(released) => released.compile.call(store, (max,)).map(one),
        }
    }
}

fn one<T>((value,): (T,)) -> T {
    value
}

/// In 0.1 any error means that the batch was not accepted.
fn accepted((result,): (Result<(), feed::Error>,)) -> Result<(), feed::Error> {
    let Err(feed::Error::Invalid(why) | feed::Error::Other(why)) = result else {
        return Ok(());
    };
    Err(feed::Error::Other(why))
}
