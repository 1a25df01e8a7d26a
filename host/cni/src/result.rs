//! Results of plugins: the pod's addresses in them, and results of our own.

use std::net::IpAddr;

use k3s_base::error::Sentence;
use k3s_runtime::PodIps;
use serde_json::{Value, json};

/// The pod's addresses: those of interfaces inside, or of no interface.
pub(crate) fn addresses(result: &Value) -> Result<PodIps, Sentence> {
    let interfaces = result.get("interfaces").and_then(Value::as_array);
    let is_inside = |ip: &&Value| {
        let index = ip
            .get("interface")
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok());
        let interface = index.and_then(|index| interfaces?.get(index));
        interface.is_none_or(|i| {
            i.get("sandbox")
                .and_then(Value::as_str)
                .is_some_and(|s| !s.is_empty())
        })
    };
    let all = result
        .get("ips")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let text = all.filter(is_inside).map(|ip| {
        ip.get("address")
            .and_then(Value::as_str)
            .unwrap_or_default()
    });
    let parse = |text: &str| {
        let address = text.split('/').next().unwrap_or_default();
        address
            .parse::<IpAddr>()
            .map_err(|_| format!("the plugins gave {text:?} as an address"))
    };
    let addresses: Vec<IpAddr> = text.map(parse).collect::<Result<_, _>>()?;
    if addresses.is_empty() {
        Err("the plugins gave the pod no address".into())
    } else {
        Ok(PodIps(addresses))
    }
}

/// A result of this plugin in the caller's version of the specification.
pub(crate) fn make(version: &str, interface: &str, netns: &str, addresses: &PodIps) -> Value {
    // Before 1.0 each address said of which family it is.
    let old = version.starts_with("0.");
    let ip = |ip: &IpAddr| {
        let (prefix, family) = if ip.is_ipv4() { (32, "4") } else { (128, "6") };
        let mut entry = json!({"address": format!("{ip}/{prefix}"), "interface": 0});
        if old && let Some(map) = entry.as_object_mut() {
            map.insert("version".into(), family.into());
        }
        entry
    };
    json!({
        "cniVersion": version,
        "interfaces": [{"name": interface, "sandbox": netns}],
        "ips": addresses.0.iter().map(ip).collect::<Vec<_>>(),
        "dns": {},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_host_are_left_out() {
        let result = json!({"interfaces": [{"name": "br0"}, {"name": "eth0", "sandbox": "/run/netns/x"}],
            "ips": [{"address": "10.1.0.1/24", "interface": 0}, {"address": "10.1.0.5/24", "interface": 1},
                {"address": "fd00::5/64"}]});
        let expected: Vec<IpAddr> = vec!["10.1.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        assert_eq!(addresses(&result).unwrap().0, expected);
        assert!(addresses(&json!({"ips": []})).is_err());
        assert!(
            addresses(&json!({"ips": [{"address": "x"}]}))
                .unwrap_err()
                .to_string()
                .contains("\"x\"")
        );
    }

    #[test]
    fn our_results_can_be_read_by_others() {
        let ips = PodIps(vec!["10.42.0.5".parse().unwrap()]);
        let result = make("1.0.0", "eth0", "/run/netns/x", &ips);
        assert_eq!(addresses(&result).unwrap(), ips);
        assert!(result["ips"][0].get("version").is_none());
        assert_eq!(make("0.4.0", "eth0", "", &ips)["ips"][0]["version"], "4");
    }
}
