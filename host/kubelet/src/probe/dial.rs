//! Ports and connections of probes and hooks, with errors in Go's words: they are shown in events
//! that people compare with upstream's.

use std::io;
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

/// A port that is neither a number nor the name of a container port.
#[derive(Debug, thiserror::Error)]
#[error("invalid port: {0}")]
pub(crate) struct PortError(String);

/// Why no connection could be made. `address` is `host:port`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("dial tcp {address}: connect: connection refused")]
    Refused { address: String },
    #[error("dial tcp {address}: i/o timeout")]
    Timeout { address: String },
    #[error("dial tcp {address}: connect")]
    Connect {
        address: String,
        #[source]
        source: io::Error,
    },
}

/// The number of a port given by number or by the name of a container port.
///
/// # Errors
/// When no container port has the name, or the number is out of range.
pub(crate) fn port_number(port: &IntOrString, container: &Container) -> Result<u16, PortError> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|p| p.name.as_deref() == Some(name));
            named
                .map(|p| p.container_port)
                .or_else(|| name.parse().ok())
        }
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| PortError(format!("{port:?}")))
}

/// `host:port`, with brackets around an IPv6 address.
pub(crate) fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Connects within `timeout`.
///
/// # Errors
/// See [`DialError`].
pub(crate) async fn dial(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, DialError> {
    let address = host_port(host, port);
    let connecting = TcpStream::connect((host, port));
    let Ok(connected) = tokio::time::timeout(timeout, connecting).await else {
        return Err(DialError::Timeout { address });
    };
    match connected {
        Ok(stream) => Ok(stream),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(DialError::Refused { address })
        }
        Err(source) => Err(DialError::Connect { address, source }),
    }
}
