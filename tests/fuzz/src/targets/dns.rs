//! Messages to the cluster's DNS.

use hickory_proto::op::{Message, MessageType};
use k3s_dns::SampleServer;

/// What a client takes that announces nothing.
const PLAIN_PAYLOAD: u16 = 512;

thread_local! {
    static SERVER: SampleServer = SampleServer::new().unwrap();
}

/// A message, by datagram and by connection. An answer can be read, answers this message, and fits.
pub fn dns_message(data: &[u8]) {
    for over_tcp in [false, true] {
        let answer = SERVER.with(|server| server.answer(data, over_tcp));
        if let Some(answer) = answer {
            answers(data, &answer, over_tcp);
        }
    }
}

fn answers(question: &[u8], answer: &[u8], over_tcp: bool) {
    let read = Message::from_vec(answer).unwrap();
    assert_eq!(read.metadata.message_type, MessageType::Response);
    assert_eq!(read.metadata.id.to_be_bytes(), question[..2]);
    assert_eq!(question[2] & 0x80, 0, "a response is never answered");
    let asked = Message::from_vec(question).ok();
    let announced = asked
        .as_ref()
        .and_then(|asked| asked.edns.as_ref())
        .map_or(PLAIN_PAYLOAD, |edns| edns.max_payload().max(PLAIN_PAYLOAD));
    let limit = if over_tcp { u16::MAX } else { announced };
    assert!(answer.len() <= usize::from(limit), "{}", answer.len());
    if let Some(asked) = asked {
        assert!(read.queries.is_empty() || read.queries == asked.queries);
    }
}
