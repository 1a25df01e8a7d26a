//! What is done for what is found.

use k3s_sys::net::{Address, NeighbourTable, RouteScope, Vxlan};

use super::*;

fn found(index: u32, name: &str, kind: &str, alias: Option<&str>) -> Link {
    Link {
        index,
        name: name.into(),
        kind: Some(kind.into()),
        mtu: 1450,
        mac: None,
        up: true,
        controller: None,
        alias: alias.map(str::to_owned),
        vxlan: None,
    }
}

fn bridge() -> DesiredLink {
    DesiredLink {
        name: "cni0".into(),
        kind: Kind::Bridge,
        mtu: 1450,
        mac: None,
        bridge: None,
        hairpin: false,
        addresses: vec!["10.42.0.1/24".parse().unwrap()],
    }
}

fn pair() -> DesiredLink {
    let end = PodEnd {
        name: "eth0".into(),
        mac: None,
        addresses: vec!["10.42.0.2/24".parse().unwrap()],
        routes: vec![DesiredRoute {
            link: "eth0".into(),
            destination: "0.0.0.0/0".parse().unwrap(),
            gateway: Some([10, 42, 0, 1].into()),
            on_link: false,
        }],
    };
    DesiredLink {
        name: "veth1".into(),
        kind: Kind::Pod(end),
        bridge: Some("cni0".into()),
        hairpin: true,
        addresses: Vec::new(),
        ..bridge()
    }
}

