//! nf_tables against the kernel, each test in a network namespace of its own. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use k3s_sys::net::conntrack::Conntrack;
use k3s_sys::net::netns;
use k3s_sys::nft::fake::FakeNft;
use k3s_sys::nft::{
    ADDRESS_LOCAL, BaseChain, Batch, ChainKind, Command, Data, Element, Family, Field, Hook, Key,
    Load, Nft, NftError, Nftables, Rejection, Set, SetData, Statement, TableId, Update, Verdict,
    ct_state, ct_status, remove_tables,
};

fn table() -> TableId {
    TableId::new(Family::Ipv4, "k3s-test").unwrap()
}

fn in_namespace<T: Send>(work: impl FnOnce(Nftables) -> T + Send) -> T {
    netns::run_in_new(|| work(Nftables::open().unwrap())).unwrap()
}

fn nat(hook: Hook) -> Option<BaseChain> {
    Some(BaseChain {
        kind: ChainKind::Nat,
        hook,
        priority: -100,
    })
}

fn service_key() -> Vec<Load> {
    vec![
        Load::DestinationAddress,
        Load::Protocol,
        Load::DestinationPort,
    ]
}

const SERVICE: [Field; 3] = [Field::Ipv4, Field::Protocol, Field::Port];

/// A map of services to verdicts, a map of numbered endpoints, and the rules between them.
fn service_tables(batch: &mut Batch) {
    let t = &table();
    batch.replace_table(t, Some("layout 1"));
    batch.add_chain(t, "output", nat(Hook::Output));
    batch.add_chain(t, "pick-2", None);
    batch.add_set(t, Set::new("services", &SERVICE, SetData::Verdict));
    let numbered = [Field::Ipv4, Field::Protocol, Field::Port, Field::Number];
    batch.add_set(
        t,
        Set::new(
            "endpoints",
            &numbered,
            SetData::Value(vec![Field::Ipv4, Field::Port]),
        ),
    );
    batch.add_rule(
        t,
        "output",
        vec![Statement::VerdictMap {
            key: service_key(),
            map: "services".into(),
        }],
    );
    let mut key = service_key();
    key.push(Load::RoundRobin {
        modulus: 2,
        offset: 0,
    });
    let to = Load::Lookup {
        key,
        map: "endpoints".into(),
        width: 8,
    };
    batch.add_rule(
        t,
        "pick-2",
        vec![Statement::Counter, Statement::Dnat { to, port: true }],
    );
}

fn service(address: Ipv4Addr, protocol: u8, port: u16) -> Key {
    Key::new().ipv4(address).protocol(protocol).port(port)
}

fn endpoints(address: Ipv4Addr, protocol: u8, port: u16, targets: &[u16]) -> Vec<Element> {
    let keyed = (0..).zip(targets);
    keyed
        .map(|(n, target)| {
            let value = Key::new().ipv4(Ipv4Addr::LOCALHOST).port(*target);
            Element::value(service(address, protocol, port).number(n), value)
        })
        .collect()
}

#[test]
fn a_service_reaches_both_endpoints() {
    in_namespace(|nft| {
        let backends: Vec<_> = (0..2)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports: Vec<u16> = backends
            .iter()
            .map(|b| b.local_addr().unwrap().port())
            .collect();
        let vip = Ipv4Addr::new(127, 1, 2, 3);
        let mut batch = Batch::default();
        service_tables(&mut batch);
        let goto = Verdict::Goto("pick-2".into());
        batch.add_elements(
            &table(),
            "services",
            vec![Element::verdict(service(vip, 6, 80), goto.clone())],
        );
        batch.add_elements(&table(), "endpoints", endpoints(vip, 6, 80, &ports));
        nft.commit(&batch).unwrap();

        for backend in &backends {
            let client = TcpStream::connect((vip, 80)).unwrap();
            assert_eq!(client.peer_addr().unwrap().port(), 80);
            backend.accept().unwrap();
        }
        assert_eq!(nft.tables().unwrap(), [(table(), Some("layout 1".into()))]);
        assert_eq!(nft.rule_count(&table()).unwrap(), 2);
        let listed = nft.elements(&table(), "services").unwrap();
        assert_eq!(listed, [Element::verdict(service(vip, 6, 80), goto)]);
        let mut listed = nft.elements(&table(), "endpoints").unwrap();
        listed.sort_by(|a, b| a.key.cmp(&b.key));
        assert_eq!(listed, endpoints(vip, 6, 80, &ports));
        assert_eq!(remove_tables(&nft, |t| *t == table()).unwrap(), 1);
        assert_eq!(nft.tables().unwrap(), []);
        assert!(TcpStream::connect((vip, 80)).is_err());
    });
}

