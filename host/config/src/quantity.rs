//! Small value parsers that name the flag they failed for.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::{ConfigError, Parsed};

impl Parsed {
    /// A single value parsed with `FromStr`, or `default`.
    pub(crate) fn parse_or<T: FromStr>(
        &self,
        name: &str,
        default: T,
        expected: &str,
    ) -> Result<T, ConfigError> {
        match self.one(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| ConfigError::value(name, text, expected)),
        }
    }

    pub(crate) fn address(&self, name: &str) -> Result<Option<IpAddr>, ConfigError> {
        self.one(name)
            .map(|t| {
                t.parse()
                    .map_err(|_| ConfigError::value(name, t, "expected an IP address"))
            })
            .transpose()
    }

    pub(crate) fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ConfigError> {
        let parse = |t: &String| {
            t.parse()
                .map_err(|_| ConfigError::value(name, t, "expected an IP address"))
        };
        self.many(name).iter().map(parse).collect()
    }

    /// The one IPv4 network of a list flag.
    pub(crate) fn network(&self, name: &str, default: &str) -> Result<Ipv4Net, ConfigError> {
        let text = match self.many(name) {
            [] => default,
            [one] => one.as_str(),
            [_, more, ..] => {
                return Err(ConfigError::value(
                    name,
                    more,
                    "only one IPv4 network is supported so far",
                ));
            }
        };
        let net: Ipv4Net = text.parse().map_err(|_| {
            ConfigError::value(name, text, "expected an IPv4 network such as 10.42.0.0/16")
        })?;
        if net.trunc() == net {
            Ok(net)
        } else {
            Err(ConfigError::value(
                name,
                text,
                "has bits set beyond its prefix",
            ))
        }
    }
}
