//! Who a request counts for: the client's address (through proxies, if the author says how many), a
//! header, or the host.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Exchange;
use crate::error::RangeError;
use crate::model;
use crate::proxy::headers::{FORWARDED_FOR, list};
use crate::table::rule::cidr;

/// How to find the client's address.
#[derive(Debug)]
pub(crate) struct Strategy {
    depth: usize,
    excluded: Vec<IpNet>,
}

/// What requests are counted by.
#[derive(Debug)]
pub(crate) enum Source {
    Client(Strategy),
    Header(String),
    Host,
}

impl Strategy {
    pub(crate) fn new(settings: &model::IpStrategy) -> Result<Self, RangeError> {
        let excluded = settings
            .excluded
            .iter()
            .map(|range| cidr(range))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            depth: usize::try_from(settings.depth).unwrap_or(usize::MAX),
            excluded,
        })
    }

    /// The address; none where the header that should hold it does not. The peer is the last entry of the
    /// list, as no proxy before it is trusted to have added it.
    pub(crate) fn address(&self, exchange: &Exchange) -> Option<IpAddr> {
        let peer = exchange.origin.client.ip().to_canonical();
        if self.depth == 0 && self.excluded.is_empty() {
            return Some(peer);
        }
        let forwarded = list(exchange.request.headers(), &FORWARDED_FOR)
            .filter_map(|text| text.parse::<IpAddr>().ok());
        let mut all: Vec<IpAddr> = forwarded.collect();
        all.push(peer);
        if self.depth > 0 {
            return all
                .len()
                .checked_sub(self.depth)
                .and_then(|at| all.get(at))
                .copied();
        }
        all.into_iter()
            .rev()
            .find(|address| !self.excluded.iter().any(|range| range.contains(address)))
    }
}

impl Source {
    pub(crate) fn new(settings: &model::Source) -> Result<Self, RangeError> {
        Ok(match settings {
            model::Source::Client(strategy) => Self::Client(Strategy::new(strategy)?),
            model::Source::Header(name) => Self::Header(name.to_ascii_lowercase()),
            model::Source::Host => Self::Host,
        })
    }

    /// The key that a request counts under; those without one count together.
    pub(crate) fn key(&self, exchange: &Exchange) -> String {
        match self {
            Self::Client(strategy) => strategy
                .address(exchange)
                .map(|ip| ip.to_string())
                .unwrap_or_default(),
            Self::Header(name) => {
                let value = exchange
                    .request
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            }
            Self::Host => exchange.origin.host.to_string(),
        }
    }
}
