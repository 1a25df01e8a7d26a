//! The server over real sockets, in a network namespace of its own where port 53 is free. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use k3s_base::{Clock, Random};
use k3s_client::fake::FakeApi;
use k3s_client::{Informers, resources};
use k3s_dns::{Dns, DnsConfig};
use k3s_lifecycle::Tasks;
use k3s_observe::Metrics;
use k3s_sys::net::{Net, netns};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(10);
const SERVICE_IP: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 10);
/// Where the host's name server listens in these tests.
const UPSTREAM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 53);

struct Lab {
    api: FakeApi,
    dns: Dns,
    tasks: Tasks,
    _folder: tempfile::TempDir,
}

impl Lab {
    async fn start() -> Self {
        let api = FakeApi::new(Clock::system());
        for namespace in ["kube-system", "shop"] {
            api.seed(
                &resources::NAMESPACES,
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let resolv_conf = folder.path().join("resolv.conf");
        std::fs::write(&resolv_conf, format!("nameserver {}\n", UPSTREAM.ip())).unwrap();
        let tasks = Tasks::root("lab");
        let client = api.client("system:coredns");
        let (clock, random) = (Clock::system(), Random::seeded(1));
        let informers = Informers::new(client.clone(), clock.clone(), random.clone(), &tasks);
        let config = DnsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            node_name: "node-1".into(),
            domain: "cluster.local".into(),
            service_ip: SERVICE_IP,
            pod_networks: vec!["10.42.0.0/16".parse().unwrap()],
            resolv_conf,
            clock,
            random,
        };
        let dns = Dns::start(config, client, &informers, &Metrics::new(), &tasks)
            .await
            .unwrap();
        tokio::time::timeout(PATIENCE, dns.ready())
            .await
            .expect("never ready");
        Self {
            api,
            dns,
            tasks,
            _folder: folder,
        }
    }

    fn service(&self, name: &str, spec: serde_json::Value) {
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": spec});
        self.api.seed(&resources::SERVICES, object);
    }

    fn ask(&self, name: &str) -> Message {
        udp(
            self.dns.address(),
            Ipv4Addr::LOCALHOST,
            &question(name, RecordType::A),
        )
    }

    async fn until(&self, name: &str, good: impl Fn(&Message) -> bool) -> Message {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(name);
            if good(&answer) {
                return answer;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{name}: still {answer:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(self) {
        assert!(self.tasks.stop(PATIENCE).await);
    }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn udp(server: SocketAddr, from: Ipv4Addr, message: &Message) -> Message {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&message.to_vec().unwrap(), server).unwrap();
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(
        (answer.metadata.id, &answer.queries),
        (message.metadata.id, &message.queries)
    );
    answer
}

fn tcp(server: SocketAddr, message: &Message) -> Message {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let bytes = message.to_vec().unwrap();
    stream
        .write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes())
        .unwrap();
    stream.write_all(&bytes).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).unwrap();
    Message::from_vec(&answer).unwrap()
}

fn addresses(message: &Message) -> Vec<Ipv4Addr> {
    let address = |record: &Record| {
        if let RData::A(A(address)) = record.data {
            Some(address)
        } else {
            None
        }
    };
    message.answers.iter().filter_map(address).collect()
}

/// A name server that knows `*.example.org`; counts what it is asked.
fn upstream() -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let (socket, count) = (UdpSocket::bind(UPSTREAM).unwrap(), asked.clone());
    // Ends with the test's process; the namespace is gone by then.
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut answer = Message::from_vec(&buffer[..length])
                .unwrap()
                .into_response();
            let name = answer.queries[0].name().clone();
            if name.to_ascii().to_lowercase().ends_with("example.org.") {
                count.fetch_add(1, Ordering::SeqCst);
                answer.add_answer(Record::from_rdata(
                    name,
                    300,
                    RData::A(A([192, 0, 2, 1].into())),
                ));
            } else {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
        }
    });
    asked
}

fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    netns::run_in_new(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test());
    })
    .unwrap();
}

