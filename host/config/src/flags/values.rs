//! Parsers of values. Each reads the text of one value and refuses it with a sentence on what is
//! expected.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Component, PathBuf};

use ipnet::Ipv4Net;

use super::runtime::OTHER_RUNTIME;
use crate::error::Refusal;

/// Any text.
pub(super) fn text(text: &str) -> Result<String, Refusal> {
    Ok(text.to_owned())
}

/// A path, which need not exist.
pub(super) fn path(text: &str) -> Result<PathBuf, Refusal> {
    Ok(text.into())
}

/// A small number, such as a verbosity.
pub(super) fn small_number(text: &str) -> Result<u8, Refusal> {
    text.parse()
        .map_err(|_| Refusal::malformed("expected a number"))
}

/// An address of either family.
pub(super) fn address(text: &str) -> Result<IpAddr, Refusal> {
    text.parse()
        .map_err(|_| Refusal::malformed("expected an IP address"))
}

/// An IPv4 network, without bits beyond its prefix.
pub(super) fn network(text: &str) -> Result<Ipv4Net, Refusal> {
    let expected = "expected an IPv4 network such as 10.42.0.0/16";
    let network: Ipv4Net = text.parse().map_err(|_| Refusal::malformed(expected))?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(Refusal::malformed("has bits set beyond its prefix"))
    }
}

/// A TCP port; 0 would be a random one.
pub(super) fn port(text: &str) -> Result<u16, Refusal> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Refusal::malformed("expected a port from 1 to 65535")),
    }
}

/// `FIRST-LAST`, both included.
pub(super) fn port_range(text: &str) -> Result<RangeInclusive<u16>, Refusal> {
    let refused = || Refusal::malformed("expected FIRST-LAST");
    let (first, last) = text.split_once('-').ok_or_else(refused)?;
    let first: u16 = first.parse().map_err(|_| refused())?;
    let last: u16 = last.parse().map_err(|_| refused())?;
    if first > 0 && first <= last {
        Ok(first..=last)
    } else {
        Err(refused())
    }
}

/// A file mode: `644`, `0644` or `0o644`.
pub(super) fn file_mode(text: &str) -> Result<u32, Refusal> {
    match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(Refusal::malformed("expected an octal mode such as 644")),
    }
}

/// A DNS name in lower case, without its final dot.
pub(super) fn domain(text: &str) -> Result<String, Refusal> {
    let domain = text.trim_end_matches('.');
    if domain.split('.').all(is_dns_label) {
        Ok(domain.to_owned())
    } else {
        Err(Refusal::malformed("expected a DNS name in lower case"))
    }
}

/// RFC 1123: letters, digits and inner dashes.
fn is_dns_label(label: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let dash_at_edge = label.starts_with('-') || label.ends_with('-');
    (1..=63).contains(&label.len()) && label.bytes().all(allowed) && !dash_at_edge
}

/// The name of a node, in lower case as Kubernetes requires.
pub(super) fn node_name(text: &str) -> Result<String, Refusal> {
    Ok(text.to_lowercase())
}

/// `KEY=VALUE`.
pub(super) fn label(text: &str) -> Result<(String, String), Refusal> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Refusal::malformed("expected KEY=VALUE")),
    }
}

/// `KEY[=VALUE]:EFFECT`, kept as text.
pub(super) fn taint(text: &str) -> Result<String, Refusal> {
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    match text.rsplit_once(':') {
        Some((key, effect)) if !key.is_empty() && EFFECTS.contains(&effect) => Ok(text.to_owned()),
        _ => Err(Refusal::malformed(
            "expected KEY[=VALUE]:EFFECT, with an effect of NoSchedule, PreferNoSchedule or NoExecute",
        )),
    }
}

/// The socket of a CRI server, as a path or a URL.
pub(super) fn unix_endpoint(text: &str) -> Result<String, Refusal> {
    let path = text
        .strip_prefix("unix://")
        .or_else(|| text.strip_prefix("unix:"))
        .unwrap_or(text);
    if path.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(Refusal::malformed("expected unix:///PATH"))
    }
}

/// A folder for volumes alone: directories are created and removed below it.
pub(super) fn own_folder(text: &str) -> Result<PathBuf, Refusal> {
    let path = PathBuf::from(text);
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if path.is_absolute() && path.parent().is_some() && path.components().all(is_plain) {
        // Collecting removes doubled slashes, so that equal folders have equal texts.
        Ok(path.components().collect())
    } else {
        Err(Refusal::malformed(
            "expected an absolute path without \"..\", and not / itself",
        ))
    }
}

/// The snapshotter of image layers; only one is supported.
pub(super) fn default_runtime(text: &str) -> Result<(), Refusal> {
    match text {
        "runc" => Ok(()),
        _ => Err(Refusal::unsupported(OTHER_RUNTIME)),
    }
}

pub(super) fn snapshotter(text: &str) -> Result<(), Refusal> {
    match text {
        "overlayfs" => Ok(()),
        _ => Err(Refusal::unsupported("only overlayfs exists")),
    }
}
