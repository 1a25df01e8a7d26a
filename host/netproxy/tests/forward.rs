//! Real packets through the rules: pods, the node itself and a machine outside call Services. Needs
//! root; every test has network namespaces of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod lab;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};

use k3s_client::resources;
use k3s_sys::nft::Nftables;
use serde_json::json;

use lab::{Lab, OUTSIDE_OF_NODE, ask, call, eventually, on_a_node};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 80);
const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Enough calls that an endpoint left out by chance is one in a million.
const CALLS: usize = 48;

fn answerers(
    mut call: impl FnMut() -> std::io::Result<(Ipv4Addr, Ipv4Addr)>,
) -> BTreeSet<Ipv4Addr> {
    (0..CALLS).map(|_| call().unwrap().0).collect()
}

#[test]
fn a_cluster_ip_reaches_every_endpoint_from_pods_and_from_the_node() {
    on_a_node(|| async {
        let lab = Lab::new(3);
        lab.service(VIP, json!({}));
        lab.endpoints(&[0, 1, 2]);
        lab.start_proxy().await;
        let all: BTreeSet<_> = lab.pods.iter().map(|p| p.address).collect();

        assert_eq!(answerers(|| call((VIP, 80))), all);
        assert_eq!(
            answerers(|| lab.pods[0].call((VIP, 80))),
            all,
            "its own endpoint among them: hairpin"
        );
        let seen: BTreeSet<_> = (0..CALLS)
            .map(|_| lab.pods[0].call((VIP, 80)).unwrap())
            .collect();
        for (server, client) in seen {
            let expected = if server == lab.pods[0].address {
                [10, 42, 0, 1].into()
            } else {
                lab.pods[0].address
            };
            assert_eq!(
                client, expected,
                "{server} sees a pod as itself, unless it called itself"
            );
        }

        // Out of rotation, and back.
        lab.endpoints(&[1]);
        eventually("only one endpoint answers", || {
            answerers(|| call((VIP, 80))) == BTreeSet::from([lab.pods[1].address])
        })
        .await;
        lab.api.remove(&resources::SERVICES, "default", "web");
        eventually("the service is gone", || call((VIP, 80)).is_err()).await;
        lab.stop().await;
    });
}

/// As the API server behind `kubernetes`, and the cluster's DNS.
#[test]
fn an_endpoint_may_be_the_node_itself() {
    on_a_node(|| async {
        let lab = Lab::new(1);
        let node = (OUTSIDE_OF_NODE, 8080);
        let listener = std::net::TcpListener::bind(node).unwrap();
        let socket = UdpSocket::bind(node).unwrap();
        std::thread::spawn(move || {
            while let Ok((mut stream, peer)) = listener.accept() {
                let _ = std::io::Write::write_all(
                    &mut stream,
                    format!("{} {}", node.0, peer.ip()).as_bytes(),
                );
            }
        });
        std::thread::spawn(move || {
            while let Ok((_, peer)) = socket.recv_from(&mut [0; 8]) {
                let _ = socket.send_to(format!("{} {}", node.0, peer.ip()).as_bytes(), peer);
            }
        });
        lab.service(VIP, json!({}));
        lab.slice(vec![
            json!({"addresses": [node.0.to_string()], "nodeName": lab::NODE}),
        ]);
        lab.start_proxy().await;
        let pod = &lab.pods[0];
        assert_eq!(
            pod.call((VIP, 80)).unwrap(),
            (node.0, pod.address),
            "a pod is seen as itself"
        );
        assert_eq!(call((VIP, 80)).unwrap().0, node.0);
        assert_eq!(call((LOCALHOST, 30080)).unwrap().0, node.0);
        assert_eq!(
            lab.outside.call((OUTSIDE_OF_NODE, 30080)).unwrap().0,
            node.0
        );
        let from_pod = pod.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        assert_eq!(ask(&from_pod, (VIP, 80)).unwrap(), (node.0, pod.address));
        assert_eq!(
            ask(&UdpSocket::bind("0.0.0.0:0").unwrap(), (VIP, 80))
                .unwrap()
                .0,
            node.0
        );
        lab.stop().await;
    });
}

