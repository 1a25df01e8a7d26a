//! From a received message to the message sent back.

mod access;
mod tcp;
mod udp;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Record};
use k3s_base::error::chain;
use parking_lot::RwLock;

use crate::answer::{Answer, Domain, answer};
use crate::metrics::DnsMetrics;
use crate::upstream::{Transport, Upstream, refusal};
use crate::zone::Zone;

pub(crate) use access::Access;
pub(crate) use tcp::serve_tcp;
pub(crate) use udp::serve_udp;

/// The datagram size that we announce: fits every path without fragments (DNS flag day 2020).
const OUR_PAYLOAD: u16 = 1232;
/// What a client takes that announces nothing.
const PLAIN_PAYLOAD: u16 = 512;
/// How many aliases in a row are followed inside the cluster.
const MAX_ALIASES: usize = 8;

/// Everything that answering needs.
pub(crate) struct Server {
    pub(crate) zone: Arc<RwLock<Zone>>,
    pub(crate) domain: Domain,
    pub(crate) upstream: Upstream,
    pub(crate) access: Access,
    pub(crate) metrics: DnsMetrics,
    /// Set once the zone has been filled: before that nothing is known not to exist.
    pub(crate) synced: AtomicBool,
    /// Turns the order of addresses, as CoreDNS' `loadbalance` does.
    pub(crate) turn: AtomicUsize,
}

/// What is known at once, and what takes waiting.
enum Step {
    Done(Message),
    /// Ask the host's name servers.
    Forward(Message),
    /// Append the records of the alias's target.
    Follow(Message, hickory_proto::rr::Name),
}

impl Server {
    /// Answers a datagram without waiting if that can be; `Err` has what is left to do.
    pub(crate) fn begin(
        &self,
        bytes: &[u8],
        from: IpAddr,
        transport: Transport,
    ) -> Result<Option<Vec<u8>>, Box<Pending>> {
        self.metrics.questions.inc();
        let Ok(request) = Message::from_vec(bytes) else {
            return Ok(malformed(bytes));
        };
        // A response sent to us is never answered: two servers could answer each other forever.
        if request.metadata.message_type != MessageType::Query {
            return Ok(None);
        }
        let limit = match transport {
            Transport::Tcp => u16::MAX,
            Transport::Udp => request
                .edns
                .as_ref()
                .map_or(PLAIN_PAYLOAD, |e| e.max_payload().max(PLAIN_PAYLOAD)),
        };
        let edns = request.edns.clone();
        match self.step(request, from) {
            Step::Done(response) => Ok(encode(response, edns.as_ref(), limit)),
            step => Err(Box::new(Pending { step, edns, limit })),
        }
    }

    fn step(&self, request: Message, from: IpAddr) -> Step {
        if !self.access.allows(from, &self.zone.read()) {
            self.metrics.refused.inc();
            return Step::Done(refusal(&request, ResponseCode::Refused));
        }
        if request.metadata.op_code != OpCode::Query {
            return Step::Done(refusal(&request, ResponseCode::NotImp));
        }
        let [query] = request.queries.as_slice() else {
            return Step::Done(refusal(&request, ResponseCode::FormErr));
        };
        if query.query_class() != DNSClass::IN || request.version() > 0 {
            let code = if request.version() > 0 {
                ResponseCode::BADVERS
            } else {
                ResponseCode::Refused
            };
            return Step::Done(refusal(&request, code));
        }
        if self.upstream.is_probe(query.name(), query.query_type()) {
            return Step::Done(refusal(&request, ResponseCode::ServFail));
        }
        let answered = answer(
            &self.zone.read(),
            &self.domain,
            query.name(),
            query.query_type(),
        );
        match answered {
            Some(_) if !self.synced.load(Ordering::Acquire) => {
                Step::Done(refusal(&request, ResponseCode::ServFail))
            }
            None => Step::Forward(request),
            Some(answer) => self.respond(&request, answer),
        }
    }

