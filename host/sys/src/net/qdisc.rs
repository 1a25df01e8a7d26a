//! Limits of what a link sends: a token bucket as its root queue (`tc qdisc replace dev X root tbf`).

use super::{Net, NetError, refused};
use crate::netlink::wire::{NLM_F_CREATE, NLM_F_REPLACE, array, string, u32_ne};
use crate::netlink::{Attributes, Builder};

const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
/// Length of `struct tcmsg`.
const TCMSG_LEN: usize = 20;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TC_H_ROOT: u32 = 0xffff_ffff;
/// `1:`, as `tc` would choose.
const HANDLE: u32 = 1 << 16;
/// `TC_LINKLAYER_ETHERNET`: the kernel computes times itself instead of looking them up.
const ETHERNET: u8 = 1;
/// Offset of the rate in `struct tc_tbf_qopt`.
const RATE_OFFSET: usize = 8;

const TBF: &str = "tbf";
/// The smallest burst: a packet as large as segmentation offload makes them.
const LEAST_BURST: u64 = 64 << 10;
const MOST_BURST: u64 = 4 << 20;
/// The burst and the queue, as parts of what the rate allows in a second.
const BURST_PARTS: u64 = 20;
const QUEUE_PARTS: u64 = 40;

impl Net {
    /// Limits what a link sends to `bytes_per_sec`, with a burst of about 50 ms; packets that would wait
    /// longer than about 25 ms are dropped.
    pub fn limit_rate(&self, index: u32, bytes_per_sec: u64) -> Result<(), NetError> {
        let body = |m: &mut Builder| {
            header(m, index, HANDLE, TC_H_ROOT);
            m.attr_str(TCA_KIND, TBF);
            m.nest(TCA_OPTIONS, |m| options(m, bytes_per_sec));
        };
        let sent = self
            .socket
            .request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, body);
        sent.map_err(|e| {
            refused(
                format!("tc qdisc replace root tbf rate {bytes_per_sec}Bps"),
                e,
            )
        })
    }

    /// The limit of a link in bytes a second.
    pub fn rate_limit(&self, index: u32) -> Result<Option<u64>, NetError> {
        let body = |m: &mut Builder| header(m, index, 0, 0);
        let each = |kind, payload: &[u8]| read(kind, payload, index);
        let found = self
            .socket
            .dump(RTM_GETQDISC, body, each)
            .map_err(|e| refused("tc qdisc show", e))?;
        Ok(found.first().copied())
    }
}

fn header(m: &mut Builder, index: u32, handle: u32, parent: u32) {
    m.raw(&[0; 4]);
    for number in [index, handle, parent, 0] {
        m.raw(&number.to_ne_bytes());
    }
}

fn options(m: &mut Builder, bytes_per_sec: u64) {
    let burst = (bytes_per_sec / BURST_PARTS).clamp(LEAST_BURST, MOST_BURST);
    let queue = burst.saturating_add((bytes_per_sec / QUEUE_PARTS).min(MOST_BURST));
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    // struct tc_tbf_qopt: rate and peak rate (struct tc_ratespec), limit, buffer, mtu.
    let mut parms = vec![0, ETHERNET, 0, 0, 0, 0, 0, 0];
    parms.extend(narrow(bytes_per_sec).to_ne_bytes());
    parms.extend([0; 12]);
    parms.extend(narrow(queue).to_ne_bytes());
    parms.extend([0; 8]);
    m.attr(TCA_TBF_PARMS, &parms);
    m.attr_u32(TCA_TBF_BURST, narrow(burst));
    if bytes_per_sec > u64::from(u32::MAX) {
        m.attr(TCA_TBF_RATE64, &bytes_per_sec.to_ne_bytes());
    }
}

fn read(kind: u16, payload: &[u8], index: u32) -> Option<u64> {
    let attributes = Attributes::after(payload, TCMSG_LEN);
    let root = u32_ne(payload.get(12..)?)? == TC_H_ROOT;
    let ours = kind == RTM_NEWQDISC && root && u32_ne(payload.get(4..)?)? == index;
    if !ours || string(attributes.find(TCA_KIND)?) != TBF {
        return None;
    }
    let options = Attributes::after(attributes.find(TCA_OPTIONS)?, 0);
    if let Some(wide) = options
        .find(TCA_TBF_RATE64)
        .and_then(|value| array(value, 0))
    {
        return Some(u64::from_ne_bytes(wide));
    }
    u32_ne(options.find(TCA_TBF_PARMS)?.get(RATE_OFFSET..)?).map(u64::from)
}