#[test]
fn a_service_without_endpoints_refuses_at_once() {
    on_a_node(|| async {
        let lab = Lab::new(1);
        lab.service(VIP, json!({}));
        lab.start_proxy().await;
        for result in [
            call((VIP, 80)),
            lab.pods[0].call((VIP, 80)),
            call((VIP, 81)),
            lab.pods[0].call((VIP, 81)),
        ] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
        for result in [
            call((LOCALHOST, 30080)),
            lab.outside.call((OUTSIDE_OF_NODE, 30080)),
        ] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
        lab.endpoints(&[0]);
        eventually("the endpoint answers", || call((VIP, 80)).is_ok()).await;
        lab.stop().await;
    });
}

#[test]
fn a_node_port_answers_outside_on_the_node_and_on_localhost() {
    on_a_node(|| async {
        let lab = Lab::new(2);
        lab.service(VIP, json!({"type": "NodePort"}));
        lab.endpoints(&[0, 1]);
        lab.start_proxy().await;
        let all: BTreeSet<_> = lab.pods.iter().map(|p| p.address).collect();
        assert_eq!(
            answerers(|| lab.outside.call((OUTSIDE_OF_NODE, 30080))),
            all
        );
        assert_eq!(answerers(|| call((OUTSIDE_OF_NODE, 30080))), all);
        assert_eq!(answerers(|| call((LOCALHOST, 30080))), all);
        assert_eq!(
            answerers(|| lab.pods[0].call((OUTSIDE_OF_NODE, 30080))),
            all
        );
        let (_, seen) = lab.outside.call((OUTSIDE_OF_NODE, 30080)).unwrap();
        assert_eq!(
            seen,
            Ipv4Addr::new(10, 42, 0, 1),
            "the answer must come back through the node"
        );

        let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
        ask(&udp, (LOCALHOST, 30080)).unwrap();
        lab.stop().await;
    });
}

#[test]
fn loopback_services_of_the_node_stay_out_of_reach() {
    on_a_node(|| async {
        let lab = Lab::new(1);
        lab.start_proxy().await;
        let secret = std::net::TcpListener::bind("127.0.0.1:7000").unwrap();
        // The neighbour sends packets for 127.0.0.1 to the node, as an attacker on the link would.
        lab.outside.run(|| {
            k3s_sys::net::sysctl::set("net.ipv4.conf.all.route_localnet", "1").unwrap();
            let net = k3s_sys::net::Net::current().unwrap();
            let lo = net.require_link("lo").unwrap().index;
            net.delete_address(lo, "127.0.0.1/8".parse().unwrap())
                .unwrap();
        });
        assert!(lab.outside.call((LOCALHOST, 7000)).is_err());
        drop(secret);
        lab.stop().await;
    });
}

#[test]
fn external_policy_local_shows_the_caller_and_uses_this_node_only() {
    on_a_node(|| async {
        let lab = Lab::new(2);
        lab.service(
            VIP,
            json!({"type": "NodePort", "externalTrafficPolicy": "Local"}),
        );
        let remote =
            json!({"addresses": [lab.pods[1].address.to_string()], "nodeName": "elsewhere"});
        let here = json!({"addresses": [lab.pods[0].address.to_string()], "nodeName": lab::NODE});
        lab.slice(vec![here, remote.clone()]);
        lab.start_proxy().await;
        for _ in 0..CALLS {
            let answer = lab.outside.call((OUTSIDE_OF_NODE, 30080)).unwrap();
            assert_eq!(answer, (lab.pods[0].address, lab.outside.address));
        }
        assert_eq!(
            answerers(|| call((LOCALHOST, 30080))).len(),
            2,
            "the node itself reaches all"
        );

        lab.slice(vec![remote]);
        eventually("dropped for outsiders", || {
            lab.outside
                .call((OUTSIDE_OF_NODE, 30080))
                .is_err_and(|e| e.kind() == ErrorKind::TimedOut)
        })
        .await;
        assert!(call((LOCALHOST, 30080)).is_ok());
        lab.stop().await;
    });
}

