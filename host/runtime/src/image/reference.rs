//! Image names as users write them, and as registries are asked (distribution/reference,
//! `normalize.go`).

use std::fmt;

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// A name that is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference format: {0:?}")]
pub struct InvalidReference(pub(crate) String);

/// A normalised reference: `busybox` is `docker.io/library/busybox:latest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Host and port of the registry.
    pub(crate) domain: String,
    /// Repository in it.
    pub(crate) path: String,
    /// None only when there is a digest.
    pub(crate) tag: Option<String>,
    /// `sha256:...`
    pub(crate) digest: Option<String>,
}

impl Reference {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// When it is not a reference.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let invalid = || InvalidReference(text.to_owned());
        let (rest, digest) = text
            .split_once('@')
            .map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(invalid());
        }
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid());
        }
        let (domain, path) = split_domain(name);
        if !is_path(&path) || !is_domain(domain) {
            return Err(invalid());
        }
        let tag = tag.or(if digest.is_none() {
            Some(DEFAULT_TAG)
        } else {
            None
        });
        Ok(Self {
            domain: domain.to_owned(),
            path,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// Domain and path.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// `name:tag`, when there is a tag.
    #[must_use]
    pub(crate) fn tagged(&self) -> Option<String> {
        self.tag
            .as_ref()
            .map(|tag| format!("{}:{tag}", self.name()))
    }

    /// `name@digest` for a digest that the registry reported.
    #[must_use]
    pub(crate) fn with_digest(&self, digest: &str) -> String {
        format!("{}@{digest}", self.name())
    }

    /// The name of the manifest in requests to a registry: the digest, else the tag.
    #[must_use]
    pub(crate) fn selector(&self) -> &str {
        self.digest
            .as_deref()
            .or(self.tag.as_deref())
            .unwrap_or(DEFAULT_TAG)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest
            .as_ref()
            .map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// The first part is a registry only when it looks like a host: with a dot, a port, or `localhost`.
fn split_domain(name: &str) -> (&str, String) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(char::is_uppercase) =>
        {
            if matches!(first, DEFAULT_DOMAIN | LEGACY_DOMAIN) {
                (DEFAULT_DOMAIN, official(rest))
            } else {
                (first, rest.to_owned())
            }
        }
        _ => (DEFAULT_DOMAIN, official(name)),
    }
}

fn official(path: &str) -> String {
    if path.contains('/') {
        path.to_owned()
    } else {
        format!("{OFFICIAL_PREFIX}{path}")
    }
}

/// `sha256:` and 64 lower-case hexadecimal digits; no other algorithm is in use.
#[must_use]
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_tag(text: &str) -> bool {
    let word = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text
            .bytes()
            .all(|octet| word(octet) || matches!(octet, b'.' | b'-'))
}

fn is_path(text: &str) -> bool {
    let component = |part: &str| {
        let alphanumeric = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
        part.bytes().next().is_some_and(alphanumeric)
            && part.bytes().last().is_some_and(alphanumeric)
            && part
                .bytes()
                .all(|octet| alphanumeric(octet) || matches!(octet, b'.' | b'_' | b'-'))
            && !part.contains("..")
    };
    text.len() <= 255 && text.split('/').all(component)
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|octet| octet.is_ascii_digit()))
    {
        return false;
    }
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let alphanumeric = |octet: Option<u8>| octet.is_some_and(|octet| octet.is_ascii_alphanumeric());
    let label = |label: &str| {
        alphanumeric(label.bytes().next())
            && alphanumeric(label.bytes().last())
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_completed() {
        for (text, want) in [
            ("busybox", "docker.io/library/busybox:latest"),
            (
                "rancher/klipper-lb:v0.4",
                "docker.io/rancher/klipper-lb:v0.4",
            ),
            ("index.docker.io/a", "docker.io/library/a:latest"),
            ("localhost/a/b", "localhost/a/b:latest"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("[::1]:5000/a:b", "[::1]:5000/a:b"),
            ("ghcr.io/x/y:1.2-z", "ghcr.io/x/y:1.2-z"),
        ] {
            assert_eq!(Reference::parse(text).unwrap().to_string(), want);
        }
    }

    #[test]
    fn a_digest_needs_no_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let reference = Reference::parse(&format!("busybox@{digest}")).unwrap();
        assert_eq!(
            (reference.tag.as_deref(), reference.selector()),
            (None, digest.as_str())
        );
        let both = Reference::parse(&format!("busybox:1@{digest}")).unwrap();
        assert_eq!(
            (both.tagged().as_deref(), both.selector()),
            (Some("docker.io/library/busybox:1"), digest.as_str())
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "a/UPPER",
            "a:",
            "a@sha256:12",
            "a//b",
            "../etc",
            "a b",
            "-a",
            "docker.io/",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
