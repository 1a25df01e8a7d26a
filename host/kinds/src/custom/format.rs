//! Formats of texts that upstream knows (`apiextensions-apiserver/pkg/apiserver/validation/formats.go`).
//! Others are ignored, as OpenAPI wants it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use k3s_meta::names;
use regex::Regex;

/// A known format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Any,
    BsonObjectId,
    Byte,
    Cidr,
    CreditCard,
    Date,
    DateTime,
    Duration,
    Email,
    HexColor,
    Hostname,
    Ipv4,
    Ipv6,
    Isbn,
    Isbn10,
    Isbn13,
    LongName,
    Mac,
    RgbColor,
    ShortName,
    Ssn,
    Uri,
    Uuid,
    Uuid3,
    Uuid4,
    Uuid5,
}

impl Format {
    /// Reads the name in a schema, in which dashes do not count.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name.replace('-', "").as_str() {
            "bsonobjectid" => Self::BsonObjectId,
            "byte" => Self::Byte,
            "cidr" => Self::Cidr,
            "creditcard" => Self::CreditCard,
            "date" => Self::Date,
            "datetime" => Self::DateTime,
            "duration" => Self::Duration,
            "email" => Self::Email,
            "hexcolor" => Self::HexColor,
            "hostname" => Self::Hostname,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "isbn" => Self::Isbn,
            "isbn10" => Self::Isbn10,
            "isbn13" => Self::Isbn13,
            "k8slongname" => Self::LongName,
            "k8sshortname" => Self::ShortName,
            "mac" => Self::Mac,
            "password" => Self::Any,
            "rgbcolor" => Self::RgbColor,
            "ssn" => Self::Ssn,
            "uri" => Self::Uri,
            "uuid" => Self::Uuid,
            "uuid3" => Self::Uuid3,
            "uuid4" => Self::Uuid4,
            "uuid5" => Self::Uuid5,
            _ => return None,
        })
    }

    /// Whether `text` has the format.
    pub(crate) fn holds(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Cidr => text.parse::<ipnet::IpNet>().is_ok(),
            Self::Date => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
            Self::DateTime => date_time(text),
            Self::Duration => is_duration(text),
            Self::Hostname => {
                text.len() <= 255 && names::is_dns1123_subdomain(&text.to_lowercase()).is_ok()
            }
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::LongName => names::is_dns1123_subdomain(text).is_ok(),
            Self::ShortName => names::is_dns1123_label(text).is_ok(),
            Self::Uri => uri(text),
            Self::Isbn => isbn10(text) || isbn13(text),
            Self::Isbn10 => isbn10(text),
            Self::Isbn13 => isbn13(text),
            Self::CreditCard => luhn(text),
            other => other.regex().is_some_and(|regex| regex.is_match(text)),
        }
    }

    /// Formats that a regular expression decides, with govalidator's.
    fn regex(self) -> Option<&'static Regex> {
        const COUNT: usize = 11;
        static COMPILED: [OnceLock<Option<Regex>>; COUNT] = [const { OnceLock::new() }; COUNT];
        let (slot, pattern) = match self {
            Self::BsonObjectId => (0, "^[0-9a-fA-F]{24}$"),
            Self::Byte => (
                1,
                "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
            ),
            Self::Email => (
                2,
                r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$",
            ),
            Self::HexColor => (3, "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
            Self::Mac => (
                4,
                "^([0-9A-Fa-f]{2}[:-]){5}([0-9A-Fa-f]{2})$|^([0-9A-Fa-f]{4}\\.){2}[0-9A-Fa-f]{4}$",
            ),
            Self::RgbColor => (
                5,
                r"^rgb\(\s*(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])\s*,\s*(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])\s*,\s*(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])\s*\)$",
            ),
            Self::Ssn => (6, r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$"),
            Self::Uuid => (
                7,
                "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$",
            ),
            Self::Uuid3 => (
                8,
                "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$",
            ),
            Self::Uuid4 => (
                9,
                "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$",
            ),
            Self::Uuid5 => (
                10,
                "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$",
            ),
            _ => return None,
        };
        COMPILED
            .get(slot)?
            .get_or_init(|| Regex::new(pattern).ok())
            .as_ref()
    }
}

