//! Warnings about addresses in a form that only older rules allow (`GetWarningsForIP` and `GetWarningsForCIDR` of
//! apimachinery's `pkg/util/validation/ip.go`).

use std::net::IpAddr;

use ipnet::IpNet;
use k3s_meta::address::parse_loosely;
use k3s_meta::field::Path;
use serde_json::Value;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressForm {
    /// `10.0.0.1`
    Address,
    /// `10.0.0.0/8`
    Block,
}

/// A field by its dotted path, which applies to each element of the lists on its way, and what it holds.
pub(crate) type AddressField = (&'static str, AddressForm);

/// Warnings about these fields of `value`, which stands at `base`. Texts that are no addresses are left to validation.
pub(crate) fn of(value: &Value, base: &Path, fields: &[AddressField]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (path, form) in fields {
        let keys: Vec<&str> = path.split('.').collect();
        each(value, &keys, base, &mut |at, text| match form {
            AddressForm::Address => warnings.extend(address(at, text)),
            AddressForm::Block => warnings.extend(block(at, text)),
        });
    }
    warnings
}

fn each(value: &Value, keys: &[&str], at: &Path, visit: &mut impl FnMut(&Path, &str)) {
    match (value, keys) {
        (Value::Array(list), _) => {
            for (index, item) in list.iter().enumerate() {
                each(item, keys, &at.index(index), visit);
            }
        }
        (Value::Object(map), [key, rest @ ..]) => {
            if let Some(below) = map.get(*key) {
                each(below, rest, &at.child(key), visit);
            }
        }
        (Value::String(text), []) => visit(at, text),
        _ => {}
    }
}

/// Whether an IPv4 address is written as one of IPv6.
fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

fn address(at: &Path, text: &str) -> Option<String> {
    let address = parse_loosely(text)?;
    let canonical = address.to_canonical();
    if text.parse::<IpAddr>().is_err() || is_mapped(address) {
        return Some(format!(
            "{at}: non-standard IP address {text:?} is invalid: use {:?}",
            canonical.to_string()
        ));
    }
    let shown = address.to_string();
    (address.is_ipv6() && shown != text).then(|| {
        format!("{at}: IPv6 address {text:?} should be in RFC 5952 canonical format ({shown:?})")
    })
}

fn block(at: &Path, text: &str) -> Vec<String> {
    let read = || {
        let (address, bits) = text.split_once('/')?;
        let is_number = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        let length: u8 = bits.parse().ok().filter(|_| is_number)?;
        let strict = address.parse::<IpAddr>().is_ok() && (bits == "0" || !bits.starts_with('0'));
        Some((parse_loosely(address)?, length, strict))
    };
    let Some((address, length, strict)) = read() else {
        return Vec::new();
    };
    let (mapped, width) = (is_mapped(address), if address.is_ipv4() { 32 } else { 128 });
    let canonical = address.to_canonical();
    let shown_length = if mapped {
        length.saturating_sub(96)
    } else {
        length
    };
    let Ok(network) = IpNet::new(canonical, shown_length).map(|block| block.trunc()) else {
        return Vec::new();
    };
    let network_text = network.to_string();
    let mut warnings = Vec::new();
    if network.addr() != canonical {
        let single = format!("{canonical}/{width}");
        warnings.push(format!(
            "{at}: CIDR value {text:?} is ambiguous in this context (should be {network_text:?} or {single:?}?)"
        ));
    }
    if !strict || mapped {
        warnings.push(format!(
            "{at}: non-standard CIDR value {text:?} is invalid: use {network_text:?}"
        ));
    }
    let shown = format!("{address}/{length}");
    if warnings.is_empty() && address.is_ipv6() && shown != text {
        warnings.push(format!(
            "{at}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format ({shown:?})"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn forms_of_older_rules_are_warned_of() {
        let fields = [
            ("ips", AddressForm::Address),
            ("from.block.cidr", AddressForm::Block),
        ];
        let about = |text: &str, form| {
            let object = match form {
                AddressForm::Address => json!({"ips": ["10.0.0.1", text]}),
                AddressForm::Block => json!({"from": [{"block": {"cidr": text}}]}),
            };
            of(&object, &Path::new("spec"), &fields).join("; ")
        };
        for (text, form, want) in [
            ("10.0.0.2", AddressForm::Address, ""),
            ("None", AddressForm::Address, ""),
            (
                "010.0.0.1",
                AddressForm::Address,
                "spec.ips[1]: non-standard IP address \"010.0.0.1\" is invalid: use \"10.0.0.1\"",
            ),
            (
                "::ffff:1.2.3.4",
                AddressForm::Address,
                "spec.ips[1]: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use \"1.2.3.4\"",
            ),
            (
                "FD00::0",
                AddressForm::Address,
                "spec.ips[1]: IPv6 address \"FD00::0\" should be in RFC 5952 canonical format (\"fd00::\")",
            ),
            ("10.0.0.0/8", AddressForm::Block, ""),
            (
                "10.0.0.1/8",
                AddressForm::Block,
                "spec.from[0].block.cidr: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)",
            ),
            (
                "10.0.0.0/08",
                AddressForm::Block,
                "spec.from[0].block.cidr: non-standard CIDR value \"10.0.0.0/08\" is invalid: use \"10.0.0.0/8\"",
            ),
            (
                "fd00:0::/64",
                AddressForm::Block,
                "spec.from[0].block.cidr: IPv6 CIDR value \"fd00:0::/64\" should be in RFC 5952 canonical format (\"fd00::/64\")",
            ),
        ] {
            assert_eq!(about(text, form), want, "{text}");
        }
    }
}