#[test]
fn external_addresses_and_source_ranges() {
    on_a_node(|| async {
        let lab = Lab::new(1);
        let vip = Ipv4Addr::new(203, 0, 113, 7);
        let status =
            json!({"loadBalancer": {"ingress": [{"ip": vip.to_string(), "ipMode": "VIP"}]}});
        lab.service(
            VIP,
            json!({"type": "LoadBalancer", "status": status, "externalIPs": ["203.0.113.8"]}),
        );
        lab.endpoints(&[0]);
        lab.start_proxy().await;
        assert!(lab.outside.call((vip, 80)).is_ok());
        assert!(lab.outside.call(([203, 0, 113, 8].into(), 80)).is_ok());

        lab.service(VIP, json!({"type": "LoadBalancer", "status": status, "loadBalancerSourceRanges": ["10.0.0.0/8"]}));
        eventually("strangers are kept out", || {
            lab.outside.call((vip, 80)).is_err()
        })
        .await;
        assert!(lab.pods[0].call((vip, 80)).is_ok(), "within the range");
        lab.stop().await;
    });
}

#[test]
fn a_load_balancer_answers_on_node_addresses_and_shows_the_caller() {
    on_a_node(|| async {
        let lab = Lab::new(3);
        let node = OUTSIDE_OF_NODE;
        lab.service(VIP, json!({"type": "LoadBalancer", "ports": [{"name": "tcp", "port": 80}, {"name": "udp", "port": 80, "protocol": "UDP"}]}));
        lab.endpoints(&[0, 1]);
        lab.start_proxy().await;
        assert!(
            lab.outside.call((node, 80)).is_err(),
            "not assigned to this node"
        );

        lab.forwards.set("default/web", vec![node]);
        eventually("the node answers", || lab.outside.call((node, 80)).is_ok()).await;
        assert_eq!(answerers(|| lab.outside.call((node, 80))).len(), 2);
        assert_eq!(
            lab.outside.call((node, 80)).unwrap().1,
            lab.outside.address,
            "pods on this node see who calls"
        );
        assert!(call((node, 80)).is_ok(), "the node itself");
        assert!(lab.pods[2].call((node, 80)).is_ok(), "a pod of this node");
        let seen: BTreeSet<_> = (0..CALLS)
            .map(|_| lab.pods[0].call((node, 80)).unwrap().0)
            .collect();
        assert!(
            seen.contains(&lab.pods[0].address),
            "a pod that calls itself by the node's address"
        );
        let udp = lab.outside.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        assert_eq!(ask(&udp, (node, 80)).unwrap().1, lab.outside.address);

        // An endpoint on another node must answer through this one. It is a pod here, so that the
        // packets arrive.
        lab.slice(vec![
            json!({"addresses": [lab.pods[0].address.to_string()], "nodeName": "elsewhere"}),
        ]);
        eventually("the caller is hidden from other nodes", || {
            lab.outside
                .call((node, 80))
                .is_ok_and(|(_, seen)| seen == Ipv4Addr::new(10, 42, 0, 1))
        })
        .await;

        lab.forwards.set("default/web", Vec::new());
        eventually("it does not answer any more", || {
            lab.outside.call((node, 80)).is_err()
        })
        .await;
        lab.stop().await;
    });
}

#[test]
fn the_health_check_port_says_whether_this_node_has_endpoints() {
    on_a_node(|| async {
        let lab = Lab::new(1);
        let spec = |port: u16| json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": port});
        let page = |port: u16| lab.outside.run(|| http(port));
        lab.service(VIP, spec(31_000));
        lab.endpoints(&[0]);
        lab.start_proxy().await;
        eventually("healthy", || {
            page(31_000).is_some_and(|page| page.starts_with("HTTP/1.1 200"))
        })
        .await;
        let healthy = page(31_000).unwrap();
        let body = r#"{"service":{"namespace":"default","name":"web"},"localEndpoints":1,"serviceProxyHealthy":true}"#;
        assert!(
            healthy.ends_with(body) && healthy.contains("x-load-balancing-endpoint-weight: 1"),
            "{healthy}"
        );

        lab.slice(vec![
            json!({"addresses": [lab.pods[0].address.to_string()], "nodeName": "elsewhere"}),
        ]);
        eventually("no local endpoint", || {
            page(31_000).is_some_and(|page| page.starts_with("HTTP/1.1 503"))
        })
        .await;
        lab.service(VIP, spec(31_001));
        eventually("the port moved", || {
            page(31_001).is_some() && page(31_000).is_none()
        })
        .await;
        lab.api.remove(&resources::SERVICES, "default", "web");
        eventually("the port is closed", || page(31_001).is_none()).await;
        lab.stop().await;
    });
}