/// RFC 3339, also with a space or lower case letters, as Go's strfmt takes it.
fn date_time(text: &str) -> bool {
    let zoned =
        text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|rest| rest.contains(['+', '-']));
    text.len() >= 20 && zoned && text.parse::<jiff::Timestamp>().is_ok()
}

/// Go's durations (`1h30m`), and a number with a unit in words (`3 days`).
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 28] = [
        "ns",
        "nano",
        "nanosecond",
        "nanoseconds",
        "us",
        "µs",
        "μs",
        "micro",
        "ms",
        "milli",
        "s",
        "sec",
        "second",
        "seconds",
        "m",
        "min",
        "minute",
        "minutes",
        "h",
        "hr",
        "hour",
        "hours",
        "d",
        "day",
        "days",
        "w",
        "week",
        "weeks",
    ];
    let mut rest = text.trim().trim_start_matches(['+', '-']);
    if rest == "0" {
        return true;
    }
    let mut any = false;
    while !rest.is_empty() {
        let number = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
        let Some((digits, behind)) = rest.split_at_checked(number) else {
            return false;
        };
        if digits.parse::<f64>().is_err() {
            return false;
        }
        let behind = behind.trim_start();
        let letters = behind
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(behind.len());
        let Some((unit, next)) = behind.split_at_checked(letters) else {
            return false;
        };
        if !UNITS.contains(&unit) {
            return false;
        }
        any = true;
        rest = next.trim_start();
    }
    any
}

/// What Go's `url.ParseRequestURI` takes: a path, or a scheme and something behind it.
fn uri(text: &str) -> bool {
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') {
        return false;
    }
    let scheme = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    text.starts_with('/')
        || text
            .split_once(':')
            .is_some_and(|(head, rest)| scheme(head) && !rest.is_empty())
}

fn digits(text: &str) -> Vec<u32> {
    text.chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| c.to_digit(10).unwrap_or(99))
        .collect()
}

fn isbn10(text: &str) -> bool {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| {
            if matches!(c, 'X' | 'x') {
                10
            } else {
                c.to_digit(10).unwrap_or(99)
            }
        })
        .collect();
    let sum: u32 = digits
        .iter()
        .zip((1..=10).rev())
        .map(|(digit, weight)| digit * weight)
        .sum();
    digits.len() == 10 && digits.iter().take(9).all(|d| *d < 10) && sum.is_multiple_of(11)
}

fn isbn13(text: &str) -> bool {
    let digits = digits(text);
    let sum: u32 = digits
        .iter()
        .zip([1, 3].into_iter().cycle())
        .map(|(digit, weight)| digit * weight)
        .sum();
    digits.len() == 13 && digits.iter().all(|d| *d < 10) && sum.is_multiple_of(10)
}

fn luhn(text: &str) -> bool {
    let digits = digits(text);
    let doubled = |d: u32| if d * 2 > 9 { d * 2 - 9 } else { d * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| if i % 2 == 1 { doubled(*d) } else { *d })
        .sum();
    (13..=19).contains(&digits.len()) && digits.iter().all(|d| *d < 10) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_hold_for_what_they_name() {
        let table = [
            ("date-time", "2026-11-20T10:00:00Z", "2026-11-20"),
            ("datetime", "2026-11-20T10:00:00.5+01:00", "x"),
            ("date", "2026-11-20", "2026-13-01"),
            ("duration", "1h30m", "1x"),
            ("ipv4", "10.0.0.1", "10.0.0"),
            ("ipv6", "::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0"),
            ("uri", "https://example.com/x", "no uri"),
            ("email", "a@example.com", "a"),
            ("hostname", "example.com", "-"),
            ("mac", "00:11:22:33:44:55", "00:11"),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
            ("byte", "YWI=", "YWI"),
            ("isbn", "0306406152", "0306406153"),
            ("isbn13", "9780306406157", "9780306406158"),
            ("creditcard", "4111111111111111", "4111111111111112"),
            ("hexcolor", "#a0b1c2", "#ag"),
        ];
        for (name, good, bad) in table {
            let format = Format::parse(name).unwrap();
            assert!(format.holds(good), "{name} {good}");
            assert!(!format.holds(bad), "{name} {bad}");
        }
        assert_eq!(Format::parse("int32"), None);
    }
}
