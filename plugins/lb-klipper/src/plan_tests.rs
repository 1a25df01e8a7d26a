//! Table tests of the plan.

use super::testing::{address, cluster, node, service};
use super::*;
use crate::model::{Family, Protocol};

fn addresses(assignment: &Assignment) -> Vec<String> {
    let shown = assignment.ingress.iter();
    shown.map(|ingress| ingress.ip.clone()).collect()
}

#[test]
fn every_node_answers_and_external_addresses_are_preferred() {
    let mut outside = node("n2", 2);
    let v6: std::net::IpAddr = "2001:db8::2".parse().unwrap();
    outside.external = vec![address([203, 0, 113, 2]), address(v6)];
    let known = cluster(&[service("web", &[80])], &[node("n1", 1), node("n3", 3)]);
    assert_eq!(
        addresses(&assign(&known, &[])["default/web"]),
        ["192.0.2.1", "192.0.2.3"]
    );

    let known = cluster(&[service("web", &[80])], &[node("n1", 1), outside.clone()]);
    let web = &assign(&known, &[])["default/web"];
    assert_eq!(
        addresses(web),
        ["203.0.113.2"],
        "external ones only, once there is one"
    );
    assert_eq!(
        web.forwards[0],
        Forward {
            node: "n1".into(),
            addresses: vec!["192.0.2.1".into()],
        },
        "the others still answer"
    );
    assert_eq!(
        web.forwards[1].addresses.len(),
        2,
        "on internal and external addresses"
    );

    let dual = Service {
        families: vec![Family::V6, Family::V4],
        ..service("web", &[80])
    };
    let known = cluster(&[dual], &[outside]);
    assert_eq!(
        addresses(&assign(&known, &[])["default/web"]),
        ["2001:db8::2", "203.0.113.2"]
    );
}

#[test]
fn a_port_belongs_to_the_service_that_had_it_first() {
    let young = Service {
        created: "2026-02-01T00:00:00Z".into(),
        ..service("a-young", &[80, 81])
    };
    let old = service("old", &[80]);
    let udp = Service {
        ports: vec![(Protocol::Udp, 80)],
        ..service("udp", &[])
    };
    let known = cluster(&[young.clone(), old.clone(), udp], &[node("n1", 1)]);
    let all = assign(&known, &[]);
    assert_eq!(addresses(&all["default/old"]), ["192.0.2.1"]);
    assert_eq!(
        addresses(&all["default/udp"]),
        ["192.0.2.1"],
        "another protocol is another port"
    );
    let loser = &all["default/a-young"];
    assert!(loser.claimed && loser.ingress.is_empty() && loser.forwards.is_empty());
    assert_eq!(
        loser.problems,
        [problem(
            PORT_CONFLICT,
            "port 80/TCP is used by Service default/old on node n1".to_owned()
        )]
    );

    // Whoever is served stays, however old the other is.
    let served = Service {
        has_ingress: true,
        ..young
    };
    let known = cluster(&[served, old], &[node("n1", 1)]);
    let all = assign(&known, &[]);
    assert!(all["default/old"].ingress.is_empty());
    assert_eq!(addresses(&all["default/a-young"]), ["192.0.2.1"]);
}

#[test]
fn reserved_ports_are_not_given() {
    let reserved = [Reserved {
        protocol: Protocol::Tcp,
        port: 443,
        by: "the ingress controller".into(),
    }];
    let known = cluster(
        &[service("web", &[443])],
        &[node("n1", 1), node("n2", 2), node("n3", 3), node("n4", 4)],
    );
    let web = &assign(&known, &reserved)["default/web"];
    assert!(web.ingress.is_empty());
    let expected = "port 443/TCP is used by the ingress controller on nodes n1, n2, n3 and 1 more";
    assert_eq!(web.problems[0].message, expected);
}

#[test]
fn without_nodes_the_service_is_told() {
    let local = Service {
        local: true,
        ..service("local", &[81])
    };
    let known = cluster(
        &[service("web", &[80]), local],
        &[Node {
            ready: false,
            ..node("n1", 1)
        }],
    );
    let all = assign(&known, &[]);
    assert_eq!(all["default/web"].problems[0].reason, NO_NODES);
    assert!(
        all["default/local"].problems.is_empty(),
        "it has no endpoint yet, which says itself"
    );
}

#[test]
fn a_service_that_is_deleted_gives_its_ports_back() {
    let going = Service {
        deleting: true,
        has_ingress: true,
        ..service("going", &[80])
    };
    let known = cluster(&[going, service("web", &[80])], &[node("n1", 1)]);
    let all = assign(&known, &[]);
    assert_eq!(
        all["default/going"],
        Assignment {
            claimed: true,
            ..Assignment::nothing("default/going")
        }
    );
    assert_eq!(addresses(&all["default/web"]), ["192.0.2.1"]);
}

#[test]
fn services_of_others_are_left_alone() {
    let other = Service {
        claimed: false,
        ..service("other", &[80])
    };
    let known = cluster(&[other, service("web", &[80])], &[node("n1", 1)]);
    let all = assign(&known, &[]);
    assert_eq!(all["default/other"], Assignment::nothing("default/other"));
    assert_eq!(addresses(&all["default/web"]), ["192.0.2.1"]);
}
