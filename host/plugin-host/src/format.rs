//! Telling apart what may be in a file that claims to be a plugin.

use std::borrow::Cow;

use wasmtime::Engine;
use wit_component::{ComponentEncoder, DecodedWasm};

use crate::error::{ComponentError, LoadError};

/// `\0asm`, then version 1 (a core module) or version 13, layer 1 (a component).
const CORE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The bytes as a component; a core module that carries component metadata is encoded into one.
pub(crate) fn to_component<'a>(name: &str, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, LoadError> {
    let name = || name.to_owned();
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(LoadError::Precompiled { name: name() });
    }
    if bytes.starts_with(COMPONENT) {
        return Ok(bytes.into());
    }
    if !bytes.starts_with(CORE) {
        return Err(LoadError::NotWasm { name: name() });
    }
    if !bytes.windows(METADATA.len()).any(|w| w == METADATA) {
        return Err(LoadError::CoreModule { name: name() });
    }
    let encoded = componentize(bytes).map_err(|source| LoadError::Invalid {
        name: name(),
        source,
    })?;
    Ok(encoded.into())
}

/// The custom section in which wit-bindgen leaves the component type.
const METADATA: &[u8] = b"component-type";

/// Encodes a core module built with wit-bindgen as a component.
///
/// # Errors
/// Says what the module lacks.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let encoder = ComponentEncoder::default().validate(true);
    encoder
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| ComponentError::Encode(error.into()))
}

/// Names of imported and exported interfaces, read without compiling.
pub(crate) fn interfaces(
    name: &str,
    component: &[u8],
) -> Result<(Vec<String>, Vec<String>), LoadError> {
    read_interfaces(component).map_err(|source| LoadError::Invalid {
        name: name.to_owned(),
        source,
    })
}

fn read_interfaces(component: &[u8]) -> Result<(Vec<String>, Vec<String>), ComponentError> {
    let decoded =
        wit_component::decode(component).map_err(|error| ComponentError::Decode(error.into()))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(ComponentError::InterfaceDescription);
    };
    let world = resolve.worlds.get(world).ok_or(ComponentError::NoWorld)?;
    let imports = world.imports.keys().map(|key| resolve.name_world_key(key));
    let exports = world.exports.keys().map(|key| resolve.name_world_key(key));
    Ok((imports.collect(), exports.collect()))
}