/// A page of the node, head and body.
fn http(port: u16) -> Option<String> {
    use std::io::{Read, Write};
    let to = std::net::SocketAddr::from((OUTSIDE_OF_NODE, port));
    let mut stream =
        std::net::TcpStream::connect_timeout(&to, std::time::Duration::from_millis(500)).ok()?;
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(2)))
        .ok()?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn a_client_stays_with_its_endpoint_until_that_is_gone() {
    on_a_node(|| async {
        let lab = Lab::new(3);
        lab.service(
            VIP,
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}),
        );
        lab.endpoints(&[0, 1, 2]);
        let proxy = lab.start_proxy().await;
        let first = call((VIP, 80)).unwrap().0;
        assert_eq!(answerers(|| call((VIP, 80))), BTreeSet::from([first]));
        assert_eq!(answerers(|| call((LOCALHOST, 30080))).len(), 1);

        // A restart does not forget.
        assert!(proxy.stop(lab::PATIENCE).await);
        lab.start_proxy().await;
        assert_eq!(answerers(|| call((VIP, 80))), BTreeSet::from([first]));

        let others: Vec<usize> = (0..3).filter(|n| lab.pods[*n].address != first).collect();
        lab.endpoints(&others);
        eventually("another endpoint answers", || {
            call((VIP, 80)).unwrap().0 != first
        })
        .await;
        assert_eq!(answerers(|| call((VIP, 80))).len(), 1);
        lab.stop().await;
    });
}

#[test]
fn a_udp_client_is_not_left_with_a_dead_endpoint() {
    on_a_node(|| async {
        let lab = Lab::new(2);
        lab.service(VIP, json!({}));
        lab.start_proxy().await;
        let client = UdpSocket::bind("0.0.0.0:0").unwrap();
        ask(&client, (VIP, 80)).unwrap_err();
        lab.endpoints(&[0]);
        eventually("the first endpoint answers", || {
            ask(&client, (VIP, 80)).is_ok_and(|a| a.0 == lab.pods[0].address)
        })
        .await;
        lab.endpoints(&[1]);
        eventually("the second endpoint answers the same socket", || {
            ask(&client, (VIP, 80)).is_ok_and(|a| a.0 == lab.pods[1].address)
        })
        .await;
        lab.stop().await;
    });
}

#[test]
fn connections_survive_a_restart_and_a_flushed_table_comes_back() {
    on_a_node(|| async {
        use std::io::{Read, Write};
        let mut lab = Lab::new(1);
        let pod = lab.pods[0].address;
        lab.pods[0].serve(8081);
        let listener = lab.pods[0].run(|| std::net::TcpListener::bind((pod, 9000)).unwrap());
        lab.service(VIP, json!({"ports": [{"port": 80}]}));
        lab.api.seed(
            &resources::ENDPOINT_SLICES,
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
                "endpoints": [{"addresses": [pod.to_string()]}], "ports": [{"port": 9000}]}),
        );
        let proxy = lab.start_proxy().await;
        let mut client = std::net::TcpStream::connect((VIP, 80)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert!(proxy.stop(lab::PATIENCE).await);
        lab.start_proxy().await;
        client.write_all(b"still here").unwrap();
        let mut buffer = [0; 10];
        server.read_exact(&mut buffer).unwrap();

        // Another change finds that the table is gone and writes all of it.
        assert!(k3s_netproxy::cleanup(&Nftables::open().unwrap()).unwrap());
        assert!(!k3s_netproxy::cleanup(&Nftables::open().unwrap()).unwrap());
        assert!(
            std::net::TcpStream::connect_timeout(
                &(VIP, 80).into(),
                std::time::Duration::from_millis(300)
            )
            .is_err()
        );
        lab.service(
            VIP,
            json!({"ports": [{"port": 80}, {"name": "other", "port": 81}]}),
        );
        eventually("the table is back", || {
            std::net::TcpStream::connect_timeout(
                &(VIP, 80).into(),
                std::time::Duration::from_millis(300),
            )
            .is_ok()
        })
        .await;
        lab.stop().await;
    });
}

