//! The plugins that come with the executable: built, encoded and compiled by this crate's build.

use k3s_plugin_host::{Digest, Source};

/// A bundled component.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    /// Its folder in `plugins/`; see [`short_name`].
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The component.
    pub bytes: &'static [u8],
    /// The same, compiled for the baseline processor of this architecture.
    pub compiled: &'static [u8],
}

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
            name: self.name,
            bytes: self.bytes,
            digest: None,
            compiled: Some(self.compiled),
        }
    }
}

/// Folders of `plugins/` begin with these words.
const PREFIXES: &[(&str, &str)] = &[
    ("datastore-", "datastore"),
    ("cni-", "cni"),
    ("ingress-", "ingress"),
    ("lb-", "load-balancer"),
    ("storage-", "storage"),
];

fn split(bundled: &Bundled) -> (&'static str, &'static str) {
    let found = PREFIXES
        .iter()
        .find_map(|(prefix, kind)| Some((*kind, bundled.name.strip_prefix(prefix)?)));
    found.unwrap_or(("", bundled.name))
}

/// The kind of a bundled plugin, as in `--plugin KIND=NAME`.
#[must_use]
pub fn kind_of(bundled: &Bundled) -> &'static str {
    split(bundled).0
}

/// Its name there: `sqlite`.
#[must_use]
pub fn short_name(bundled: &Bundled) -> &'static str {
    split(bundled).1
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Bundled> {
    vec![
        DATASTORE_SQLITE,
        DATASTORE_POSTGRES,
        DATASTORE_MYSQL,
        CNI_FLANNEL,
        INGRESS_TRAEFIK,
        LB_KLIPPER,
        STORAGE_LOCAL_PATH,
    ]
}
