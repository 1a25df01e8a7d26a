//! Why a component is not accepted, and why a call gave no answer. With its causes, each is one
//! sentence that an operator can act on.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::digest::Digest;

/// An error of the engine or its tools, which do not say what kinds of errors they have.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
    #[error("plugin {name}: invalid component")]
    Invalid {
        /// The plugin.
        name: String,
        /// What is wrong.
        #[source]
        source: ComponentError,
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
    #[error("cannot use {} for compiled code", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: CacheError,
    },
    /// The engine could not be set up.
    #[error("cannot set up the WebAssembly engine")]
    Engine(#[source] BoxError),
}

/// What is wrong with a component.
#[derive(Debug, Error)]
pub enum ComponentError {
    /// The core module does not fit its metadata.
    #[error("the core module cannot be encoded as a component")]
    Encode(#[source] BoxError),
    /// Broken, or made by tools of another version.
    #[error("its interfaces cannot be read")]
    Decode(#[source] BoxError),
    /// A WIT package in binary form.
    #[error("it is an interface description, not a component")]
    InterfaceDescription,
    /// It neither imports nor exports anything.
    #[error("it has no world")]
    NoWorld,
    /// Broken, or with features that the engine does not have.
    #[error("it cannot be compiled")]
    Compile(#[source] BoxError),
    /// An import's type is not what the host offers under that name.
    #[error("its imports do not fit")]
    Link(#[source] BoxError),
    /// `describe` failed.
    #[error("it does not describe itself: {cause}")]
    Describe {
        /// Why the guest failed.
        cause: String,
    },
}

/// Why a directory cannot hold compiled code.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The disk failed.
    #[error("it cannot be made or read")]
    Disk(#[from] io::Error),
    /// Something else has its name.
    #[error("it is not a directory")]
    NotADirectory,
    /// Others could put code there that this process would run.
    #[error(
        "it holds native code, so it must belong to this user with mode 0700 (it has owner {owner} and mode {mode:04o})"
    )]
    Open {
        /// The directory's owner, a user ID.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
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
