//! Questions and the answers that CoreDNS gives.

use std::sync::Arc;

use super::*;
use crate::zone::Entry;

fn port(name: &str, protocol: &'static str, number: u16) -> Port {
    Port {
        name: name.into(),
        protocol,
        number,
    }
}

fn zone() -> Zone {
    let mut zone = Zone::default();
    for namespace in ["default", "kube-system", "shop"] {
        zone.set_namespace(namespace, true);
    }
    let web = Entry {
        cluster_ips: vec![[10, 43, 0, 80].into()],
        ports: vec![port("http", "tcp", 80), port("dns", "udp", 53)],
        ..Entry::default()
    };
    zone.set_service(&"shop/web".into(), Some(web));
    let ports: Arc<[Port]> = vec![port("peer", "tcp", 7000)].into();
    let endpoint = |last, hostname: Option<&str>| Endpoint {
        address: [10, 42, 0, last].into(),
        hostname: hostname.map(str::to_owned),
        ports: ports.clone(),
    };
    let db = Entry {
        kind: ServiceKind::Headless,
        endpoints: vec![endpoint(1, Some("db-0")), endpoint(2, None)],
        ..Entry::default()
    };
    zone.set_service(&"shop/db".into(), Some(db));
    zone.set_service(
        &"shop/none".into(),
        Some(Entry {
            kind: ServiceKind::Headless,
            ..Entry::default()
        }),
    );
    let external = Entry {
        kind: ServiceKind::External("api.example.org".into()),
        ..Entry::default()
    };
    zone.set_service(&"shop/out".into(), Some(external));
    zone.set_node("Node-1", vec![[192, 168, 1, 7].into()]);
    zone
}

/// The answer as text: code, records, `|`, additional records; `SOA` for a negative answer's authority.
fn ask(name: &str, kind: RecordType) -> String {
    let domain = Domain::new("cluster.local", [10, 43, 0, 10].into(), 7).unwrap();
    let Some(answer) = answer(&zone(), &domain, &Name::from_ascii(name).unwrap(), kind) else {
        return "ask".into();
    };
    let list = |records: &[Record]| {
        let texts: Vec<String> = records
            .iter()
            .map(|r| format!("{}={}", r.ttl, r.data))
            .collect();
        texts.join(" ")
    };
    let code = if answer.code == ResponseCode::NXDomain {
        "NX"
    } else {
        "OK"
    };
    let soa = if answer.authorities.is_empty() {
        ""
    } else {
        " SOA"
    };
    let more = if answer.additionals.is_empty() {
        String::new()
    } else {
        format!(" | {}", list(&answer.additionals))
    };
    format!("{code} {}{soa}{more}", list(&answer.answers))
        .replace("  ", " ")
        .trim_end()
        .to_owned()
}

#[test]
fn names_get_coredns_answers() {
    use RecordType::{A, AAAA, ANY, CNAME, MX, NS, PTR, SRV, TXT};
    let cases = [
        ("web.shop.svc.cluster.local.", A, "OK 5=10.43.0.80"),
        ("WEB.Shop.svc.cluster.local.", A, "OK 5=10.43.0.80"),
        ("web.shop.svc.cluster.local.", AAAA, "OK SOA"),
        ("web.shop.svc.cluster.local.", MX, "OK SOA"),
        ("web.shop.svc.cluster.local.", ANY, "OK SOA"),
        ("nosuch.shop.svc.cluster.local.", A, "NX SOA"),
        ("web.nosuch.svc.cluster.local.", A, "NX SOA"),
        ("web.shop.cluster.local.", A, "NX SOA"),
        ("shop.svc.cluster.local.", A, "OK SOA"),
        ("nosuch.svc.cluster.local.", A, "NX SOA"),
        ("svc.cluster.local.", A, "OK SOA"),
        ("*.shop.svc.cluster.local.", A, "NX SOA"),
        (
            "db.shop.svc.cluster.local.",
            A,
            "OK 5=10.42.0.1 5=10.42.0.2",
        ),
        ("none.shop.svc.cluster.local.", A, "NX SOA"),
        ("db-0.db.shop.svc.cluster.local.", A, "OK 5=10.42.0.1"),
        ("10-42-0-2.db.shop.svc.cluster.local.", A, "OK 5=10.42.0.2"),
        ("10-42-0-1.db.shop.svc.cluster.local.", A, "NX SOA"),
        (
            "_http._tcp.web.shop.svc.cluster.local.",
            SRV,
            "OK 5=0 100 80 web.shop.svc.cluster.local. | 5=10.43.0.80",
        ),
        ("_http._udp.web.shop.svc.cluster.local.", SRV, "NX SOA"),
        (
            "_http._tcp.web.shop.svc.cluster.local.",
            A,
            "OK 5=10.43.0.80",
        ),
        (
            "_peer._tcp.db.shop.svc.cluster.local.",
            SRV,
            "OK 5=0 50 7000 db-0.db.shop.svc.cluster.local. 5=0 50 7000 10-42-0-2.db.shop.svc.cluster.local. | 5=10.42.0.1 5=10.42.0.2",
        ),
        ("10-42-0-9.shop.pod.cluster.local.", A, "OK 5=10.42.0.9"),
        ("10-42-0-9.nosuch.pod.cluster.local.", A, "NX SOA"),
        ("nonsense.shop.pod.cluster.local.", A, "NX SOA"),
        (
            "out.shop.svc.cluster.local.",
            CNAME,
            "OK 5=api.example.org.",
        ),
        ("out.shop.svc.cluster.local.", A, "OK 5=api.example.org."),
        (
            "cluster.local.",
            NS,
            "OK 5=ns.dns.cluster.local. | 5=10.43.0.10",
        ),
        ("cluster.local.", A, "OK SOA"),
        ("ns.dns.cluster.local.", A, "OK 5=10.43.0.10"),
        ("dns-version.cluster.local.", TXT, "OK 5=1.1.0"),
        ("node-1.", A, "OK 60=192.168.1.7"),
        (
            "80.0.43.10.in-addr.arpa.",
            PTR,
            "OK 5=web.shop.svc.cluster.local.",
        ),
        (
            "1.0.42.10.in-addr.arpa.",
            PTR,
            "OK 5=db-0.db.shop.svc.cluster.local.",
        ),
        (
            "2.0.42.10.in-addr.arpa.",
            PTR,
            "OK 5=10-42-0-2.db.shop.svc.cluster.local.",
        ),
        ("7.1.168.192.in-addr.arpa.", PTR, "OK 60=node-1."),
        ("9.9.9.9.in-addr.arpa.", PTR, "ask"),
        ("example.org.", A, "ask"),
    ];
    for (name, kind, expected) in cases {
        assert_eq!(ask(name, kind), expected, "{name} {kind}");
    }
}

#[test]
fn answers_repeat_the_client_s_spelling_and_follow_aliases() {
    let domain = Domain::new("cluster.local", [10, 43, 0, 10].into(), 7).unwrap();
    let name = Name::from_ascii("Web.SHOP.svc.cluster.local.").unwrap();
    let answered = answer(&zone(), &domain, &name, RecordType::A).unwrap();
    assert!(answered.answers[0].name.eq_case(&name));
    let alias = Name::from_ascii("out.shop.svc.cluster.local.").unwrap();
    let answered = answer(&zone(), &domain, &alias, RecordType::A).unwrap();
    assert_eq!(
        answered.follow,
        Some(Name::from_ascii("api.example.org.").unwrap())
    );
}
