//! Table tests of the plan: a Service and endpoints in, element counts and verdicts out.

use super::*;

fn plan(service: &Service, endpoints: &Endpoints) -> Vec<Planned> {
    super::plan(service, endpoints, &Reserved::default()).frontends
}

fn endpoint(last: u8, flags: &str) -> Endpoint {
    Endpoint {
        address: [10, 42, 0, last].into(),
        port: 8080,
        ready: flags.contains('r'),
        serving: flags.contains('r') || flags.contains('s'),
        terminating: flags.contains('t'),
        local: flags.contains('l'),
    }
}

fn endpoints(flags: &[&str]) -> Endpoints {
    let all = (1..).zip(flags).map(|(n, f)| endpoint(n, f)).collect();
    BTreeMap::from([((String::new(), Transport::Tcp), all)])
}

fn service() -> Service {
    Service {
        cluster_ips: vec![[10, 43, 0, 1].into()],
        ports: vec![ServicePort {
            name: String::new(),
            transport: Transport::Tcp,
            port: 80,
            node_port: None,
        }],
        ..Service::default()
    }
}

const NODE_PORT: u16 = 30_080;

fn with_node_port(external_local: bool) -> Service {
    let mut service = service();
    service.ports[0].node_port = Some(NODE_PORT);
    Service {
        external_local,
        ..service
    }
}

fn frontend(planned: &[Planned], wanted: Frontend) -> &Planned {
    planned.iter().find(|p| p.frontend == wanted).unwrap()
}

const VIP: Frontend = Frontend::Address(Ipv4Addr::new(10, 43, 0, 1), Transport::Tcp, 80);
const NODE: Frontend = Frontend::NodePort(Transport::Tcp, NODE_PORT);

/// `set>verdict` for verdict rows, `set*count` for the others.
fn shape(planned: &Planned) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shape = Vec::new();
    for row in &planned.rows {
        match &row.data {
            Data::Verdict(Verdict::Goto(chain)) => shape.push(format!("{}>{chain}", row.set)),
            Data::Verdict(verdict) => shape.push(format!("{}>{verdict:?}", row.set)),
            _ => *counts.entry(row.set).or_default() += 1,
        }
    }
    shape.extend(counts.iter().map(|(set, count)| format!("{set}*{count}")));
    shape
}

#[test]
fn endpoints_take_part_by_their_conditions() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["r", "r", ""],
            &["services>pick-address-offcluster-all2", "endpoints*2"],
        ),
        (
            &["r", "st"],
            &["services>pick-address-offcluster-all1", "endpoints*1"],
        ),
        (
            &["st", "t", "s"],
            &["services>pick-address-offcluster-all1", "endpoints*1"],
        ),
        (&["", "t"], &["dead-services>reject"]),
        (&[], &["dead-services>reject"]),
    ];
    for (flags, expected) in cases {
        assert_eq!(
            shape(frontend(&plan(&service(), &endpoints(flags)), VIP)),
            *expected,
            "{flags:?}"
        );
    }
}

#[test]
fn internal_traffic_policy_local_stays_on_the_node() {
    let service = Service {
        internal_local: true,
        ..service()
    };
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["rl", "r"],
            &["services>pick-address-offcluster-local1", "endpoints*1"],
        ),
        (&["r"], &["dead-services>Drop"]),
        (
            &["stl", "r"],
            &["services>pick-address-offcluster-local1", "endpoints*1"],
        ),
        (&[], &["dead-services>reject"]),
    ];
    for (flags, expected) in cases {
        assert_eq!(
            shape(frontend(&plan(&service, &endpoints(flags)), VIP)),
            *expected,
            "{flags:?}"
        );
    }
}

#[test]
fn node_ports_hide_their_callers_unless_the_policy_is_local() {
    let planned = plan(&with_node_port(false), &endpoints(&["rl", "r"]));
    assert_eq!(
        shape(frontend(&planned, NODE)),
        [
            "nodeports>pick-nodeport-always-all2",
            "nodeport-endpoints*2"
        ]
    );

    let planned = plan(&with_node_port(true), &endpoints(&["rl", "r"]));
    let expected = [
        "nodeports-internal>pick-nodeport-offcluster-all2",
        "nodeports>pick-nodeport-never-local1",
        "nodeport-endpoints*3",
    ];
    assert_eq!(shape(frontend(&planned, NODE)), expected);

    let planned = plan(&with_node_port(true), &endpoints(&["r"]));
    let expected = [
        "nodeports-internal>pick-nodeport-offcluster-all1",
        "dead-nodeports-external>Drop",
        "nodeport-endpoints*1",
    ];
    assert_eq!(shape(frontend(&planned, NODE)), expected);
}

#[test]
fn the_cluster_address_itself_is_known() {
    let planned = plan(&service(), &Endpoints::new());
    assert_eq!(
        shape(frontend(
            &planned,
            Frontend::ClusterIp([10, 43, 0, 1].into())
        )),
        ["cluster-ips*1"]
    );
}

#[test]
fn affinity_lists_what_may_be_remembered() {
    let service = Service {
        affinity_secs: Some(60),
        external_local: true,
        ..with_node_port(true)
    };
    let planned = plan(&service, &endpoints(&["rl", "r"]));
    assert_eq!(
        shape(frontend(&planned, VIP)),
        [
            "services>pick-address-offcluster-all2-sticky60",
            "endpoints*2",
            "sticky-endpoints*2"
        ]
    );
    assert!(shape(frontend(&planned, NODE)).contains(&"nodeport-sticky-endpoints*2".to_owned()));
}

#[test]
fn load_balancer_addresses_obey_source_ranges() {
    let ranges = ["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/24"].map(|r| r.parse().unwrap());
    let service = Service {
        load_balancer_ips: vec![[1, 2, 3, 4].into()],
        source_ranges: ranges.to_vec(),
        ..service()
    };
    let planned = plan(&service, &endpoints(&["r"]));
    let vip = frontend(
        &planned,
        Frontend::Address([1, 2, 3, 4].into(), Transport::Tcp, 80),
    );
    assert_eq!(
        shape(vip),
        [
            "services>pick-address-ifremote-all1",
            "allowed-sources*2",
            "endpoints*1",
            "restricted*1"
        ]
    );
}

#[test]
fn the_order_of_endpoints_does_not_matter() {
    let mut turned = endpoints(&["r", "rl", "r"]);
    turned.values_mut().for_each(|all| all.reverse());
    assert_eq!(
        plan(&service(), &turned),
        plan(&service(), &endpoints(&["r", "rl", "r"]))
    );
}