/// What the author of a Service was told.
fn told(lab: &Lab, service: &str, text: &str) -> bool {
    lab.api.all(&resources::EVENTS).iter().any(|event| {
        event["involvedObject"]["name"] == service
            && event["reason"] == "AddressNotServed"
            && event["message"].as_str().unwrap_or_default().contains(text)
    })
}

#[test]
fn the_cluster_s_addresses_belong_to_no_external_address() {
    on_a_node(|| async {
        let lab = Lab::new(1);
        let (node, free) = (OUTSIDE_OF_NODE, Ipv4Addr::new(203, 0, 113, 8));
        // A process of the node.
        let process = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).unwrap();
        std::thread::spawn(move || {
            while let Ok((mut stream, peer)) = process.accept() {
                let _ = std::io::Write::write_all(
                    &mut stream,
                    format!("{node} {}", peer.ip()).as_bytes(),
                );
            }
        });
        // The name comes first, as that of a tenant may.
        let evil = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "aaa", "namespace": "default"},
            "spec": {"clusterIP": "10.43.0.81", "ports": [{"port": 80}],
                "externalIPs": [VIP.to_string(), node.to_string(), "10.42.0.2", free.to_string()]}});
        lab.api.seed(&resources::SERVICES, evil);
        lab.service(VIP, json!({}));
        lab.endpoints(&[0]);
        lab.start_proxy().await;
        let pod = lab.pods[0].address;
        assert_eq!(call((VIP, 80)).unwrap().0, pod);
        assert_eq!(lab.outside.call((node, 80)).unwrap().0, node);
        let refused = lab.outside.call((free, 80)).unwrap_err();
        assert_eq!(
            refused.kind(),
            ErrorKind::ConnectionRefused,
            "served, without endpoints"
        );
        for text in [
            "10.43.0.80:80/TCP",
            "192.168.50.1:80/TCP",
            "10.42.0.2:80/TCP",
        ] {
            eventually(text, || told(&lab, "aaa", text)).await;
        }
        assert!(!told(&lab, "aaa", "203.0.113.8"));
        lab.stop().await;
    });
}

#[test]
fn a_conflict_is_won_by_the_next_in_line() {
    on_a_node(|| async {
        let lab = Lab::new(1);
        lab.service(VIP, json!({"externalIPs": ["203.0.113.9"]}));
        lab.endpoints(&[0]);
        lab.start_proxy().await;
        let external = Ipv4Addr::new(203, 0, 113, 9);
        eventually("the first service has it", || {
            lab.outside.call((external, 80)).is_ok()
        })
        .await;
        let other = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late", "namespace": "default", "creationTimestamp": "2100-01-01T00:00:00Z"},
            "spec": {"clusterIP": "10.43.0.81", "externalIPs": ["203.0.113.9"], "ports": [{"port": 80}]}});
        lab.api.seed(&resources::SERVICES, other);
        let vip = Ipv4Addr::new(10, 43, 0, 81);
        eventually("the second service is known", || {
            call((vip, 80)).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
        })
        .await;
        assert!(
            lab.outside.call((external, 80)).is_ok(),
            "still the first one's"
        );
        lab.api.remove(&resources::SERVICES, "default", "web");
        eventually("now the second one's, which has no endpoints", || {
            lab.outside
                .call((external, 80))
                .is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
        })
        .await;
        lab.stop().await;
    });
}
