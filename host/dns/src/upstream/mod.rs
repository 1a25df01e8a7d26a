//! Everything that is not the cluster's: asked of the host's name servers, and remembered.

mod cache;
mod exchange;
mod resolv_conf;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use k3s_base::error::chain;
use k3s_base::{Clock, Random};
use tokio::sync::Semaphore;

use cache::Cache;
use resolv_conf::ResolvConf;

pub(crate) use exchange::Transport;

/// One try of one server.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);
/// All tries of one question; clients give up after five seconds.
const TOTAL_TIMEOUT: Duration = Duration::from_millis(4500);
/// Questions that wait for a server at once; beyond that the answer is SERVFAIL, which a client
/// repeats. Each costs a socket and a few kilobytes.
const MAX_WAITING: usize = 1000;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("too many questions are waiting")]
    Busy,
    #[error("{0} names no server to ask")]
    NoServers(PathBuf),
    #[error("no name server answered in time")]
    Unanswered,
    #[error("name servers send questions back here")]
    Loop,
}

/// The host's name servers.
pub(crate) struct Upstream {
    config: ResolvConf,
    cache: Cache,
    random: Random,
    waiting: Semaphore,
    /// The server that answered last; asked first.
    preferred: AtomicUsize,
    /// A name that no other client can ask for. If it arrives here, our questions come back to us.
    probe: Name,
    looped: std::sync::atomic::AtomicBool,
}

impl Upstream {
    /// Servers come from the file, less those at `own` addresses.
    pub(crate) fn new(
        file: PathBuf,
        own: Vec<IpAddr>,
        own_port: u16,
        clock: Clock,
        random: Random,
    ) -> Self {
        let (a, b) = (random.below(u64::MAX), random.below(u64::MAX));
        Self {
            config: ResolvConf::new(file, own, own_port, clock.clone()),
            cache: Cache::new(clock),
            waiting: Semaphore::new(MAX_WAITING),
            preferred: AtomicUsize::new(0),
            probe: Name::from_ascii(format!("{a}.{b}.")).unwrap_or_else(|_| Name::root()),
            looped: std::sync::atomic::AtomicBool::new(false),
            random,
        }
    }

    /// The answer to a question, from memory if possible. The response has the question's id.
    pub(crate) async fn ask(
        &self,
        request: &Message,
        transport: Transport,
    ) -> Result<Message, UpstreamError> {
        if let Some(answer) = self.cache.get(request) {
            return Ok(answer);
        }
        if self.looped.load(Ordering::Relaxed) {
            return Err(UpstreamError::Loop);
        }
        let _turn = self
            .waiting
            .try_acquire()
            .map_err(|_| UpstreamError::Busy)?;
        let answer = tokio::time::timeout(TOTAL_TIMEOUT, self.ask_servers(request, transport));
        let mut answer = answer.await.map_err(|_| UpstreamError::Unanswered)??;
        self.cache.put(request, &answer);
        answer.metadata.id = request.metadata.id;
        Ok(answer)
    }

    /// The records of a name, for following an alias.
    pub(crate) async fn lookup(
        &self,
        name: &Name,
        kind: RecordType,
    ) -> Result<Message, UpstreamError> {
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name.clone(), kind));
        self.ask(&question, Transport::Udp).await
    }

    async fn ask_servers(
        &self,
        request: &Message,
        transport: Transport,
    ) -> Result<Message, UpstreamError> {
        let servers = self.config.servers();
        if servers.is_empty() {
            return Err(UpstreamError::NoServers(self.config.path().to_owned()));
        }
        let first = self.preferred.load(Ordering::Relaxed);
        // Two rounds, beginning with the server that answered last.
        for step in 0..servers.len() * 2 {
            let place = (first + step) % servers.len();
            let Some(server) = servers.get(place) else {
                continue;
            };
            match self.try_server(*server, request, transport).await {
                Some(answer) => {
                    self.preferred.store(place, Ordering::Relaxed);
                    return Ok(answer);
                }
                None => tracing::debug!(%server, "no answer"),
            }
        }
        Err(UpstreamError::Unanswered)
    }

    async fn try_server(
        &self,
        server: SocketAddr,
        request: &Message,
        transport: Transport,
    ) -> Option<Message> {
        let mut question = request.clone();
        // A number that an outsider cannot guess, from a port that they cannot guess either.
        question.metadata.id = u16::from_ne_bytes(self.random.bytes());
        let exchange = exchange::exchange(server, &question, transport);
        let answer = tokio::time::timeout(TRY_TIMEOUT, exchange).await.ok()?;
        answer
            .inspect_err(|error| tracing::debug!(%server, error = chain(error), "name server"))
            .ok()
    }

    /// Asks for a name that cannot exist; if the question comes back here, forwarding is switched off
    /// and said so, since every question would circle until it times out.
    pub(crate) async fn probe_for_loop(&self) {
        let probe = self.probe.clone();
        // Whatever the answer is, [`Self::is_probe`] notices if the question comes back.
        let _ = self.lookup(&probe, RecordType::HINFO).await;
    }

    /// Whether this is our own probe, come back.
    pub(crate) fn is_probe(&self, name: &Name, kind: RecordType) -> bool {
        let ours = kind == RecordType::HINFO && *name == self.probe;
        if ours && !self.looped.swap(true, Ordering::Relaxed) {
            tracing::error!(
                file = %self.config.path().display(),
                "the name servers of this host send questions back to the cluster's DNS; outside names will not resolve"
            );
        }
        ours
    }
}

/// A response that says only why there is no answer.
pub(crate) fn refusal(request: &Message, code: ResponseCode) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.response_code = code;
    // One question is repeated; many would not fit where one does.
    if request.metadata.op_code == OpCode::Query && request.queries.len() == 1 {
        response.queries.clone_from(&request.queries);
    }
    response
}
