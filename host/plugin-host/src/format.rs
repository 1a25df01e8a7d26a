//! Telling apart what may be in a file that claims to be a plugin.

use wasmtime::Engine;
use wit_component::{ComponentEncoder, DecodedWasm};

use crate::LoadError;

/// `\0asm`, then version 1 (a core module) or version 13, layer 1 (a component).
const CORE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The bytes as a component; a core module that carries component metadata is encoded into one.
pub(crate) fn to_component<'a>(
    name: &str,
    bytes: &'a [u8],
) -> Result<std::borrow::Cow<'a, [u8]>, LoadError> {
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
    componentize(bytes)
        .map(Into::into)
        .map_err(|reason| LoadError::Invalid {
            name: name(),
            reason,
        })
}

/// The custom section in which wit-bindgen leaves the component type.
const METADATA: &[u8] = b"component-type";

/// Encodes a core module built with wit-bindgen as a component.
///
/// # Errors
/// Says what the module lacks.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("{error:#}"))
}

/// Names of imported and exported interfaces, read without compiling.
pub(crate) fn interfaces(
    name: &str,
    component: &[u8],
) -> Result<(Vec<String>, Vec<String>), LoadError> {
    let invalid = |reason: String| LoadError::Invalid {
        name: name.to_owned(),
        reason,
    };
    let decoded =
        wit_component::decode(component).map_err(|error| invalid(format!("{error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(invalid(
            "it is an interface description, not a component".to_owned(),
        ));
    };
    let world = resolve
        .worlds
        .get(world)
        .ok_or_else(|| invalid("it has no world".to_owned()))?;
    let imports = world
        .imports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    let exports = world
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    Ok((imports, exports))
}