#[test]
fn services_are_answered_as_they_come_and_go() {
    in_namespace(|| async {
        let lab = Lab::start().await;
        let name = "web.shop.svc.cluster.local.";
        let missing = lab.ask(name);
        assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
        assert!(
            missing.metadata.authoritative
                && missing.metadata.recursion_available
                && missing.authorities.len() == 1
        );
        lab.service(
            "web",
            json!({"clusterIP": "10.43.0.80", "ports": [{"name": "http", "port": 80}]}),
        );
        let answer = lab.until(name, |a| !a.answers.is_empty()).await;
        assert_eq!(addresses(&answer), [Ipv4Addr::new(10, 43, 0, 80)]);
        assert_eq!(
            addresses(&tcp(
                lab.dns.address(),
                &question("WEB.shop.svc.Cluster.Local.", RecordType::A)
            ))
            .len(),
            1
        );
        lab.api.remove(&resources::SERVICES, "shop", "web");
        lab.until(name, |a| a.metadata.response_code == ResponseCode::NXDomain)
            .await;
        lab.stop().await;
    });
}

#[test]
fn a_long_answer_is_cut_for_udp_and_whole_by_tcp() {
    in_namespace(|| async {
        let lab = Lab::start().await;
        lab.service("db", json!({"clusterIP": "None", "ports": [{"port": 80}]}));
        let endpoints: Vec<_> = (0..100)
            .map(|n| json!({"addresses": [format!("10.42.0.{n}")]}))
            .collect();
        lab.api.seed(
            &resources::ENDPOINT_SLICES,
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": "db-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}},
                "endpoints": endpoints, "ports": [{"port": 80}]}),
        );
        let name = "db.shop.svc.cluster.local.";
        lab.until(name, |a| a.metadata.truncation).await;
        assert_eq!(
            addresses(&tcp(lab.dns.address(), &question(name, RecordType::A))).len(),
            100
        );
        let mut large = question(name, RecordType::A);
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        large.set_edns(edns);
        let (first, second) = (
            udp(lab.dns.address(), Ipv4Addr::LOCALHOST, &large),
            udp(lab.dns.address(), Ipv4Addr::LOCALHOST, &large),
        );
        assert_eq!(addresses(&first).len(), 100);
        assert!(first.edns.is_some());
        assert_ne!(addresses(&first), addresses(&second), "the order turns");
        lab.stop().await;
    });
}

