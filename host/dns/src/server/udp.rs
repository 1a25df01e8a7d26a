//! Questions by datagram.

use std::sync::Arc;

use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use tokio::net::UdpSocket;

use super::Server;
use crate::upstream::Transport;

/// The largest question: more than any client sends.
const QUESTION_MAX: usize = 4096;

/// Answers without end. Names of the cluster are answered in line; a question that has to wait for a name
/// server gets a task, whose number the upstream bounds.
pub(crate) async fn serve_udp(server: Arc<Server>, socket: Arc<UdpSocket>, tasks: Tasks) {
    let mut buffer = vec![0; QUESTION_MAX];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // Errors of earlier sends are reported here (an unreachable client); the socket stays usable.
                tracing::debug!(error = chain(&error), "receive");
                continue;
            }
        };
        match server.begin(
            buffer.get(..length).unwrap_or_default(),
            from.ip(),
            Transport::Udp,
        ) {
            Ok(Some(response)) => {
                if let Err(error) = socket.send_to(&response, from).await {
                    tracing::debug!(error = chain(&error), %from, "send");
                }
            }
            Ok(None) => {}
            Err(pending) => {
                let (server, socket) = (server.clone(), socket.clone());
                tasks.spawn_until_stopped("dns question", async move {
                    if let Some(response) = server.finish(*pending, Transport::Udp).await {
                        let _ = socket.send_to(&response, from).await;
                    }
                });
            }
        }
    }
}
