//! Notifies systemd that the server is up (`sd_notify`), for `Type=notify` units.

use std::os::unix::net::UnixDatagram;

use k3s_base::error::chain;
use tracing::warn;

/// Sends `READY=1` to the socket that `NOTIFY_SOCKET` names.
pub(crate) fn ready() {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let send = || UnixDatagram::unbound()?.send_to(b"READY=1\n", &path);
    if let Err(error) = send() {
        warn!(error = chain(&error), "cannot notify the service manager");
    }
}
