//! Exec, attach and port-forward at URLs with one-time tokens on a loopback port.
//!
//! The kubelet gets a URL by `Exec`, `Attach` or `PortForward` and pipes the user's connection to it.
//! Exec and attach use `v4.channel.k8s.io` and `v5.channel.k8s.io` over WebSocket, or over SPDY/3.1
//! for older clients, and what came before over WebSocket alone; port-forward uses `portforward.k8s.io` over SPDY/3.1, or `v4.channel.k8s.io` over
//! WebSocket (kubernetes `pkg/util/remotecommand`, `staging/src/k8s.io/kubelet/pkg/cri/streaming`).

pub(crate) mod channel;
mod client;
mod error;
pub(crate) mod forward;
mod handshake;
mod session;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use k3s_base::{Clock, Random};
use k3s_cri::v1::{AttachRequest, ExecRequest};
use k3s_lifecycle::Tasks;
use k3s_serve::{Capacity, ServeOptions};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::error::{Error, Result};
use crate::pod::manager::Manager;

/// How long a URL is valid; containerd's value.
const OFFER_TTL: Duration = Duration::from_secs(60);
/// URLs waiting at the same time; more are refused.
const OFFER_LIMIT: usize = 1000;
/// Sessions at the same time; more are refused.
const SESSION_LIMIT: usize = 1000;

const EXEC: &str = "exec";
const ATTACH: &str = "attach";
const PORT_FORWARD: &str = "portforward";
const KINDS: [&str; 3] = [EXEC, ATTACH, PORT_FORWARD];

/// The request behind a URL.
#[derive(Clone, Debug)]
pub(crate) enum Offer {
    Exec {
        sandbox: String,
        request: ExecRequest,
    },
    Attach {
        sandbox: String,
        request: AttachRequest,
    },
    PortForward(forward::Target),
}

struct Waiting {
    offer: Offer,
    until: Duration,
}

/// URLs that were issued and not yet used.
pub(crate) struct Sessions {
    address: SocketAddr,
    clock: Clock,
    random: Random,
    waiting: Mutex<HashMap<String, Waiting>>,
}

impl Sessions {
    pub(crate) fn new(address: SocketAddr, clock: Clock, random: Random) -> Self {
        Self {
            address,
            clock,
            random,
            waiting: Mutex::default(),
        }
    }

    pub(crate) fn offer_exec(&self, sandbox: String, request: ExecRequest) -> Result<String> {
        check(request.tty, request.stdin, request.stdout, request.stderr)?;
        self.offer(EXEC, Offer::Exec { sandbox, request })
    }

    pub(crate) fn offer_attach(&self, sandbox: String, request: AttachRequest) -> Result<String> {
        check(request.tty, request.stdin, request.stdout, request.stderr)?;
        self.offer(ATTACH, Offer::Attach { sandbox, request })
    }

    pub(crate) fn offer_port_forward(&self, target: forward::Target) -> Result<String> {
        if target.ports.len() > forward::MAX_PORTS {
            return Err(Error::Invalid(format!(
                "at most {} ports can be forwarded over one connection",
                forward::MAX_PORTS
            )));
        }
        self.offer(PORT_FORWARD, Offer::PortForward(target))
    }

    fn offer(&self, kind: &str, offer: Offer) -> Result<String> {
        let now = self.clock.elapsed();
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, entry| entry.until > now);
        if waiting.len() >= OFFER_LIMIT {
            return Err(Error::Precondition(
                "too many streaming requests wait for their clients".into(),
            ));
        }
        let token = hex::encode(self.random.bytes::<16>());
        waiting.insert(
            token.clone(),
            Waiting {
                offer,
                until: now + OFFER_TTL,
            },
        );
        Ok(format!("http://{}/{kind}/{token}", self.address))
    }

    /// Consumes a URL, which is valid once.
    fn redeem(&self, path: &str) -> Option<Offer> {
        let (kind, token) = path.strip_prefix('/')?.split_once('/')?;
        if !KINDS.contains(&kind) {
            return None;
        }
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
        Err(Error::Invalid(
            "one of stdin, stdout, or stderr must be set".into(),
        ))
    }
}

/// What every request needs.
#[derive(Clone)]
struct Shared {
    manager: Arc<Manager>,
    sessions: Arc<Sessions>,
    permits: Arc<Semaphore>,
    tasks: Tasks,
}

/// Serves until the group stops.
pub(crate) fn serve(
    listener: TcpListener,
    manager: &Arc<Manager>,
    sessions: &Arc<Sessions>,
    tasks: &Tasks,
) {
    let shared = Shared {
        manager: manager.clone(),
        sessions: sessions.clone(),
        permits: Arc::new(Semaphore::new(SESSION_LIMIT)),
        tasks: tasks.clone(),
    };
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let answer = handshake::answer(request, &shared);
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let options = ServeOptions {
        capacity: Capacity {
            total: SESSION_LIMIT,
            per_client: SESSION_LIMIT,
        },
        ..ServeOptions::default()
    };
    k3s_serve::serve(listener, options, service, tasks);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_good_once_and_not_for_ever() {
        let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
        let sessions = Sessions::new(
            ([127, 0, 0, 1], 10010).into(),
            clock.clone(),
            Random::seeded(1),
        );
        let request = ExecRequest {
            stdout: true,
            ..Default::default()
        };
        let path = |url: String| {
            url.strip_prefix("http://127.0.0.1:10010")
                .unwrap()
                .to_owned()
        };
        let first = path(sessions.offer_exec("s".into(), request.clone()).unwrap());
        assert!(sessions.redeem(&first).is_some());
        assert!(sessions.redeem(&first).is_none());
        let second = path(sessions.offer_exec("s".into(), request).unwrap());
        clock.advance(OFFER_TTL + Duration::from_secs(1));
        assert!(sessions.redeem(&second).is_none());
        assert!(
            sessions
                .offer_exec(
                    "s".into(),
                    ExecRequest {
                        tty: true,
                        stderr: true,
                        ..Default::default()
                    }
                )
                .is_err()
        );
    }
}
