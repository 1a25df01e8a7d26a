//! What adapters make of a plugin's answer about the objects it was given.

use k3s_wit_bindings::feed::exports::k3s::common::feed as wit;

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
