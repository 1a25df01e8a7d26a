//! Lifecycle hooks: `postStart` and `preStop` by exec, HTTP, TCP or sleep
//! (`pkg/kubelet/lifecycle/handlers.go`).

use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Container, ExecAction, HTTPGetAction, LifecycleHandler, TCPSocketAction,
};
use tokio::net::TcpStream;

use crate::cri::{Cri, CriError};
use crate::probe::dial::{PortError, port_number};
use crate::probe::http::{self, HttpError};

/// A hook has no timeout of its own: the grace period of the caller ends it, or this.
const LIMIT: Duration = Duration::from_secs(3600);

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    #[error(transparent)]
    Runtime(#[from] CriError),
    #[error("command '{command}' exited with {code}: {output}")]
    Exit {
        command: String,
        code: i32,
        output: String,
    },
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("HTTP status {0}")]
    Status(u16),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("cannot connect to {host}:{port}")]
    Connect {
        host: String,
        port: u16,
        #[source]
        source: std::io::Error,
    },
    #[error("the lifecycle handler names no action")]
    NoAction,
}

/// Runs the handler to its end for the container `id`, which has the address `pod_ip`.
pub(crate) async fn run(
    cri: &Cri,
    handler: &LifecycleHandler,
    container: &Container,
    id: &str,
    pod_ip: &str,
) -> Result<(), HookError> {
    if let Some(action) = &handler.exec {
        return exec(cri, action, id).await;
    }
    if let Some(action) = &handler.http_get {
        return http_get(action, container, pod_ip).await;
    }
    if let Some(action) = &handler.sleep {
        let seconds = u64::try_from(action.seconds).unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        return Ok(());
    }
    if let Some(action) = &handler.tcp_socket {
        return tcp_socket(action, container, pod_ip).await;
    }
    Err(HookError::NoAction)
}

async fn exec(cri: &Cri, action: &ExecAction, id: &str) -> Result<(), HookError> {
    let command = action.command.as_deref().unwrap_or_default();
    let answer = cri.exec_sync(id, command, LIMIT).await?;
    if answer.exit_code == 0 {
        return Ok(());
    }
    let output = [answer.stdout, answer.stderr].concat();
    Err(HookError::Exit {
        command: command.join(" "),
        code: answer.exit_code,
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}

async fn http_get(
    action: &HTTPGetAction,
    container: &Container,
    pod_ip: &str,
) -> Result<(), HookError> {
    let target = http::Target::new(action, container, pod_ip)?;
    let answer = http::get(&target, LIMIT, "kube-lifecycle/1.36").await?;
    if answer.status < 400 {
        Ok(())
    } else {
        Err(HookError::Status(answer.status))
    }
}

async fn tcp_socket(
    action: &TCPSocketAction,
    container: &Container,
    pod_ip: &str,
) -> Result<(), HookError> {
    let host = action.host.as_deref().filter(|host| !host.is_empty());
    let host = host.unwrap_or(pod_ip);
    let port = port_number(&action.port, container)?;
    let connected = TcpStream::connect((host, port)).await;
    connected.map(drop).map_err(|source| HookError::Connect {
        host: host.to_owned(),
        port,
        source,
    })
}
