//! From the contracts' common vocabulary of objects to the engine's.

use k3s_battery::feed::Interest;
use k3s_wit_bindings::feed::exports::k3s::common::feed as wit;

pub(crate) fn interest(from: &wit::Interest) -> Interest {
    Interest {
        group: from.group.clone(),
        version: from.version.clone(),
        plural: from.plural.clone(),
        kind: from.kind.clone(),
        namespaced: from.namespaced,
        optional: from.optional,
        fields: from.fields.clone(),
    }
}

/// An object that the plugin cannot read is logged; the others of the call were accepted. Any other error
/// leaves the instance unusable, since what it holds is unknown.
pub(crate) fn accepted(result: Result<(), wit::Error>) -> wasmtime::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(wit::Error::Invalid(why)) => {
            tracing::warn!(why, "a plugin cannot read an object");
            Ok(())
        }
        Err(wit::Error::Other(why)) => {
            let why = format!("it does not accept objects: {why}");
            Err(wasmtime::Error::msg(why))
        }
    }
}
