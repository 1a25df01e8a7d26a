//! The operator's settings, as K3s makes them from `--cluster-cidr` and `--flannel-backend`.

use k3s_plugin_sdk::Sentence;

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
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Config {
    /// The cluster CIDR: all pods of all nodes.
    pub(crate) network: Ipv4Net,
    pub(crate) backend: Backend,
    /// Masquerade pods behind their node when they call outside the cluster.
    pub(crate) ip_masq: bool,
    /// VXLAN network identifier.
    pub(crate) vni: u32,
    /// UDP port of VXLAN.
    pub(crate) port: u16,
    /// Bytes of a pod's largest packet; absent for what the uplink and the backend leave.
    pub(crate) mtu: Option<u32>,
    /// Which address of a node's pod CIDR is the bridge's.
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

/// From what every IPv4 host must accept (RFC 791) to the largest packet.
const MTUS: std::ops::RangeInclusive<u32> = 576..=65_535;

/// The defaults of K3s.
impl Default for Config {
    fn default() -> Self {
        Self {
            network: Ipv4Net::new_assert([10, 42, 0, 0].into(), 16),
            backend: Backend::Vxlan,
            ip_masq: true,
            vni: 1,
            port: 8472,
            mtu: None,
            gateway: Gateway::First,
        }
    }
}

impl Config {
    /// Checks the MTU and truncates the network to its prefix. An error is one sentence for the operator.
    pub(crate) fn validated(mut self) -> Result<Self, Sentence> {
        let (least, most) = (MTUS.start(), MTUS.end());
        if let Some(mtu) = self.mtu.filter(|mtu| !MTUS.contains(mtu)) {
            return Err(format!("mtu {mtu}: expected {least} to {most}").into());
        }
        self.network = self.network.trunc();
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use k3s_plugin_sdk::Settings as _;

    use super::*;

    fn parse(text: &[u8]) -> Result<Config, Sentence> {
        Config::read(text)?.validated()
    }

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
                .to_string()
                .contains("576 to 65535")
        );
        assert!(
            parse(br#"{"netwerk":"10.0.0.0/8"}"#)
                .unwrap_err()
                .to_string()
                .contains("netwerk")
        );
    }
}
