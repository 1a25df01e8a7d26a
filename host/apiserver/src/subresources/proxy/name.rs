//! How a proxy request names what it wants: `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`, each part but the name
//! possibly empty (`apimachinery/pkg/util/net/port_split.go`).

/// What a client speaks with a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scheme {
    #[default]
    Http,
    Https,
}

impl Scheme {
    pub(super) fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProxyName<'a> {
    /// `None` where the request leaves it open.
    pub(super) scheme: Option<Scheme>,
    pub(super) name: &'a str,
    /// A number or a name; empty where the request leaves it open.
    pub(super) port: &'a str,
}

impl<'a> ProxyName<'a> {
    /// `None` for texts of another form.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let (scheme, name, port) = match parts.as_slice() {
            [name] => ("", *name, ""),
            [name, port] => ("", *name, *port),
            [scheme, name, port] => (*scheme, *name, *port),
            _ => return None,
        };
        let scheme = match scheme {
            "" => None,
            "http" => Some(Scheme::Http),
            "https" => Some(Scheme::Https),
            _ => return None,
        };
        (!name.is_empty()).then_some(Self { scheme, name, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_port_may_be_left_open() {
        let (http, https) = (Some(Scheme::Http), Some(Scheme::Https));
        for (text, expected) in [
            ("a", Some((None, "a", ""))),
            ("a:", Some((None, "a", ""))),
            ("a:80", Some((None, "a", "80"))),
            ("a:web", Some((None, "a", "web"))),
            (":a:80", Some((None, "a", "80"))),
            ("http:a:", Some((http, "a", ""))),
            ("https:a:443", Some((https, "a", "443"))),
            ("https:a:web", Some((https, "a", "web"))),
            ("ftp:a:21", None),
            ("https::443", None),
            ("", None),
            ("a:b:c:d", None),
        ] {
            let parsed = ProxyName::parse(text).map(|read| (read.scheme, read.name, read.port));
            assert_eq!(parsed, expected, "{text}");
        }
    }
}
