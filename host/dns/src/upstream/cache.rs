//! Answers that were had, for as long as they live, 30 seconds at most.

use std::collections::HashMap;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use k3s_base::Clock;
use parking_lot::Mutex;

/// `cache 30` in K3s' Corefile.
const MAX_TTL: u32 = 30;
/// Answers in each of the two generations: 9,984 in all, as CoreDNS keeps. When the younger is full it
/// becomes the older one and what was in that is forgotten, so that memory stays bounded without
/// bookkeeping per use.
const GENERATION: usize = 4_992;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    name: Name,
    kind: RecordType,
    class: DNSClass,
    /// The client wants signatures, or no checking: other answers.
    dnssec: (bool, bool),
}

struct Kept {
    answer: Message,
    since: Duration,
    ttl: u32,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Key, Kept>,
    old: HashMap<Key, Kept>,
}

pub(super) struct Cache {
    clock: Clock,
    kept: Mutex<Generations>,
}

impl Cache {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            kept: Mutex::default(),
        }
    }

    /// The answer to this request, its lifetimes shortened by its age.
    pub(super) fn get(&self, request: &Message) -> Option<Message> {
        let key = key(request)?;
        let kept = self.kept.lock();
        let found = kept.young.get(&key).or_else(|| kept.old.get(&key))?;
        let age = u32::try_from(self.clock.elapsed().saturating_sub(found.since).as_secs())
            .unwrap_or(u32::MAX);
        if age >= found.ttl {
            return None;
        }
        let mut answer = found.answer.clone();
        drop(kept);
        let sections = [
            &mut answer.answers,
            &mut answer.authorities,
            &mut answer.additionals,
        ];
        for record in sections.into_iter().flatten() {
            record.ttl = record.ttl.saturating_sub(age);
        }
        answer.metadata.id = request.metadata.id;
        answer.metadata.recursion_desired = request.metadata.recursion_desired;
        answer.queries.clone_from(&request.queries);
        Some(answer)
    }

    /// Keeps an answer that may be kept.
    pub(super) fn put(&self, request: &Message, answer: &Message) {
        let (Some(key), Some(ttl)) = (key(request), lifetime(answer)) else {
            return;
        };
        let kept = Kept {
            answer: answer.clone(),
            since: self.clock.elapsed(),
            ttl,
        };
        let mut generations = self.kept.lock();
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(key, kept);
    }
}

fn key(request: &Message) -> Option<Key> {
    let query = request.queries.first()?;
    let wants_signatures = request.edns.as_ref().is_some_and(|e| e.flags().dnssec_ok);
    Some(Key {
        name: query.name().to_lowercase(),
        kind: query.query_type(),
        class: query.query_class(),
        dnssec: (wants_signatures, request.metadata.checking_disabled),
    })
}

/// Seconds that the answer may be kept: the shortest of its records, and for a negative one what the
/// SOA says (RFC 2308). None if it may not be kept.
fn lifetime(answer: &Message) -> Option<u32> {
    if answer.metadata.truncation {
        return None;
    }
    let negative = || {
        let soa = answer.authorities.iter().find_map(|r| match &r.data {
            RData::SOA(soa) => Some(soa.minimum.min(r.ttl)),
            _ => None,
        });
        soa.map(|ttl| ttl.min(MAX_TTL))
    };
    let ttl = match answer.metadata.response_code {
        ResponseCode::NoError if !answer.answers.is_empty() => {
            let shortest = answer
                .answers
                .iter()
                .chain(&answer.authorities)
                .map(|r| r.ttl)
                .min();
            shortest.map(|ttl| ttl.min(MAX_TTL))
        }
        ResponseCode::NoError | ResponseCode::NXDomain => negative(),
        _ => None,
    };
    ttl.filter(|ttl| *ttl > 0)
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{OpCode, Query};
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::A;

    use super::*;

    fn request(name: &str, id: u16) -> Message {
        let mut request = Message::query();
        request.metadata.id = id;
        request.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        request
    }

    fn response(ttl: u32) -> Message {
        let mut answer = Message::response(1, OpCode::Query);
        let name = Name::from_ascii("example.org.").unwrap();
        answer.add_answer(Record::from_rdata(
            name,
            ttl,
            RData::A(A([1, 2, 3, 4].into())),
        ));
        answer
    }

    #[test]
    fn answers_age_and_die() {
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let cache = Cache::new(clock.clone());
        cache.put(&request("example.org.", 1), &response(300));
        clock.advance(Duration::from_secs(10));
        let hit = cache.get(&request("EXAMPLE.org.", 77)).unwrap();
        assert_eq!((hit.metadata.id, hit.answers[0].ttl), (77, 290));
        clock.advance(Duration::from_secs(20));
        assert!(cache.get(&request("example.org.", 1)).is_none());
    }

    #[test]
    fn failures_and_cut_answers_are_not_kept() {
        let cache = Cache::new(Clock::system());
        let mut failed = Message::response(1, OpCode::Query);
        failed.metadata.response_code = ResponseCode::ServFail;
        let mut cut = response(300);
        cut.metadata.truncation = true;
        for answer in [
            failed,
            cut,
            response(0),
            Message::response(1, OpCode::Query),
        ] {
            cache.put(&request("example.org.", 1), &answer);
            assert!(cache.get(&request("example.org.", 1)).is_none());
        }
    }

    #[test]
    fn memory_is_bounded() {
        let cache = Cache::new(Clock::system());
        for n in 0..3 * GENERATION {
            cache.put(&request(&format!("n{n}."), 1), &response(300));
        }
        let kept = cache.kept.lock();
        assert!(kept.young.len() + kept.old.len() <= 2 * GENERATION);
    }
}
