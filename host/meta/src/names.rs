//! Rules for names, labels, ports and keys, with the wording of upstream's `util/validation`.
//! The patterns are simple enough to check by hand, so no regular expression engine runs on the write path.

use std::net::IpAddr;

use crate::address;

/// The rules that a value breaks: one message each, in upstream's words. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Violations(Vec<String>);

impl From<String> for Violations {
    fn from(message: String) -> Self {
        Self(vec![message])
    }
}

impl From<&str> for Violations {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl IntoIterator for Violations {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The outcome of a check.
pub type Checked = Result<(), Violations>;

const DNS1123_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS1123_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS1123_SUBDOMAIN_WITH_UNDERSCORE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
const DNS1035_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const WILDCARD_SUBDOMAIN: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED_NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const QUALIFIED_NAME_SHAPE: &str = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_NAME: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
const HTTP_HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";

/// Longest DNS label, and longest label value and name part.
const LABEL_MAX: usize = 63;
/// Longest DNS subdomain.
const SUBDOMAIN_MAX: usize = 253;

fn done(messages: Vec<String>) -> Checked {
    if messages.is_empty() {
        Ok(())
    } else {
        Err(Violations(messages))
    }
}

fn check(value: &str, max: usize, ok: bool, message: &str) -> Checked {
    let mut messages = Vec::new();
    if value.len() > max {
        messages.push(max_length(max, CHARACTERS));
    }
    if !ok {
        messages.push(message.to_owned());
    }
    done(messages)
}

/// How older rules call what they count; it is bytes all the same.
const CHARACTERS: &str = "characters";
/// How newer rules call it (`pkg/api/validate/content`).
const BYTES: &str = "bytes";

/// `must be no more than 63 bytes`
fn max_length(max: usize, unit: &str) -> String {
    format!("must be no more than {max} {unit}")
}

/// `must be between 1 and 65535, inclusive`
fn inclusive_range(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

fn lower_or_digit(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Bytes all allowed, first and last as demanded.
fn shaped(value: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = value.as_bytes();
    bytes.first().is_some_and(|b| edge(*b))
        && bytes.last().is_some_and(|b| edge(*b))
        && bytes.iter().all(|b| inner(*b))
}

fn label_shape(value: &str) -> bool {
    shaped(value, lower_or_digit, |b| lower_or_digit(b) || b == b'-')
}

fn subdomain_shape(value: &str) -> bool {
    value.split('.').all(label_shape)
}

fn name_shape(value: &str) -> bool {
    shaped(
        value,
        |b| b.is_ascii_alphanumeric(),
        |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'),
    )
}

/// A label of DNS (RFC 1123): names of namespaces, containers, pods' hostnames.
pub fn is_dns1123_label(value: &str) -> Checked {
    let message = if subdomain_shape(value) {
        "must not contain dots"
    } else {
        DNS1123_LABEL
    };
    check(value, LABEL_MAX, label_shape(value), message)
}

/// A subdomain of DNS (RFC 1123): names of most objects.
pub fn is_dns1123_subdomain(value: &str) -> Checked {
    check(
        value,
        SUBDOMAIN_MAX,
        subdomain_shape(value),
        DNS1123_SUBDOMAIN,
    )
}

/// A subdomain of DNS whose labels may begin with an underscore and hold some: search domains.
pub fn is_dns1123_subdomain_with_underscore(value: &str) -> Checked {
    let plain: Vec<String> = value
        .split('.')
        .map(|label| label.strip_prefix('_').unwrap_or(label).replace('_', "-"))
        .collect();
    check(
        value,
        SUBDOMAIN_MAX,
        subdomain_shape(&plain.join(".")),
        DNS1123_SUBDOMAIN_WITH_UNDERSCORE,
    )
}

/// A label of DNS (RFC 1035): names of services.
pub fn is_dns1035_label(value: &str) -> Checked {
    let starts = value.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    check(
        value,
        LABEL_MAX,
        starts && label_shape(value),
        DNS1035_LABEL,
    )
}

/// `*.example.com`
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Checked {
    let ok = value.strip_prefix("*.").is_some_and(subdomain_shape);
    check(value, SUBDOMAIN_MAX, ok, WILDCARD_SUBDOMAIN)
}

/// A label or annotation key, a resource name: `[prefix/]name`.
pub fn is_qualified_name(value: &str) -> Checked {
    let mut messages = Vec::new();
    let parts: Vec<&str> = value.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                messages.push("prefix part must be non-empty".to_owned());
            } else {
                if prefix.len() > SUBDOMAIN_MAX {
                    messages.push(format!("prefix part {}", max_length(SUBDOMAIN_MAX, BYTES)));
                }
                if !subdomain_shape(prefix) {
                    messages.push(format!("prefix part {DNS1123_SUBDOMAIN}"));
                }
            }
            *name
        }
        _ => return Err(QUALIFIED_NAME_SHAPE.into()),
    };
    if name.is_empty() {
        messages.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        messages.push(format!("name part {}", max_length(LABEL_MAX, BYTES)));
    }
    if !name_shape(name) {
        messages.push(format!("name part {QUALIFIED_NAME}"));
    }
    done(messages)
}

/// The value of a label.
pub fn is_label_value(value: &str) -> Checked {
    let mut messages = Vec::new();
    if value.len() > LABEL_MAX {
        messages.push(max_length(LABEL_MAX, BYTES));
    }
    if !value.is_empty() && !name_shape(value) {
        messages.push(LABEL_VALUE.to_owned());
    }
    done(messages)
}

/// A key of a ConfigMap or Secret.
pub fn is_config_map_key(value: &str) -> Checked {
    let ok = !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let checked = check(value, SUBDOMAIN_MAX, ok, CONFIG_KEY);
    let messages = checked.err().into_iter().flatten();
    done(messages.chain(no_parent_dir(value)).collect())
}

fn no_parent_dir(value: &str) -> Option<String> {
    match value {
        "." | ".." => Some(format!("must not be '{value}'")),
        v if v.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

/// The name of an environment variable; relaxed form, as served by default.
pub fn is_env_var_name(value: &str) -> Checked {
    let mut messages = Vec::new();
    if value.is_empty() {
        messages.push("environment variable name must be non-empty".to_owned());
    }
    if !value
        .bytes()
        .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
    {
        messages.push(ENV_NAME.to_owned());
    }
    done(messages)
}

/// The name of a port (IANA service name).
pub fn is_port_name(value: &str) -> Checked {
    let bytes = value.as_bytes();
    let mut messages = Vec::new();
    let mut rule = |broken: bool, message: &str| {
        if broken {
            messages.push(message.to_owned());
        }
    };
    rule(value.len() > 15, &max_length(15, CHARACTERS));
    let charset = !value.is_empty() && bytes.iter().all(|b| lower_or_digit(*b) || *b == b'-');
    rule(
        !charset,
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    rule(
        !bytes.iter().any(u8::is_ascii_lowercase),
        "must contain at least one letter (a-z)",
    );
    rule(value.contains("--"), "must not contain consecutive hyphens");
    rule(
        value.starts_with('-') || value.ends_with('-'),
        "must not begin or end with a hyphen",
    );
    done(messages)
}

/// A port number that can be listened on.
pub fn is_port_number(value: i64) -> Checked {
    in_range(value, 1, 65_535)
}

/// `low <= value <= high`
pub fn in_range(value: i64, low: i64, high: i64) -> Checked {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(inclusive_range(low, high).into())
    }
}

/// `25%`
pub fn is_percent(value: &str) -> Checked {
    let ok = value
        .strip_suffix('%')
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    check(value, usize::MAX, ok, PERCENT)
}

/// The name of an HTTP header.
pub fn is_http_header_name(value: &str) -> Checked {
    let ok = !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    check(value, usize::MAX, ok, HTTP_HEADER)
}

/// A textual IP address in canonical or at least unambiguous form (`IsValidIPForLegacyField`).
pub fn is_ip(value: &str) -> Checked {
    match value.parse::<IpAddr>() {
        Ok(address) if is_mapped(address) => Err("must not be an IPv4-mapped IPv6 address".into()),
        Ok(_) => Ok(()),
        Err(_) if address::parse_loosely(value).is_some() => Err("must not have leading 0s".into()),
        Err(_) => Err("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()),
    }
}

/// A textual address range with nothing set behind its prefix (`IsValidCIDRForLegacyField`).
pub fn is_cidr(value: &str) -> Checked {
    let invalid = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    let Some((text, length)) = value.split_once('/') else {
        return Err(invalid.into());
    };
    let strict = text.parse::<IpAddr>().ok();
    let Some(found) = address::parse_loosely(text) else {
        return Err(invalid.into());
    };
    let most = if found.is_ipv4() { 32 } else { 128 };
    let is_number = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let bits = length.parse::<u32>().ok();
    let Some(bits) = bits.filter(|bits| is_number && *bits <= most) else {
        return Err(invalid.into());
    };
    if strict.is_none() || (length.len() > 1 && length.starts_with('0')) {
        return Err("must not have leading 0s in IP or prefix length".into());
    }
    if is_mapped(found) {
        return Err("must not have an IPv4-mapped IPv6 address".into());
    }
    if address::has_bits_behind(found, bits) {
        return Err("must not have bits set beyond the prefix length".into());
    }
    Ok(())
}

/// Whether an address is one of IPv4 in the form of IPv6.
fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

/// A name that can be one segment of a URL path; what RBAC objects are held to.
pub fn is_path_segment(value: &str) -> Checked {
    if matches!(value, "." | "..") {
        return Err(format!("may not be '{value}'").into());
    }
    done(
        ['/', '%']
            .into_iter()
            .filter(|c| value.contains(*c))
            .map(|c| format!("may not contain '{c}'"))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(result: Checked) -> usize {
        result.err().into_iter().flatten().count()
    }

    #[test]
    fn search_domains_may_have_underscores() {
        for (value, count) in [
            ("_a.b_c.example", 0),
            ("a", 0),
            ("a_", 1),
            ("__a", 1),
            ("a..b", 1),
            ("", 1),
        ] {
            let outcome = is_dns1123_subdomain_with_underscore(value);
            assert_eq!(messages(outcome), count, "{value}");
        }
    }

    #[test]
    fn labels_and_subdomains() {
        let long = "a".repeat(64);
        for (value, label, subdomain, rfc1035) in [
            ("a", 0, 0, 0),
            ("1a", 0, 0, 1),
            ("a-b", 0, 0, 0),
            ("-a", 1, 1, 1),
            ("a.b", 1, 0, 1),
            ("A", 1, 1, 1),
            ("", 1, 1, 1),
            ("a..b", 1, 1, 1),
            (long.as_str(), 1, 0, 1),
        ] {
            assert_eq!(messages(is_dns1123_label(value)), label, "{value}");
            assert_eq!(messages(is_dns1123_subdomain(value)), subdomain, "{value}");
            assert_eq!(messages(is_dns1035_label(value)), rfc1035, "{value}");
        }
        assert_eq!(
            is_dns1123_label("a.b").unwrap_err(),
            "must not contain dots".into()
        );
        assert_eq!(
            is_dns1123_label(&long).unwrap_err(),
            "must be no more than 63 characters".into()
        );
    }

    #[test]
    fn a_length_is_called_as_each_rule_calls_it() {
        let long = "a".repeat(254);
        for (rule, message) in [
            (
                is_dns1123_subdomain as fn(&str) -> Checked,
                "must be no more than 253 characters",
            ),
            (is_config_map_key, "must be no more than 253 characters"),
            (is_port_name, "must be no more than 15 characters"),
            (is_qualified_name, "name part must be no more than 63 bytes"),
            (is_label_value, "must be no more than 63 bytes"),
        ] {
            assert_eq!(rule(&long).unwrap_err(), message.into());
        }
    }

    #[test]
    fn qualified_names() {
        for (value, count) in [
            ("a", 0),
            ("a.b/c", 0),
            ("A_b.c", 0),
            ("/a", 1),
            ("a/", 2),
            ("a/b/c", 1),
            ("A/b", 1),
            ("", 2),
            ("_a", 1),
        ] {
            assert_eq!(messages(is_qualified_name(value)), count, "{value}");
        }
        assert_eq!(
            is_qualified_name("/a").unwrap_err(),
            "prefix part must be non-empty".into()
        );
    }

    #[test]
    fn addresses_and_ranges_have_one_meaning() {
        let ip = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        let cidr = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        for (rule, value, message) in [
            (is_ip as fn(&str) -> Checked, "10.0.0.256", ip),
            (is_ip, "010.0.0.1", "must not have leading 0s"),
            (is_ip, "::ffff:010.0.0.1", "must not have leading 0s"),
            (
                is_ip,
                "::ffff:1.2.3.4",
                "must not be an IPv4-mapped IPv6 address",
            ),
            (is_cidr, "10.0.0.0", cidr),
            (is_cidr, "10.0.0.0/33", cidr),
            (is_cidr, "10.0.0.0/+8", cidr),
            (is_cidr, " 10.0.0.0/8", cidr),
            (
                is_cidr,
                "010.0.0.0/8",
                "must not have leading 0s in IP or prefix length",
            ),
            (
                is_cidr,
                "10.0.0.0/08",
                "must not have leading 0s in IP or prefix length",
            ),
            (
                is_cidr,
                "::ffff:10.0.0.0/104",
                "must not have an IPv4-mapped IPv6 address",
            ),
            (
                is_cidr,
                "10.0.0.1/8",
                "must not have bits set beyond the prefix length",
            ),
        ] {
            assert_eq!(rule(value).unwrap_err(), message.into(), "{value}");
        }
        for range in [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "::/0",
            "fd00::1/128",
            "1.2.3.4/32",
        ] {
            assert!(is_cidr(range).is_ok(), "{range}");
        }
    }

    #[test]
    fn others() {
        type Case = (
            fn(&str) -> Checked,
            &'static [&'static str],
            &'static [&'static str],
        );
        let cases: [Case; 8] = [
            (is_label_value, &["", "a", "A.b_c-d"], &["-", "a/b", "a "]),
            (
                is_config_map_key,
                &["a", ".a", "A_b"],
                &["", "..", "..a", "a b"],
            ),
            (is_env_var_name, &["A", "a.b-c d"], &["", "a=b", "é"]),
            (
                is_port_name,
                &["http", "a-1"],
                &["", "1", "a--b", "-a", "abcdefghijklmnop", "A"],
            ),
            (is_percent, &["1%", "100%"], &["%", "1", "a%"]),
            (
                is_wildcard_dns1123_subdomain,
                &["*.a.b"],
                &["*", "*.*.a", "a.*"],
            ),
            (is_path_segment, &["a:b", "system:x"], &[".", "a/b", "a%b"]),
            (is_ip, &["1.2.3.4", "::1"], &["1.2.3", "01.2.3.4", ""]),
        ];
        for (rule, good, bad) in cases {
            assert!(good.iter().all(|v| rule(v).is_ok()), "{good:?}");
            assert!(bad.iter().all(|v| rule(v).is_err()), "{bad:?}");
        }
        assert_eq!(
            is_port_number(0).unwrap_err(),
            "must be between 1 and 65535, inclusive".into()
        );
    }
}
