//! Exec and attach over WebSocket, at URLs with one-time tokens on a loopback port.
//!
//! The kubelet gets a URL by `Exec` or `Attach` and pipes the user's connection to it. The
//! sub-protocols are `v4.channel.k8s.io` and `v5.channel.k8s.io` (kubernetes
//! `pkg/util/remotecommand`, `staging/src/k8s.io/apimachinery/pkg/util/remotecommand`); SPDY is not
//! spoken.

mod channel;
mod handshake;
mod session;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_cri::v1::{AttachRequest, ExecRequest};
use k3s_lifecycle::Tasks;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::error::{Error, Result};
use crate::pod::manager::Manager;

/// How long a URL may wait for its user; containerd's value.
const OFFER_TTL: Duration = Duration::from_secs(60);
/// URLs waiting at the same time; more are refused.
const OFFER_LIMIT: usize = 1000;
/// Sessions at the same time; more wait to be accepted.
const SESSION_LIMIT: usize = 1000;

/// What a URL stands for.
#[derive(Clone, Debug)]
pub(crate) enum Offer {
    Exec { sandbox: String, request: ExecRequest },
    Attach { sandbox: String, request: AttachRequest },
}

struct Waiting {
    offer: Offer,
    until: Duration,
}

/// URLs given out and not yet used.
pub(crate) struct Sessions {
    address: SocketAddr,
    clock: Clock,
    random: Random,
    waiting: Mutex<HashMap<String, Waiting>>,
}

impl Sessions {
    pub(crate) fn new(address: SocketAddr, clock: Clock, random: Random) -> Self {
        Self { address, clock, random, waiting: Mutex::default() }
    }

    pub(crate) fn offer_exec(&self, sandbox: String, request: ExecRequest) -> Result<String> {
        check(request.tty, request.stdin, request.stdout, request.stderr)?;
        self.offer("exec", Offer::Exec { sandbox, request })
    }

    pub(crate) fn offer_attach(&self, sandbox: String, request: AttachRequest) -> Result<String> {
        check(request.tty, request.stdin, request.stdout, request.stderr)?;
        self.offer("attach", Offer::Attach { sandbox, request })
    }

    fn offer(&self, kind: &str, offer: Offer) -> Result<String> {
        let now = self.clock.elapsed();
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, entry| entry.until > now);
        if waiting.len() >= OFFER_LIMIT {
            return Err(Error::Precondition("too many streaming requests wait for their clients".into()));
        }
        let token = hex::encode(self.random.bytes::<16>());
        waiting.insert(token.clone(), Waiting { offer, until: now + OFFER_TTL });
        Ok(format!("http://{}/{kind}/{token}", self.address))
    }

    /// Uses a URL up.
    fn redeem(&self, path: &str) -> Option<Offer> {
        let token = path.strip_prefix("/exec/").or_else(|| path.strip_prefix("/attach/"))?;
        let entry = self.waiting.lock().remove(token)?;
        (entry.until > self.clock.elapsed()).then_some(entry.offer)
    }
}

/// The rules of upstream's streaming server.
fn check(tty: bool, stdin: bool, stdout: bool, stderr: bool) -> Result<()> {
    if tty && stderr {
        return Err(Error::Invalid("tty and stderr cannot both be true".into()));
    }
    if stdin || stdout || stderr {
        Ok(())
    } else {
        Err(Error::Invalid("one of stdin, stdout, or stderr must be set".into()))
    }
}

/// Serves until the group stops.
pub(crate) async fn serve(listener: TcpListener, manager: Arc<Manager>, sessions: Arc<Sessions>, tasks: Tasks) {
    let permits = Arc::new(tokio::sync::Semaphore::new(SESSION_LIMIT));
    let stopping = tasks.stopping();
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (manager, sessions) = (manager.clone(), sessions.clone());
        tasks.spawn_until_stopped("stream", async move {
            let _permit = permit;
            if let Err(error) = session::run(stream, &manager, &sessions).await {
                tracing::debug!(%error, "streaming session ended");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_good_once_and_not_for_ever() {
        let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
        let sessions = Sessions::new(([127, 0, 0, 1], 10010).into(), clock.clone(), Random::seeded(1));
        let request = ExecRequest { stdout: true, ..Default::default() };
        let path = |url: String| url.strip_prefix("http://127.0.0.1:10010").unwrap().to_owned();
        let first = path(sessions.offer_exec("s".into(), request.clone()).unwrap());
        assert!(sessions.redeem(&first).is_some());
        assert!(sessions.redeem(&first).is_none());
        let second = path(sessions.offer_exec("s".into(), request).unwrap());
        clock.advance(OFFER_TTL + Duration::from_secs(1));
        assert!(sessions.redeem(&second).is_none());
        assert!(
            sessions.offer_exec("s".into(), ExecRequest { tty: true, stderr: true, ..Default::default() }).is_err()
        );
    }
}
