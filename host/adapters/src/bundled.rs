//! The plugins that come with the executable: built, encoded and compiled by this crate's build.

use k3s_plugin_host::{Digest, Source};

/// A bundled component.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    /// Its kind, as in `--plugin KIND=NAME`.
    pub kind: &'static str,
    /// Its name there: `sqlite`.
    pub name: &'static str,
    /// Its folder in `plugins/`, which names it in status objects, messages and metrics.
    pub folder: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The component.
    pub bytes: &'static [u8],
    /// The same, compiled for the baseline processor of this architecture.
    pub compiled: &'static [u8],
}

// `BUNDLED`, a slice of all of them.
include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

impl Bundled {
    /// Names the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.bytes)
    }

    /// For [`k3s_plugin_host::Host::load`].
    #[must_use]
    pub fn source(&self) -> Source<'static> {
        Source {
            name: self.folder,
            bytes: self.bytes,
            digest: None,
            compiled: Some(self.compiled),
        }
    }
}

/// All of them.
#[must_use]
pub fn all() -> &'static [Bundled] {
    BUNDLED
}

/// The one that `--plugin KIND=NAME` chooses.
#[must_use]
pub fn find(kind: &str, name: &str) -> Option<&'static Bundled> {
    let is_wanted = |bundled: &&Bundled| bundled.kind == kind && bundled.name == name;
    BUNDLED.iter().find(is_wanted)
}
