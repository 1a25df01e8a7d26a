//! Loading compiled code. The only unsafe code of this crate: wasmtime trusts what it is given.
//!
//! What makes it sound: the bytes come either from the executable itself (compiled at build time by
//! the same engine version) or from the cache directory, which only this user may write and whose
//! files carry a checksum made when they were written. wasmtime itself refuses other versions,
//! settings and processor features.
#![allow(unsafe_code)]

use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

/// Code that was linked into the executable.
pub(crate) fn from_executable(engine: &Engine, code: &'static [u8]) -> wasmtime::Result<Component> {
    // SAFETY: a static of this executable, made by its build from `precompile_component`.
    unsafe { Component::deserialize(engine, code) }
}

/// Code that this process, or an earlier one of the same user, compiled. The caller has checked the
/// directory's owner and mode and the file's checksum.
pub(crate) fn from_cache(engine: &Engine, file: &Path) -> wasmtime::Result<Component> {
    // SAFETY: see the module's header; the file is written once, renamed into place, never changed.
    unsafe { Component::deserialize_file(engine, file) }
}
