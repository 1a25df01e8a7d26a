//! Listings: what the kernel has, read back into the model.

use std::time::Duration;

use super::model::{Data, Element, Family, TableId, Verdict};
use super::uapi::{
    DATA_VALUE, DATA_VERDICT, ELEM_DATA, ELEM_EXPIRATION, ELEM_KEY, ELEM_KEY_END,
    ELEM_LIST_ELEMENTS, ELEM_USERDATA, NFGEN_LEN, SET_NAME, TABLE_NAME, TABLE_USERDATA,
    UDATA_COMMENT, VERDICT_ACCEPT, VERDICT_CHAIN, VERDICT_CODE, VERDICT_DROP, VERDICT_GOTO,
    VERDICT_JUMP, VERDICT_RETURN,
};
use crate::netlink::Attributes;
use crate::netlink::wire::{array, string};

/// A table of this product; None for any other.
pub(super) fn table(payload: &[u8]) -> Option<(TableId, Option<String>)> {
    let family = match i32::from(*payload.first()?) {
        libc::AF_INET => Family::Ipv4,
        libc::AF_INET6 => Family::Ipv6,
        _ => return None,
    };
    let attributes = Attributes::after(payload, NFGEN_LEN);
    let id = TableId::new(family, &string(attributes.find(TABLE_NAME)?)).ok()?;
    Some((id, attributes.find(TABLE_USERDATA).and_then(comment)))
}

/// The name of a set.
pub(super) fn set_name(payload: &[u8]) -> Option<String> {
    Attributes::after(payload, NFGEN_LEN)
        .find(SET_NAME)
        .map(string)
}

/// The elements in one message of a listing.
pub(super) fn elements(payload: &[u8]) -> Vec<Element> {
    let list = Attributes::after(payload, NFGEN_LEN).inside(ELEM_LIST_ELEMENTS);
    list.filter_map(|(_, value)| element(Attributes(value)))
        .collect()
}

fn element(attributes: Attributes<'_>) -> Option<Element> {
    let key = |kind| attributes.inside(kind).find(DATA_VALUE).map(<[u8]>::to_vec);
    let data = attributes.inside(ELEM_DATA);
    Some(Element {
        key: key(ELEM_KEY)?,
        key_end: key(ELEM_KEY_END),
        data: match (data.find(DATA_VALUE), data.find(DATA_VERDICT)) {
            (Some(value), _) => Data::Value(value.to_vec()),
            (None, Some(value)) => Data::Verdict(verdict(Attributes(value))?),
            (None, None) => Data::None,
        },
        expires: attributes
            .find(ELEM_EXPIRATION)
            .and_then(|v| array(v, 0))
            .map(|v| Duration::from_millis(u64::from_be_bytes(v))),
        comment: attributes.find(ELEM_USERDATA).and_then(comment),
    })
}

fn verdict(attributes: Attributes<'_>) -> Option<Verdict> {
    let code = i32::from_be_bytes(array(attributes.find(VERDICT_CODE)?, 0)?);
    let chain = || attributes.find(VERDICT_CHAIN).map(string);
    Some(match code {
        VERDICT_ACCEPT => Verdict::Accept,
        VERDICT_DROP => Verdict::Drop,
        VERDICT_RETURN => Verdict::Return,
        VERDICT_JUMP => Verdict::Jump(chain()?),
        VERDICT_GOTO => Verdict::Goto(chain()?),
        _ => return None,
    })
}

/// The comment among user data: type, length, text with its zero.
fn comment(data: &[u8]) -> Option<String> {
    let (kind, length) = (*data.first()?, usize::from(*data.get(1)?));
    (kind == UDATA_COMMENT).then(|| data.get(2..2 + length).map(string))?
}
