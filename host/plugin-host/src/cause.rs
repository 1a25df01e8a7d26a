//! The one line that says why a guest failed.

/// The innermost reason, which names the limit or the trap; the outer ones are the guest's stack.
pub(crate) fn of(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}
