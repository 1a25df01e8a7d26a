//! The operator's settings, as K3s makes them from `--cluster-cidr` and `--flannel-backend`.

use ipnet::Ipv4Net;
use serde::Deserialize;

/// How packets get to other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Backend {
    /// Inside UDP.
    #[default]
    Vxlan,
    /// By routes: all nodes are on one link.
    HostGw,
}

/// Settings of the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Config {
    /// The cluster CIDR: all pods of all nodes.
    #[serde(default = "default_network")]
    pub(crate) network: Ipv4Net,
    #[serde(default)]
    pub(crate) backend: Backend,
    /// Hide pods behind their node when they call outside the cluster.
    #[serde(default = "yes")]
    pub(crate) ip_masq: bool,
    /// VXLAN network identifier.
    #[serde(default = "default_vni")]
    pub(crate) vni: u32,
    /// UDP port of VXLAN.
    #[serde(default = "default_port")]
    pub(crate) port: u16,
    /// Bytes of a pod's largest packet; absent for what the uplink and the backend leave.
    #[serde(default)]
    pub(crate) mtu: Option<u32>,
    /// Which address of a node's pod CIDR is the bridge's.
    #[serde(default)]
    pub(crate) gateway: Gateway,
}

/// An end of the usable addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Gateway {
    /// As flannel and K3s do.
    #[default]
    First,
    Last,
}

/// What every IPv4 host must accept (RFC 791), and the most that a packet can have.
const MTUS: std::ops::RangeInclusive<u32> = 576..=65_535;

fn default_network() -> Ipv4Net {
    Ipv4Net::new_assert([10, 42, 0, 0].into(), 16)
}

fn yes() -> bool {
    true
}

fn default_vni() -> u32 {
    1
}

fn default_port() -> u16 {
    8472
}

/// Reads the settings; nothing means defaults.
pub(crate) fn parse(bytes: &[u8]) -> Result<Config, String> {
    let text = if bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        bytes
    };
    let config: Config = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    if let Some(mtu) = config.mtu.filter(|mtu| !MTUS.contains(mtu)) {
        return Err(format!(
            "mtu {mtu}: expected {} to {}",
            MTUS.start(),
            MTUS.end()
        ));
    }
    Ok(Config {
        network: config.network.trunc(),
        ..config
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_k3s_and_unknown_settings_are_refused() {
        let config = parse(b"").unwrap();
        assert_eq!(
            (config.network.to_string().as_str(), config.vni, config.port),
            ("10.42.0.0/16", 1, 8472)
        );
        assert_eq!(
            parse(br#"{"backend":"host-gw","network":"10.1.2.3/16"}"#)
                .unwrap()
                .network
                .to_string(),
            "10.1.0.0/16"
        );
        assert!(parse(br#"{"backend":"udp"}"#).is_err());
        assert_eq!(
            parse(br#"{"mtu":1400,"gateway":"last"}"#).unwrap().mtu,
            Some(1400)
        );
        assert!(
            parse(br#"{"mtu":100}"#)
                .unwrap_err()
                .contains("576 to 65535")
        );
        assert!(
            parse(br#"{"netwerk":"10.0.0.0/8"}"#)
                .unwrap_err()
                .contains("netwerk")
        );
    }
}