#[test]
fn other_names_come_from_the_host_s_servers_and_are_remembered() {
    in_namespace(|| async {
        let asked = upstream();
        let lab = Lab::start().await;
        for _ in 0..3 {
            assert_eq!(
                addresses(&lab.ask("www.example.org.")),
                [Ipv4Addr::new(192, 0, 2, 1)]
            );
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(
            lab.ask("nowhere.test.").metadata.response_code,
            ResponseCode::NXDomain
        );

        lab.service(
            "out",
            json!({"type": "ExternalName", "externalName": "api.example.org"}),
        );
        let answer = lab
            .until("out.shop.svc.cluster.local.", |a| a.answers.len() == 2)
            .await;
        assert_eq!(answer.answers[0].record_type(), RecordType::CNAME);
        assert_eq!(addresses(&answer), [Ipv4Addr::new(192, 0, 2, 1)]);
        lab.stop().await;
    });
}

#[test]
fn without_a_server_the_answer_is_servfail_and_the_cluster_still_resolves() {
    in_namespace(|| async {
        let lab = Lab::start().await;
        lab.service(
            "web",
            json!({"clusterIP": "10.43.0.80", "ports": [{"port": 80}]}),
        );
        assert_eq!(
            lab.ask("www.example.org.").metadata.response_code,
            ResponseCode::ServFail
        );
        lab.until("web.shop.svc.cluster.local.", |a| !a.answers.is_empty())
            .await;
        lab.stop().await;
    });
}

#[test]
fn strangers_are_refused_and_nonsense_is_harmless() {
    in_namespace(|| async {
        let lab = Lab::start().await;
        let net = Net::current().unwrap();
        let lo = net.require_link("lo").unwrap().index;
        net.add_address(lo, "198.51.100.1/32".parse().unwrap())
            .unwrap();
        net.add_address(lo, "10.42.0.9/32".parse().unwrap())
            .unwrap();
        let name = question("kubernetes.default.svc.cluster.local.", RecordType::A);
        let from = |address: [u8; 4]| {
            udp(lab.dns.address(), address.into(), &name)
                .metadata
                .response_code
        };
        assert_eq!(from([198, 51, 100, 1]), ResponseCode::Refused);
        assert_eq!(from([10, 42, 0, 9]), ResponseCode::NXDomain);

        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let mut response = name.clone().into_response().to_vec().unwrap();
        for bytes in [&b""[..], b"x", &[0xff; 11], &response] {
            socket.send_to(bytes, lab.dns.address()).unwrap();
            assert!(
                socket.recv(&mut [0; 512]).is_err(),
                "no answer to {bytes:?}"
            );
        }
        response[2] &= 0x7f;
        response.truncate(20);
        socket.send_to(&response, lab.dns.address()).unwrap();
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(
            Message::from_vec(&buffer[..length])
                .unwrap()
                .metadata
                .response_code,
            ResponseCode::FormErr
        );
        lab.stop().await;
    });
}

async fn connect_from(address: [u8; 4], server: SocketAddr) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::from(address), 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

#[test]
fn silent_connections_leave_places_to_other_clients() {
    in_namespace(|| async {
        let lab = Lab::start().await;
        let net = Net::current().unwrap();
        let lo = net.require_link("lo").unwrap().index;
        for address in ["198.51.100.1/32", "10.42.0.9/32"] {
            net.add_address(lo, address.parse().unwrap()).unwrap();
        }
        let mut held = Vec::new();
        for _ in 0..100 {
            held.push(connect_from([10, 42, 0, 9], lab.dns.address()).await);
        }
        for _ in 0..300 {
            let mut stranger = connect_from([198, 51, 100, 1], lab.dns.address()).await;
            let mut buffer = [0; 1];
            let closed = tokio::io::AsyncReadExt::read(&mut stranger, &mut buffer);
            let closed = tokio::time::timeout(PATIENCE, closed).await;
            assert!(matches!(closed.expect("still open"), Ok(0) | Err(_)));
        }
        let name = question("kubernetes.default.svc.cluster.local.", RecordType::A);
        let answer = tcp(lab.dns.address(), &name);
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        lab.stop().await;
    });
}

#[test]
fn the_service_is_published_and_comes_back() {
    in_namespace(|| async {
        let lab = Lab::start().await;
        let slice = lab
            .api
            .get(
                &resources::ENDPOINT_SLICES,
                "kube-system",
                "kube-dns-node-1",
            )
            .unwrap();
        assert_eq!(slice["ports"][0]["port"], lab.dns.address().port());
        assert_eq!(slice["endpoints"][0]["addresses"][0], "127.0.0.1");
        let service = lab
            .api
            .get(&resources::SERVICES, "kube-system", "kube-dns")
            .unwrap();
        assert_eq!(service["spec"]["clusterIP"], "10.43.0.10");
        assert_eq!(
            addresses(
                &lab.until("kube-dns.kube-system.svc.cluster.local.", |a| !a
                    .answers
                    .is_empty())
                    .await
            ),
            [SERVICE_IP]
        );
        lab.api
            .remove(&resources::SERVICES, "kube-system", "kube-dns");
        let back = |api: &FakeApi| {
            api.get(&resources::SERVICES, "kube-system", "kube-dns")
                .is_some()
        };
        assert!(
            lab.api.eventually(back).await,
            "the Service never came back"
        );
        lab.stop().await;
    });
}

#[test]
fn a_forwarding_loop_is_broken() {
    in_namespace(|| async {
        // The host's name server sends everything to the cluster's DNS, wherever that is.
        let relay = UdpSocket::bind(UPSTREAM).unwrap();
        let (tell, told) = std::sync::mpsc::channel::<SocketAddr>();
        std::thread::spawn(move || {
            let Ok(target) = told.recv() else { return };
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = relay.recv_from(&mut buffer) {
                let (bytes, back) = (buffer[..length].to_vec(), relay.try_clone().unwrap());
                std::thread::spawn(move || {
                    let onward = UdpSocket::bind("127.0.0.1:0").unwrap();
                    onward.set_read_timeout(Some(PATIENCE)).unwrap();
                    onward.send_to(&bytes, target).unwrap();
                    let mut answer = [0; 4096];
                    if let Ok(length) = onward.recv(&mut answer) {
                        let _ = back.send_to(&answer[..length], from);
                    }
                });
            }
        });
        let lab = Lab::start().await;
        tell.send(lab.dns.address()).unwrap();
        // Before the probe is back a question circles; afterwards it is refused at once.
        let answer = lab
            .until("www.example.org.", |a| {
                a.metadata.response_code == ResponseCode::ServFail
            })
            .await;
        assert!(answer.answers.is_empty());
        lab.stop().await;
    });
}
