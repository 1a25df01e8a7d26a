//! The `k3s:volumes` import of a storage component.

use std::sync::Arc;

use k3s_base::error::chain;
use k3s_plugin_host::PluginState;
use k3s_sys::confined;
use k3s_wit_bindings::volumes::k3s::volumes::directories as wit;
use wasmtime::component::{HasData, Linker};

use super::directories::{Directories, DirectoryError};

/// What an instance is granted.
#[derive(Clone)]
pub struct Grant {
    pub(super) directories: Arc<Directories>,
}

/// The capability on an instance's state.
pub(super) struct Capability<'a>(&'a mut PluginState<Grant>);

struct HasCapability;

impl HasData for HasCapability {
    type Data<'a> = Capability<'a>;
}

/// Offers the capability to a guest.
pub(super) fn add_to_linker(linker: &mut Linker<PluginState<Grant>>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasCapability>(linker, |state| Capability(state))
}

impl Capability<'_> {
    /// The disk's time is not the guest's.
    fn on_disk<T>(
        &mut self,
        work: impl FnOnce(&Directories) -> Result<T, DirectoryError>,
    ) -> Result<T, wit::Error> {
        let directories = self.0.data.directories.clone();
        self.0.outside(|_| work(&directories)).map_err(error)
    }
}

impl wit::Host for Capability<'_> {
    fn make(
        &mut self,
        path: String,
        mode: u32,
        owner: Option<wit::Owner>,
    ) -> wasmtime::Result<Result<bool, wit::Error>> {
        let owner = owner.map(|owner| confined::Owner {
            user: owner.user,
            group: owner.group,
        });
        Ok(self.on_disk(|directories| directories.make(&path, mode, owner)))
    }

    fn remove(&mut self, path: String) -> wasmtime::Result<Result<(), wit::Error>> {
        Ok(self.on_disk(|directories| directories.remove(&path)))
    }

    fn usage(&mut self, path: String) -> wasmtime::Result<Result<wit::Space, wit::Error>> {
        let space = |directories: &Directories| {
            let usage = directories.usage(&path)?;
            Ok(wit::Space {
                capacity_bytes: usage.capacity_bytes,
                available_bytes: usage.available_bytes,
            })
        };
        Ok(self.on_disk(space))
    }
}

fn error(error: DirectoryError) -> wit::Error {
    match error {
        DirectoryError::Denied(why) => wit::Error::Denied(why),
        DirectoryError::Invalid(why) => wit::Error::Invalid(why),
        disk @ DirectoryError::Disk { .. } => wit::Error::Unavailable(chain(&disk)),
    }
}
