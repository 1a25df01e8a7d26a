//! The contract on a host in memory.

use k3s_plugin_sdk::Settings as _;
use k3s_plugin_sdk::cni::net::{LinkKind, NeighbourTable};
use k3s_plugin_sdk::cni::{FakeHost, PortMapping, Protocol};

use super::*;

fn flannel(config: &[u8]) -> Flannel {
    Flannel::new(Config::read(config).unwrap()).unwrap()
}

fn node(name: &str, cidr: Option<&str>, annotations: &[(&str, &str)]) -> Node {
    Node {
        name: name.into(),
        internal_ips: vec![format!("192.168.1.{}", name.len())],
        pod_cidrs: cidr.into_iter().map(str::to_owned).collect(),
        annotations: annotations
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    }
}

fn sandbox(id: &str) -> Sandbox {
    let port = PortMapping {
        protocol: Protocol::Udp,
        container_port: 53,
        host_port: 5353,
        host_ip: None,
    };
    Sandbox {
        id: id.into(),
        pod_namespace: "default".into(),
        pod_name: "a".into(),
        pod_uid: "u".into(),
        ports: vec![port],
        annotations: Vec::new(),
    }
}

fn synced(host: &FakeHost) -> Flannel {
    let mut flannel = flannel(b"");
    flannel
        .sync(host, "a", &[node("a", Some("10.42.0.0/24"), &[])])
        .unwrap();
    flannel
}

#[test]
fn nothing_is_added_before_the_node_has_a_cidr() {
    let host = FakeHost::default();
    let mut flannel = flannel(b"");
    assert!(matches!(
        flannel.add(&host, &sandbox("s1")),
        Err(Error::NotReady(_))
    ));
    assert!(matches!(
        flannel.sync(&host, "a", &[]),
        Err(Error::NotReady(_))
    ));
    assert!(matches!(
        flannel.sync(&host, "a", &[node("a", None, &[])]),
        Err(Error::NotReady(_))
    ));
    assert!(flannel.status().is_err());
    assert!(host.plans.borrow().is_empty());
}

#[test]
fn pods_come_and_go_without_a_trace() {
    let host = FakeHost::default();
    let mut flannel = synced(&host);
    assert_eq!(
        flannel.add(&host, &sandbox("s1")).unwrap().addresses,
        ["10.42.0.2"]
    );
    let range = host.range.borrow().clone().unwrap();
    assert_eq!(
        (range.subnet.as_str(), range.gateway.as_str()),
        ("10.42.0.0/24", "10.42.0.1")
    );
    assert_eq!(
        flannel.add(&host, &sandbox("s1")).unwrap().addresses,
        ["10.42.0.2"],
        "idempotent"
    );
    flannel.check(&host, &sandbox("s1")).unwrap();
    assert!(flannel.check(&host, &sandbox("s2")).is_err());
    {
        let plans = host.plans.borrow();
        let LinkKind::Pod(inside) = &plans["s1"].links[0].kind else {
            panic!("no pair")
        };
        assert_eq!(
            (inside.addresses[0].as_str(), inside.mac.as_deref()),
            ("10.42.0.2/24", Some("0a:58:0a:2a:00:02"))
        );
        assert_eq!(plans["s1"].elements.len(), 2);
    }
    flannel.del(&host, "s1").unwrap();
    flannel.del(&host, "s1").unwrap();
    assert_eq!(host.plans.borrow().keys().collect::<Vec<_>>(), ["node"]);
    assert!(host.leases.borrow().is_empty());
}

#[test]
fn every_failure_can_be_repeated_or_undone() {
    for fail_at in 1.. {
        let host = FakeHost::failing_at(fail_at);
        let mut flannel = flannel(b"");
        let nodes = [node("a", Some("10.42.0.0/24"), &[])];
        let first = flannel
            .sync(&host, "a", &nodes)
            .and_then(|_| flannel.add(&host, &sandbox("s1")).map(drop))
            .and_then(|()| flannel.del(&host, "s1"));
        if first.is_ok() {
            assert!(fail_at > 4, "the loop ended before anything failed");
            return;
        }
        assert!(matches!(first, Err(Error::Retry(_))), "{first:?}");
        flannel.sync(&host, "a", &nodes).unwrap();
        flannel.del(&host, "s1").unwrap();
        assert_eq!(
            (host.plans.borrow().len(), host.leases.borrow().len()),
            (1, 0),
            "call {fail_at}"
        );
    }
}

#[test]
fn what_belongs_to_no_sandbox_is_freed() {
    let host = FakeHost::default();
    let mut flannel = synced(&host);
    for id in ["s1", "s2", "s3"] {
        flannel.add(&host, &sandbox(id)).unwrap();
    }
    flannel.gc(&host, &["s2".into()]).unwrap();
    assert_eq!(
        host.plans.borrow().keys().collect::<Vec<_>>(),
        ["node", "s2"]
    );
    assert_eq!(host.leases.borrow().keys().collect::<Vec<_>>(), ["s2"]);
}

#[test]
fn other_nodes_are_reached_by_vxlan_once_they_say_how() {
    let host = FakeHost::default();
    let mut flannel = flannel(b"");
    let annotations = [
        ("flannel.alpha.coreos.com/backend-type", "vxlan"),
        (
            "flannel.alpha.coreos.com/backend-data",
            r#"{"VNI":1,"VtepMAC":"aa:bb:cc:dd:ee:ff"}"#,
        ),
        ("flannel.alpha.coreos.com/public-ip", "192.168.1.9"),
    ];
    let nodes = [
        node("a", Some("10.42.0.0/24"), &[]),
        node("bb", Some("10.42.1.0/24"), &annotations),
        node("ccc", Some("10.42.2.0/24"), &[]),
    ];
    let outcome = flannel.sync(&host, "a", &nodes).unwrap();
    let plans = host.plans.borrow();
    let plan = &plans["node"];
    let names: Vec<&str> = plan.links.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["cni0", "flannel.1"]);
    assert_eq!((plan.links[0].mtu, plan.links[1].mtu), (1450, 1450));
    assert_eq!(plan.routes.len(), 1);
    assert_eq!(plan.routes[0].route.gateway.as_deref(), Some("10.42.1.0"));
    let forwarding = plan
        .neighbours
        .iter()
        .find(|n| n.table == NeighbourTable::Forwarding)
        .unwrap();
    assert_eq!(
        (forwarding.address.as_str(), forwarding.mac.as_str()),
        ("192.168.1.9", "aa:bb:cc:dd:ee:ff")
    );
    let data = outcome
        .annotations
        .iter()
        .find(|(k, _)| k.ends_with("backend-data"))
        .unwrap();
    assert_eq!(data.1, r#"{"VNI":1,"VtepMAC":"02:42:0a:2a:00:00"}"#);
    assert_eq!(
        outcome.subnet_env,
        "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
    );
}

#[test]
fn host_gw_needs_routes_only() {
    let host = FakeHost::default();
    let mut flannel = flannel(br#"{"backend":"host-gw"}"#);
    let nodes = [
        node("a", Some("10.42.0.0/24"), &[]),
        node("bb", Some("10.42.1.0/24"), &[]),
    ];
    flannel.sync(&host, "a", &nodes).unwrap();
    let plans = host.plans.borrow();
    assert_eq!(plans["node"].links.len(), 1);
    assert_eq!(plans["node"].links[0].mtu, 1500);
    assert_eq!(
        plans["node"].routes[0].route.gateway.as_deref(),
        Some("192.168.1.2")
    );
}
