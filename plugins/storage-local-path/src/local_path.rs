//! The contract's functions.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::storage::{
    Class, Error, Existing, Host, Node, Provisioner, Request, SELECTED_NODE, Volume,
};

use crate::config::{Config, File};
use crate::place;

/// An instance's state: its settings.
#[derive(Debug)]
pub(crate) struct LocalPath {
    config: Config,
}

impl Provisioner for LocalPath {
    type Config = File;

    const NAME: &'static str = "local-path";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn new(file: File) -> Result<Self, Sentence> {
        let config = Config::new(file)?;
        Ok(Self { config })
    }

    fn provision(&mut self, host: &dyn Host, request: &Request) -> Result<Volume, Error> {
        let pick = |limit| random_below(host, limit);
        let place =
            place::place(&self.config, request, pick).map_err(|why| Error::Invalid(why.into()))?;
        host.make(&place.path, place.mode, place.owner)?;
        let node = request.node.iter();
        let annotations = node.map(|node| (SELECTED_NODE.to_owned(), node.name.clone()));
        Ok(Volume {
            kind: place.kind,
            path: place.path,
            affinity: place.affinity,
            capacity_bytes: request.claim.capacity_bytes,
            annotations: annotations.collect(),
        })
    }

    /// The path comes from an object that others may write, so it must be where this provisioner puts
    /// volumes. The host also checks it against the granted roots.
    fn delete(&mut self, host: &dyn Host, volume: &Existing) -> Result<(), Error> {
        let path = &volume.path;
        if !self.config.holds(path) {
            let why = format!("{path} is not below any configured path; nothing was deleted");
            return Err(Error::Invalid(why));
        }
        Ok(host.remove(path)?)
    }

    /// Directories have no size of their own, so they have any.
    fn expand(
        &mut self,
        _host: &dyn Host,
        volume: &Existing,
        capacity_bytes: u64,
    ) -> Result<u64, Error> {
        Ok(capacity_bytes.max(volume.capacity_bytes))
    }

    /// The largest room below any of the node's paths.
    fn capacity(&mut self, host: &dyn Host, class: &Class, node: &Node) -> Result<u64, Error> {
        let paths = self
            .config
            .of_class(&class.name)
            .map_err(|why| Error::Invalid(why.into()))?;
        let mut most = 0;
        for path in paths.of_node(&node.name) {
            most = most.max(host.usage(path)?.available_bytes);
        }
        Ok(most)
    }
}

/// A random number below `limit`, which is at least one.
fn random_below(host: &dyn Host, limit: usize) -> usize {
    let append = |number: usize, byte: &u8| (number << 8) | usize::from(*byte);
    let number = host.random_bytes(4).iter().fold(0, append);
    number % limit.max(1)
}

#[cfg(test)]
#[path = "local_path_tests.rs"]
mod tests;