fn texts(
    owner: &str,
    links: Vec<DesiredLink>,
    now: &Snapshot,
    inside: Option<&Snapshot>,
) -> Vec<String> {
    let desired = Desired {
        links,
        ..Desired::default()
    };
    diff(owner, &desired, now, inside)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn address(index: u32, net: &str) -> Address {
    Address {
        index,
        net: net.parse().unwrap(),
        host_scope: false,
    }
}

#[test]
fn a_bridge_is_made_adopted_or_put_right() {
    let empty = Snapshot::default();
    assert_eq!(
        texts("node", vec![bridge()], &empty, None),
        ["add bridge cni0", "add 10.42.0.1/24 to cni0"]
    );

    let good = Snapshot {
        links: vec![found(5, "cni0", "bridge", Some("k3s-cni:node"))],
        addresses: vec![address(5, "10.42.0.1/24")],
        ..Snapshot::default()
    };
    assert!(texts("node", vec![bridge()], &good, None).is_empty());

    let old = Snapshot {
        links: vec![found(5, "cni0", "bridge", None)],
        addresses: vec![address(5, "10.42.7.1/24")],
        ..Snapshot::default()
    };
    let actions = texts("node", vec![bridge()], &old, None);
    assert!(actions[0].contains("adopt: true"), "{actions:?}");
    assert_eq!(
        actions[1..],
        ["add 10.42.0.1/24 to cni0", "delete 10.42.7.1/24 from cni0"]
    );
}

#[test]
fn what_is_somebody_else_s_is_a_conflict() {
    for (kind, alias) in [("dummy", None), ("bridge", Some("k3s-cni:other"))] {
        let now = Snapshot {
            links: vec![found(5, "cni0", kind, alias)],
            ..Snapshot::default()
        };
        let desired = Desired {
            links: vec![bridge()],
            ..Desired::default()
        };
        assert!(matches!(
            diff("node", &desired, &now, None),
            Err(PlanError::Conflict(_))
        ));
    }
}

#[test]
fn a_pod_is_connected_once() {
    let host = Snapshot {
        links: vec![found(5, "cni0", "bridge", Some("k3s-cni:node"))],
        ..Snapshot::default()
    };
    let inside = Snapshot::default();
    let actions = texts("s1", vec![pair()], &host, Some(&inside));
    assert_eq!(actions[0], "add veth veth1");
    assert_eq!(
        actions[2..],
        [
            "add 10.42.0.2/24 to eth0 in the pod",
            "set route 0.0.0.0/0 over eth0 in the pod"
        ]
    );

    let mut connected = found(6, "veth1", "veth", Some("k3s-cni:s1"));
    connected.controller = Some(5);
    let host = Snapshot {
        links: vec![host.links[0].clone(), connected],
        ..Snapshot::default()
    };
    let inside = Snapshot {
        links: vec![found(2, "eth0", "veth", None)],
        addresses: vec![address(2, "10.42.0.2/24")],
        routes: vec![Route {
            destination: "0.0.0.0/0".parse().unwrap(),
            gateway: Some([10, 42, 0, 1].into()),
            index: 2,
            source: None,
            metric: None,
            scope: RouteScope::Universe,
            on_link: false,
            owned: true,
        }],
        ..Snapshot::default()
    };
    assert!(texts("s1", vec![pair()], &host, Some(&inside)).is_empty());

    // The same sandbox with a new namespace.
    let again = texts("s1", vec![pair()], &host, Some(&Snapshot::default()));
    assert_eq!(again[..2], ["delete link veth1", "add veth veth1"]);
    // A maker that died before it named the owner.
    let orphan = Snapshot {
        links: vec![found(6, "veth1", "veth", None)],
        ..Snapshot::default()
    };
    assert_eq!(
        texts("s1", vec![pair()], &orphan, Some(&inside))[..2],
        ["delete link veth1", "add veth veth1"]
    );
    // The sandbox is gone.
    assert_eq!(texts("s1", Vec::new(), &host, None), ["delete link veth1"]);
}

#[test]
fn a_tunnel_with_other_parameters_is_made_anew_and_stale_entries_go() {
    let kind = Kind::Vxlan {
        id: 1,
        port: 8472,
        local: [192, 168, 1, 1].into(),
        underlay: "eth0".into(),
    };
    let wanted = DesiredLink {
        name: "flannel.1".into(),
        kind,
        addresses: Vec::new(),
        ..bridge()
    };
    let mut tunnel = found(7, "flannel.1", "vxlan", Some("k3s-cni:node"));
    tunnel.vxlan = Some(Vxlan {
        id: 1,
        port: 8472,
        local: Some([192, 168, 1, 1].into()),
        underlay: Some(2),
    });
    let mut uplink = found(2, "eth0", "", None);
    uplink.kind = None;
    let mac: Mac = "02:00:00:00:00:01".parse().unwrap();
    let stale = Neighbour {
        table: NeighbourTable::Arp,
        index: 7,
        address: [10, 42, 9, 0].into(),
        mac,
    };
    let route = Route {
        destination: "10.42.9.0/24".parse().unwrap(),
        gateway: None,
        index: 7,
        source: None,
        metric: None,
        scope: RouteScope::Universe,
        on_link: false,
        owned: true,
    };
    let now = |tunnel: &Link| Snapshot {
        links: vec![uplink.clone(), tunnel.clone()],
        neighbours: vec![stale],
        routes: vec![
            route.clone(),
            Route {
                owned: false,
                ..route.clone()
            },
        ],
        ..Snapshot::default()
    };
    assert_eq!(
        texts("node", vec![wanted.clone()], &now(&tunnel), None),
        [
            "delete route 10.42.9.0/24",
            "delete Arp entry 10.42.9.0 02:00:00:00:00:01"
        ]
    );
    tunnel.vxlan = tunnel.vxlan.map(|v| Vxlan { port: 4789, ..v });
    assert_eq!(
        texts("node", vec![wanted], &now(&tunnel), None)[..2],
        ["delete link flannel.1", "add vxlan flannel.1"]
    );
}

#[test]
fn settings_are_changed_only_if_they_differ() {
    let desired = Desired {
        sysctls: vec![("net.ipv4.ip_forward".into(), "1".into())],
        ..Desired::default()
    };
    let with = |value: &str| Snapshot {
        sysctls: Some([("net.ipv4.ip_forward".to_owned(), value.to_owned())].into()),
        ..Snapshot::default()
    };
    assert!(diff("node", &desired, &with("1"), None).unwrap().is_empty());
    assert_eq!(
        diff("node", &desired, &with("0"), None).unwrap()[0].to_string(),
        "set net.ipv4.ip_forward=1"
    );
}