    fn respond(&self, request: &Message, mut answer: Answer) -> Step {
        let mut response = refusal(request, answer.code);
        response.metadata.authoritative = true;
        response.metadata.recursion_available = true;
        let mut follow = answer.follow.take();
        // An alias may lead to another name of the cluster.
        for _ in 0..MAX_ALIASES {
            let (Some(name), Some(query)) = (follow.clone(), request.queries.first()) else {
                break;
            };
            let Some(next) =
                crate::answer::answer(&self.zone.read(), &self.domain, &name, query.query_type())
            else {
                break;
            };
            answer.answers.extend(next.answers);
            follow = next.follow;
        }
        if answer.answers.len() > 1 {
            self.rotate(&mut answer.answers);
        }
        response.add_answers(answer.answers);
        response.add_authorities(answer.authorities);
        response.add_additionals(answer.additionals);
        match follow {
            Some(name) => Step::Follow(response, name),
            None => Step::Done(response),
        }
    }

    /// Aliases stay in front, addresses take turns.
    fn rotate(&self, records: &mut [Record]) {
        let aliases = records
            .iter()
            .take_while(|r| r.record_type() == hickory_proto::rr::RecordType::CNAME)
            .count();
        let Some(rest) = records.get_mut(aliases..).filter(|rest| rest.len() > 1) else {
            return;
        };
        let by = self.turn.fetch_add(1, Ordering::Relaxed) % rest.len();
        rest.rotate_left(by);
    }

    /// Does what is left to do.
    async fn finish(&self, pending: Pending, transport: Transport) -> Option<Vec<u8>> {
        let response = match pending.step {
            Step::Done(response) => response,
            Step::Forward(request) => self.forward(request, transport).await,
            Step::Follow(response, name) => self.follow(response, &name).await,
        };
        encode(response, pending.edns.as_ref(), pending.limit)
    }

    async fn forward(&self, request: Message, transport: Transport) -> Message {
        self.metrics.forwarded.inc();
        match self.upstream.ask(&request, transport).await {
            Ok(response) => response,
            Err(error) => {
                self.metrics.failed.inc();
                tracing::debug!(error = chain(&error), question = ?request.queries.first().map(ToString::to_string), "not resolved");
                refusal(&request, ResponseCode::ServFail)
            }
        }
    }

    async fn follow(&self, mut response: Message, name: &hickory_proto::rr::Name) -> Message {
        let Some(kind) = response
            .queries
            .first()
            .map(hickory_proto::op::Query::query_type)
        else {
            return response;
        };
        self.metrics.forwarded.inc();
        match self.upstream.lookup(name, kind).await {
            Ok(found) => drop(response.add_answers(found.answers)),
            // The alias alone is still true; the client can follow it.
            Err(error) => tracing::debug!(error = chain(&error), %name, "alias not followed"),
        }
        response
    }
}

pub(crate) struct Pending {
    step: Step,
    edns: Option<Edns>,
    limit: u16,
}

/// Puts a response on the wire; cut, if it does not fit.
fn encode(mut response: Message, edns: Option<&Edns>, limit: u16) -> Option<Vec<u8>> {
    response.edns = edns.map(|theirs| {
        let mut ours = Edns::new();
        ours.set_max_payload(OUR_PAYLOAD);
        ours.set_dnssec_ok(theirs.flags().dnssec_ok);
        ours
    });
    let bytes = response
        .to_vec()
        .inspect_err(|error| tracing::warn!(error = chain(error), "response not encoded"))
        .ok()?;
    if bytes.len() <= usize::from(limit) {
        return Some(bytes);
    }
    response.truncate().to_vec().ok()
}

/// FORMERR, if at least the id can be read.
fn malformed(bytes: &[u8]) -> Option<Vec<u8>> {
    let id = u16::from_be_bytes(*bytes.first_chunk::<2>()?);
    // Not an answer to a response.
    (bytes.len() >= 12 && bytes.get(2)? & 0x80 == 0).then(|| {
        Message::error_msg(id, OpCode::Query, ResponseCode::FormErr)
            .to_vec()
            .ok()
    })?
}
