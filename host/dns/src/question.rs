//! Taking a name below the cluster's domain apart (DNS-Based Service Discovery, v1.1.0).

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// The domain itself.
    Apex,
    /// `ns.dns`.
    NameServer,
    /// `dns-version`.
    Version,
    /// A name that exists because others lie below it: `svc`, `pod`, `dns`.
    Branch,
    /// `NAMESPACE.svc` or `NAMESPACE.pod`.
    Namespace(&'a str),
    /// `NAME.NAMESPACE.svc`.
    Service { namespace: &'a str, name: &'a str },
    /// `HOST.NAME.NAMESPACE.svc`.
    Endpoint {
        namespace: &'a str,
        name: &'a str,
        host: &'a str,
    },
    /// `_PORT._PROTOCOL.NAME.NAMESPACE.svc`.
    Port {
        namespace: &'a str,
        name: &'a str,
        port: &'a str,
        protocol: &'a str,
    },
    /// `A-B-C-D.NAMESPACE.pod`.
    Pod {
        namespace: &'a str,
        address: &'a str,
    },
    /// Nothing can have this name.
    Nothing,
}

/// Takes a name apart; `name` and `domain` are in lower case without the final dot. None if the name
/// is not below the domain.
pub(crate) fn subject<'a>(name: &'a str, domain: &str) -> Option<Subject<'a>> {
    let rest = name.strip_suffix(domain)?;
    if rest.is_empty() {
        return Some(Subject::Apex);
    }
    let rest = rest.strip_suffix('.')?;
    // At most five labels mean something; a sixth makes the name mean nothing.
    let mut labels = [""; 6];
    let mut count = 0;
    for (place, label) in labels.iter_mut().zip(rest.rsplit('.')) {
        *place = label;
        count += 1;
    }
    Some(match (labels, count) {
        (["svc" | "pod" | "dns", ..], 1) => Subject::Branch,
        (["dns-version", ..], 1) => Subject::Version,
        (["dns", "ns", ..], 2) => Subject::NameServer,
        (["svc" | "pod", namespace, ..], 2) => Subject::Namespace(namespace),
        (["pod", namespace, address, ..], 3) => Subject::Pod { namespace, address },
        (["svc", namespace, name, ..], 3) => Subject::Service { namespace, name },
        (["svc", namespace, name, host, ..], 4) => Subject::Endpoint {
            namespace,
            name,
            host,
        },
        (["svc", namespace, name, protocol, port, ..], 5) => {
            match (port.strip_prefix('_'), protocol.strip_prefix('_')) {
                (Some(port), Some(protocol)) => Subject::Port {
                    namespace,
                    name,
                    port,
                    protocol,
                },
                _ => Subject::Nothing,
            }
        }
        _ => Subject::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let of = |name| subject(name, "cluster.local");
        let (namespace, name) = ("shop", "web");
        assert_eq!(of("cluster.local"), Some(Subject::Apex));
        assert_eq!(of("example.org"), None);
        assert_eq!(of("notcluster.local"), None);
        assert_eq!(of("svc.cluster.local"), Some(Subject::Branch));
        assert_eq!(
            of("shop.svc.cluster.local"),
            Some(Subject::Namespace("shop"))
        );
        assert_eq!(
            of("web.shop.svc.cluster.local"),
            Some(Subject::Service { namespace, name })
        );
        assert_eq!(
            of("a.web.shop.svc.cluster.local"),
            Some(Subject::Endpoint {
                namespace,
                name,
                host: "a"
            })
        );
        assert_eq!(
            of("_http._tcp.web.shop.svc.cluster.local"),
            Some(Subject::Port {
                namespace,
                name,
                port: "http",
                protocol: "tcp"
            })
        );
        assert_eq!(
            of("10-42-0-1.shop.pod.cluster.local"),
            Some(Subject::Pod {
                namespace,
                address: "10-42-0-1"
            })
        );
        assert_eq!(of("a.b.web.shop.svc.cluster.local"), Some(Subject::Nothing));
        assert_eq!(
            of("x.a.b.web.shop.svc.cluster.local"),
            Some(Subject::Nothing)
        );
        assert_eq!(of("other.cluster.local"), Some(Subject::Nothing));
    }
}
