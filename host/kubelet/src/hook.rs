//! Lifecycle hooks: `postStart` and `preStop` by exec, HTTP, TCP or sleep
//! (`pkg/kubelet/lifecycle/handlers.go`).

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use crate::context::Ctx;
use crate::probe::{http, port_number};

/// A hook has no timeout of its own: the grace period of the caller ends it, or this.
const LIMIT: Duration = Duration::from_secs(3600);

/// Runs the handler to its end.
pub(crate) async fn run(
    ctx: &Ctx,
    handler: &LifecycleHandler,
    container: &Container,
    id: &str,
    pod_ip: &str,
) -> Result<(), String> {
    if let Some(exec) = &handler.exec {
        let command = exec.command.clone().unwrap_or_default();
        let answer = ctx
            .cri
            .exec_sync(id, &command, LIMIT)
            .await
            .map_err(|e| e.to_string())?;
        if answer.exit_code == 0 {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&[answer.stdout, answer.stderr].concat()).into_owned();
        return Err(format!(
            "command '{}' exited with {}: {output}",
            command.join(" "),
            answer.exit_code
        ));
    }
    if let Some(get) = &handler.http_get {
        let target = http::Target::new(get, container, pod_ip)?;
        let answer = http::get(&target, LIMIT, "kube-lifecycle/1.36").await?;
        return if answer.status < 400 {
            Ok(())
        } else {
            Err(format!("HTTP status {}", answer.status))
        };
    }
    if let Some(sleep) = &handler.sleep {
        tokio::time::sleep(Duration::from_secs(
            u64::try_from(sleep.seconds).unwrap_or(0),
        ))
        .await;
        return Ok(());
    }
    if let Some(tcp) = &handler.tcp_socket {
        let host = tcp
            .host
            .clone()
            .filter(|h| !h.is_empty())
            .unwrap_or_else(|| pod_ip.to_owned());
        let port = port_number(&tcp.port, container)?;
        return tokio::net::TcpStream::connect((host.as_str(), port))
            .await
            .map(drop)
            .map_err(|e| e.to_string());
    }
    Err("the lifecycle handler names no action".to_owned())
}
