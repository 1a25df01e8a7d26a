//! The contract's functions, on any [`Host`].

use crate::bindings::exports::k3s::storage::provisioner::{
    Class, Error, Existing, Node, Request, Volume,
};
use crate::bindings::k3s::volumes::directories::Error as DirectoryError;
use crate::config::Config;
use crate::host::Host;
use crate::place;

/// Which node a volume was made for, as K3s' provisioner notes it.
const SELECTED_NODE: &str = "local.path.provisioner/selected-node";

/// An instance's state: its settings.
#[derive(Debug)]
pub(crate) struct LocalPath {
    config: Config,
}

impl LocalPath {
    pub(crate) fn new(config: Config) -> Self {
        Self { config }
    }

    pub(crate) fn provision(&self, host: &dyn Host, request: &Request) -> Result<Volume, Error> {
        let place = place::place(&self.config, request, |limit| host.pick(limit))
            .map_err(Error::Invalid)?;
        host.make(&place.path, place.mode, place.owner)
            .map_err(directory_error)?;
        let node = request
            .node
            .iter()
            .map(|node| (SELECTED_NODE.to_owned(), node.name.clone()));
        Ok(Volume {
            kind: place.kind,
            path: place.path,
            affinity: place.affinity,
            capacity_bytes: request.claim.capacity_bytes,
            annotations: node.collect(),
        })
    }

    /// The path comes from an object that others may write, so it has to be where this provisioner
    /// puts volumes; the host holds it against the granted roots besides.
    pub(crate) fn delete(&self, host: &dyn Host, volume: &Existing) -> Result<(), Error> {
        if !self.config.holds(&volume.path) {
            let why = format!(
                "{} is not below any configured path; nothing was deleted",
                volume.path
            );
            return Err(Error::Invalid(why));
        }
        host.remove(&volume.path).map_err(directory_error)
    }

    /// Directories have no size of their own.
    pub(crate) fn expand(&self, volume: &Existing, capacity_bytes: u64) -> Result<u64, Error> {
        Ok(capacity_bytes.max(volume.capacity_bytes))
    }

    pub(crate) fn capacity(
        &self,
        host: &dyn Host,
        class: &Class,
        node: &Node,
    ) -> Result<u64, Error> {
        let paths = self
            .config
            .of_class(&class.name)
            .map_err(Error::Invalid)?
            .of_node(&node.name);
        let mut most = 0;
        for path in paths {
            most = most.max(host.space(path).map_err(directory_error)?.available_bytes);
        }
        Ok(most)
    }
}

fn directory_error(error: DirectoryError) -> Error {
    match error {
        DirectoryError::Denied(why) | DirectoryError::Invalid(why) => Error::Invalid(why),
        DirectoryError::Unavailable(why) => Error::Retry(why),
        DirectoryError::Other(why) => Error::Other(why),
    }
}

#[cfg(test)]
#[path = "local_path_tests.rs"]
mod tests;
