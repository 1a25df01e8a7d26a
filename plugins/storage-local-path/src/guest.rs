//! The component's exports, and the host's imports.

use std::cell::RefCell;

use crate::bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use crate::bindings::exports::k3s::storage::provisioner::{
    Class, Error, Existing, Guest as Provisioner, Node, Request, Volume,
};
use crate::bindings::k3s::host::log::{self, Level};
use crate::bindings::k3s::host::random;
use crate::bindings::k3s::volumes::directories::{self, Error as DirectoryError, Owner, Space};
use crate::config;
use crate::host::Host;
use crate::local_path::LocalPath;

struct Component;

#[allow(unsafe_code, reason = "expanded code")]
mod export {
    use super::Component;

    crate::bindings::export!(Component with_types_in crate::bindings);
}

thread_local! {
    static PROVISIONER: RefCell<Option<LocalPath>> = const { RefCell::new(None) };
}

fn with<T>(work: impl FnOnce(&LocalPath) -> Result<T, Error>) -> Result<T, Error> {
    PROVISIONER.with_borrow(|slot| {
        let unconfigured = || Error::Retry("not configured".to_owned());
        slot.as_ref().ok_or_else(unconfigured).and_then(work)
    })
}

impl Plugin for Component {
    fn describe() -> Description {
        Description {
            name: "local-path".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn configure(bytes: Vec<u8>) -> Result<(), ConfigError> {
        // A panic's message would be lost with the instance.
        std::panic::set_hook(Box::new(|panic| log::log(Level::Error, &panic.to_string())));
        let config = config::parse(&bytes).map_err(ConfigError::Invalid)?;
        PROVISIONER.set(Some(LocalPath::new(config)));
        Ok(())
    }
}

impl Provisioner for Component {
    fn provision(request: Request) -> Result<Volume, Error> {
        with(|provisioner| provisioner.provision(&Imports, &request))
    }

    fn delete(volume: Existing) -> Result<(), Error> {
        with(|provisioner| provisioner.delete(&Imports, &volume))
    }

    fn expand(volume: Existing, capacity_bytes: u64) -> Result<u64, Error> {
        with(|provisioner| provisioner.expand(&volume, capacity_bytes))
    }

    fn capacity(class: Class, node: Node) -> Result<u64, Error> {
        with(|provisioner| provisioner.capacity(&Imports, &class, &node))
    }
}

/// The imported capabilities.
struct Imports;

impl Host for Imports {
    fn make(&self, path: &str, mode: u32, owner: Option<Owner>) -> Result<bool, DirectoryError> {
        directories::make(path, mode, owner)
    }

    fn remove(&self, path: &str) -> Result<(), DirectoryError> {
        directories::remove(path)
    }

    fn space(&self, path: &str) -> Result<Space, DirectoryError> {
        directories::usage(path)
    }

    fn pick(&self, limit: usize) -> usize {
        let number = random::bytes(4)
            .iter()
            .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        number % limit.max(1)
    }
}
