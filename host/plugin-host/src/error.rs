//! Why a component is not accepted, and why a call gave no answer. Each text is one sentence that
//! an operator can act on.

use std::time::Duration;

use thiserror::Error;

use crate::Digest;

/// Why a file is refused. Nothing of it ran.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Above [`crate::Source::LIMIT_BYTES`].
    #[error("plugin {name}: {bytes} bytes are above the limit of {limit_bytes}")]
    TooLarge {
        /// The plugin.
        name: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The bytes are not the ones that were asked for.
    #[error("plugin {name}: the digest is {found}, not {wanted} as configured")]
    Digest {
        /// The plugin.
        name: String,
        /// Configured.
        wanted: Digest,
        /// Of the bytes.
        found: Digest,
    },
    /// Native code from outside.
    #[error(
        "plugin {name}: this is precompiled native code, which is never accepted; give the .wasm component"
    )]
    Precompiled {
        /// The plugin.
        name: String,
    },
    /// Not WebAssembly.
    #[error("plugin {name}: this is not a WebAssembly component")]
    NotWasm {
        /// The plugin.
        name: String,
    },
    /// A core module that does not say what it implements.
    #[error(
        "plugin {name}: this is a core WebAssembly module without component metadata; \
         build it with wit-bindgen or cargo component"
    )]
    CoreModule {
        /// The plugin.
        name: String,
    },
    /// WebAssembly, but broken or with features that the host does not offer.
    #[error("plugin {name}: invalid component: {reason}")]
    Invalid {
        /// The plugin.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// It implements something else.
    #[error("plugin {name}: not a {kind} plugin: it does not export {wanted} (it exports {found})")]
    WrongKind {
        /// The plugin.
        name: String,
        /// The kind wanted.
        kind: &'static str,
        /// The interface missing.
        wanted: String,
        /// What it exports.
        found: String,
    },
    /// It needs something that the host does not have.
    #[error(
        "plugin {name}: it imports {wanted}, which this host does not offer to {kind} plugins ({offered})"
    )]
    UnknownImport {
        /// The plugin.
        name: String,
        /// The kind it is loaded as.
        kind: &'static str,
        /// Package, interface and version wanted.
        wanted: String,
        /// What is offered of that package.
        offered: String,
    },
    /// It needs something that the operator has not granted.
    #[error(
        "plugin {name}: it imports {wanted}, which needs the grant {grant:?} (--plugin {kind}=…,grant={grant})"
    )]
    MissingGrant {
        /// The plugin.
        name: String,
        /// The kind it is loaded as.
        kind: &'static str,
        /// Package, interface and version wanted.
        wanted: String,
        /// The grant.
        grant: &'static str,
    },
    /// The directory for compiled code is not fit for it.
    #[error("the compiled-code cache {path}: {reason}")]
    Cache {
        /// The directory.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The engine could not be set up.
    #[error("the WebAssembly engine: {0}")]
    Engine(String),
}

/// A plugin does not accept its configuration. [`crate::PluginSpec::bind`] fails with this, and the
/// call with [`CallError::Refused`]. The text is the plugin's own sentence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it refuses its configuration: {0}")]
pub struct Refused(pub String);

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// The guest failed during the call (panic, deadline, memory, limit). What it did until then
    /// through host functions is done.
    #[error("plugin {plugin} failed in {function}: {cause}")]
    Trapped {
        /// The plugin.
        plugin: String,
        /// The function called.
        function: &'static str,
        /// Why.
        cause: String,
    },
    /// No fresh instance could be started. The function was not called.
    #[error("plugin {plugin} did not start: {cause}")]
    NotStarted {
        /// The plugin.
        plugin: String,
        /// Why.
        cause: String,
    },
    /// It does not accept its configuration. The function was not called.
    #[error("plugin {plugin} did not start: it refuses its configuration: {reason}")]
    Refused {
        /// The plugin.
        plugin: String,
        /// The plugin's own sentence.
        reason: String,
    },
    /// It failed a moment ago and is left alone for a while. The function was not called.
    #[error("plugin {plugin} is being restarted; try again in {retry_after:?}")]
    Restarting {
        /// The plugin.
        plugin: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// It failed too often on this input. The function was not called.
    #[error(
        "plugin {plugin} is not given {input} for {retry_after:?}, as it failed on it repeatedly: {cause}"
    )]
    InputQuarantined {
        /// The plugin.
        plugin: String,
        /// What it failed on.
        input: String,
        /// The last failure with it.
        cause: String,
        /// When it is tried again.
        retry_after: Duration,
    },
    /// It failed too often. The function was not called.
    #[error(
        "plugin {plugin} is in quarantine for {retry_after:?} after repeated failures: {cause}"
    )]
    Quarantined {
        /// The plugin.
        plugin: String,
        /// The last failure.
        cause: String,
        /// When it gets another chance.
        retry_after: Duration,
    },
}

impl CallError {
    /// True when the function certainly was not entered.
    #[must_use]
    pub fn was_not_called(&self) -> bool {
        !matches!(self, Self::Trapped { .. })
    }
}
