//! Functions of released tracks, found by name and called with the Rust types of the current track.
//!
//! Types are compared at each call. That costs a few microseconds, which only components of a released
//! track pay.

use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Func, Instance, Lift, Lower};
use wasmtime::{AsContextMut, Error, Result};

/// An interface that an instance exports.
pub(crate) struct Interface<'a> {
    name: &'static str,
    instance: &'a Instance,
    index: ComponentExportIndex,
}

/// One of its functions.
pub(crate) struct Function(Func);

impl<'a> Interface<'a> {
    /// None when the instance does not export this track of the interface.
    pub(crate) fn find(
        store: impl AsContextMut,
        instance: &'a Instance,
        name: &'static str,
    ) -> Option<Self> {
        let index = instance.get_export_index(store, None, name)?;
        Some(Self {
            name,
            instance,
            index,
        })
    }

    pub(crate) fn function(&self, mut store: impl AsContextMut, name: &str) -> Result<Function> {
        let missing = || Error::msg(format!("{} has no function {name}", self.name));
        let index = self
            .instance
            .get_export_index(&mut store, Some(&self.index), name);
        let func = index.and_then(|index| self.instance.get_func(&mut store, index));
        func.map(Function).ok_or_else(missing)
    }
}

impl Function {
    /// Calls the function.
    ///
    /// # Errors
    /// When the instance traps, or the function has another type.
    pub(crate) fn call<P, R>(&self, mut store: impl AsContextMut, parameters: P) -> Result<R>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        self.0.typed::<P, R>(&store)?.call(&mut store, parameters)
    }
}