#[test]
fn a_refused_command_is_named_and_nothing_is_done() {
    let check = |nft: &dyn Nft| {
        let mut batch = Batch::default();
        service_tables(&mut batch);
        let key = service([10, 0, 0, 1].into(), 6, 80);
        let good = batch.commands().len();
        batch.add_elements(
            &table(),
            "services",
            vec![Element::verdict(key, Verdict::Goto("nowhere".into()))],
        );
        batch.add_elements(
            &table(),
            "endpoints",
            endpoints([10, 0, 0, 1].into(), 6, 80, &[1]),
        );
        match nft.commit(&batch) {
            Err(NftError::Refused(failures)) => {
                assert_eq!(failures[0].command, good, "{failures:?}");
                assert!(failures[0].error.is_missing(), "{failures:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(nft.tables().unwrap(), []);
    };
    check(&FakeNft::default());
    in_namespace(|nft| check(&nft));
}

#[test]
fn the_fake_and_the_kernel_agree_about_elements() {
    let check = |nft: &dyn Nft| {
        let t = &table();
        let mut batch = Batch::default();
        service_tables(&mut batch);
        nft.commit(&batch).unwrap();
        let vip = Ipv4Addr::new(10, 43, 0, 1);
        let one = |target| endpoints(vip, 6, 80, &[target]);
        let commit = |command: Command| {
            let mut batch = Batch::default();
            batch.push(command);
            nft.commit(&batch)
        };
        let add = |elements| {
            commit(Command::AddElements(
                t.clone(),
                "endpoints".into(),
                elements,
            ))
        };
        let delete = |elements| {
            commit(Command::DeleteElements(
                t.clone(),
                "endpoints".into(),
                elements,
            ))
        };
        assert!(delete(one(1)).is_err(), "there is nothing to delete");
        add(one(1)).unwrap();
        add(one(1)).unwrap();
        assert!(add(one(2)).is_err(), "the same key with other data");
        let mut change = Batch::default();
        change.delete_elements(t, "endpoints", one(1));
        change.add_elements(t, "endpoints", one(2));
        nft.commit(&change).unwrap();
        assert_eq!(nft.elements(t, "endpoints").unwrap(), one(2));
        assert!(nft.elements(t, "nosuch").is_err());
        let mut sets = nft.sets(t).unwrap();
        sets.sort();
        assert_eq!(sets, ["endpoints", "services"]);
        let refer = Element::verdict(service(vip, 6, 80), Verdict::Goto("pick-2".into()));
        commit(Command::AddElements(
            t.clone(),
            "services".into(),
            vec![refer.clone()],
        ))
        .unwrap();
        assert!(
            commit(Command::DeleteChain(t.clone(), "pick-2".into())).is_err(),
            "an element refers to it"
        );
        let mut free = Batch::default();
        free.delete_elements(t, "services", vec![refer]);
        free.push(Command::FlushChain(t.clone(), "pick-2".into()));
        free.push(Command::DeleteChain(t.clone(), "pick-2".into()));
        nft.commit(&free).unwrap();
        // Nothing of somebody else can even be named.
        assert!(matches!(
            TableId::new(Family::Ipv4, "filter"),
            Err(NftError::NotOurs(_))
        ));
    };
    check(&FakeNft::default());
    in_namespace(|nft| check(&nft));
}

#[test]
fn every_statement_is_taken_by_the_kernel() {
    in_namespace(|nft| {
        let t = &table();
        let mut batch = Batch::default();
        batch.replace_table(t, None);
        let filter = |hook| {
            Some(BaseChain {
                kind: ChainKind::Filter,
                hook,
                priority: 0,
            })
        };
        batch.add_chain(t, "prerouting", nat(Hook::Prerouting));
        batch.add_chain(
            t,
            "postrouting",
            Some(BaseChain {
                kind: ChainKind::Nat,
                hook: Hook::Postrouting,
                priority: 100,
            }),
        );
        batch.add_chain(t, "early", filter(Hook::Prerouting));
        batch.add_chain(t, "input", filter(Hook::Input));
        batch.add_chain(t, "forward", filter(Hook::Forward));
        batch.add_chain(t, "other", None);
        batch.add_set(t, Set::new("locals", &[Field::Ipv4], SetData::None));
        let affinity = [Field::Ipv4, Field::Ipv4, Field::Protocol, Field::Port];
        batch.add_set(
            t,
            Set::new(
                "affinity",
                &affinity,
                SetData::Value(vec![Field::Ipv4, Field::Port]),
            )
            .dynamic(Duration::from_secs(60), 1000),
        );
        let ranged = [Field::Ipv4, Field::Port];
        batch.add_set(t, Set::new("sources", &ranged, SetData::None).intervals());
        let range = Element {
            key_end: Some(Key::new().ipv4([10, 0, 0, 255].into()).port(80).into()),
            ..Element::member(Key::new().ipv4([10, 0, 0, 0].into()).port(80))
        };
        batch.add_elements(t, "sources", vec![range.clone()]);
        batch.add_elements(
            t,
            "locals",
            vec![Element::member(Key::new().ipv4([10, 0, 0, 1].into())).with_comment("pod/1")],
        );

        let mut sticky = vec![Load::SourceAddress];
        sticky.extend(service_key());
        let stuck = Load::Lookup {
            key: sticky.clone(),
            map: "affinity".into(),
            width: 8,
        };
        let update = |update, data, timeout| Statement::Update {
            update,
            set: "affinity".into(),
            key: sticky.clone(),
            data,
            timeout,
        };
        let there = Key::new().ipv4([10, 0, 0, 1].into()).port(80);
        let rules = [
            (
                "prerouting",
                vec![
                    Statement::in_network(Load::SourceAddress, [10, 42, 0, 0].into(), 16, false),
                    Statement::SetMark {
                        keep: !0x4000,
                        flip: 0x4000,
                    },
                ],
            ),
            (
                "prerouting",
                vec![
                    update(
                        Update::Delete,
                        Some(Load::Constant(there.clone().into())),
                        None,
                    ),
                    update(
                        Update::Add,
                        Some(Load::Constant(there.into())),
                        Some(Duration::from_secs(5)),
                    ),
                    update(Update::Refresh, Some(stuck.clone()), None),
                    Statement::Dnat {
                        to: stuck,
                        port: true,
                    },
                ],
            ),
            (
                "prerouting",
                vec![
                    Statement::equals(Load::DestinationType, ADDRESS_LOCAL.to_ne_bytes()),
                    Statement::Redirect(8080),
                ],
            ),
            (
                "postrouting",
                vec![
                    Statement::any_bit(Load::Mark, 0x4000, true),
                    Statement::any_bit(Load::CtStatus, ct_status::DNAT, true),
                    Statement::Masquerade,
                ],
            ),
            (
                "early",
                vec![
                    Statement::any_bit(Load::CtState, ct_state::NEW, true),
                    Statement::Reject(Rejection::PortUnreachable),
                ],
            ),
            (
                "input",
                vec![
                    Statement::interface(Load::InInterface, "lo", false),
                    Statement::equals(Load::Protocol, [6]),
                    Statement::Reject(Rejection::TcpReset),
                ],
            ),
            (
                "forward",
                vec![
                    Statement::InSet {
                        key: vec![Load::SourceAddress],
                        set: "locals".into(),
                        negate: true,
                    },
                    Statement::interface(Load::OutInterface, "cni0", true),
                    Statement::Verdict(Verdict::Jump("other".into())),
                ],
            ),
            (
                "forward",
                vec![
                    Statement::InSet {
                        key: vec![Load::SourceAddress, Load::SourcePort],
                        set: "sources".into(),
                        negate: false,
                    },
                    Statement::Counter,
                    Statement::Verdict(Verdict::Drop),
                ],
            ),
            (
                "other",
                vec![
                    Statement::differs(
                        Load::Random {
                            modulus: 3,
                            offset: 1,
                        },
                        2_u32.to_ne_bytes(),
                    ),
                    Statement::Verdict(Verdict::Return),
                ],
            ),
            (
                "other",
                vec![
                    Statement::equals(Load::SourceType, 1_u32.to_ne_bytes()),
                    Statement::Verdict(Verdict::Accept),
                ],
            ),
        ];
        let count = rules.len();
        for (chain, rule) in rules {
            batch.add_rule(t, chain, rule);
        }
        nft.commit(&batch).unwrap();
        assert_eq!(nft.rule_count(t).unwrap(), count);
        assert_eq!(nft.elements(t, "sources").unwrap(), [range]);
        assert_eq!(
            nft.elements(t, "locals").unwrap()[0].comment.as_deref(),
            Some("pod/1")
        );
    });
}

#[test]
fn a_large_batch_is_one_transaction() {
    in_namespace(|nft| {
        let mut batch = Batch::default();
        service_tables(&mut batch);
        let vips = || (0..20_000_u32).map(|n| Ipv4Addr::from(0x0a2b_0000 + n));
        let elements: Vec<_> = vips()
            .map(|vip| {
                Element::verdict(service(vip, 6, 80), Verdict::Goto("pick-2".into()))
                    .with_comment("ns/name:port")
            })
            .collect();
        batch.add_elements(&table(), "services", elements);
        batch.add_elements(
            &table(),
            "endpoints",
            vips()
                .flat_map(|vip| endpoints(vip, 6, 80, &[1, 2]))
                .collect(),
        );
        nft.commit(&batch).unwrap();
        assert_eq!(nft.elements(&table(), "services").unwrap().len(), 20_000);
        assert_eq!(nft.elements(&table(), "endpoints").unwrap().len(), 40_000);
        assert!(
            nft.elements(&table(), "services")
                .unwrap()
                .iter()
                .all(|e| matches!(e.data, Data::Verdict(_)))
        );
    });
}

#[test]
fn a_tracked_flow_can_be_forgotten() {
    in_namespace(|nft| {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let vip = Ipv4Addr::new(127, 4, 5, 6);
        let mut batch = Batch::default();
        service_tables(&mut batch);
        let goto = Verdict::Goto("pick-2".into());
        batch.add_elements(
            &table(),
            "services",
            vec![Element::verdict(service(vip, 17, 53), goto)],
        );
        batch.add_elements(&table(), "endpoints", endpoints(vip, 17, 53, &[port, port]));
        nft.commit(&batch).unwrap();

        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"?", (vip, 53)).unwrap();
        let mut buffer = [0; 8];
        let (_, from) = server.recv_from(&mut buffer).unwrap();
        server.send_to(b"!", from).unwrap();
        assert_eq!(client.recv_from(&mut buffer).unwrap().1, (vip, 53).into());

        let conntrack = Conntrack::open().unwrap();
        let replier = (Ipv4Addr::LOCALHOST, port);
        let ours = |flow: &k3s_sys::net::conntrack::Flow| {
            flow.destination == (vip, 53) && flow.replier == replier
        };
        assert_eq!(
            conntrack
                .forget(|flow| ours(flow) && flow.protocol == 6)
                .unwrap(),
            0
        );
        assert_eq!(conntrack.forget(ours).unwrap(), 1);
        assert_eq!(conntrack.forget(ours).unwrap(), 0);
    });
}
