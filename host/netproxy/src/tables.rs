//! The fixed part of the packet filter: sets, base chains, and the shared chains that pick endpoints.
//!
//! ```text
//! prerouting, output (nat) ── dispatch ── services ───────── pick-* ── endpoints ── dnat
//!                                └ local ─ nodeports ─────── pick-* ── nodeport-endpoints ── dnat
//! prerouting, output (filter, earlier) ── dead ends: reject or drop
//! forward, output (filter, later) ── cluster addresses that nothing translated: reject
//! postrouting (nat) ── marked or hairpin: masquerade
//! input (filter) ── loopback addresses from outside: drop
//! ```
//!
//! Priorities and the mark are kube-proxy's (`pkg/proxy/nftables/proxier.go`), so that other software
//! finds its way around.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use k3s_sys::nft::{
    ADDRESS_LOCAL, BaseChain, Batch, ChainKind, Family, Field, Hook, Load, NftError, Rejection,
    Rule, Set, SetData, Statement, TableId, Update, Verdict, ct_state, ct_status,
};

/// Name of the table, in family `ip`.
pub const TABLE: &str = "k3s-services";

/// address . protocol . port → pick.
pub(crate) const SERVICES: &str = "services";
/// address . protocol . port . number → endpoint.
pub(crate) const ENDPOINTS: &str = "endpoints";
/// The same for callers inside the cluster, where they are treated differently.
pub(crate) const SERVICES_INTERNAL: &str = "services-internal";
/// protocol . port → pick.
pub(crate) const NODEPORTS: &str = "nodeports";
/// protocol . port . number → endpoint.
pub(crate) const NODEPORT_ENDPOINTS: &str = "nodeport-endpoints";
/// The same for callers inside the cluster, where they are treated differently.
pub(crate) const NODEPORTS_INTERNAL: &str = "nodeports-internal";
/// address . protocol . port → reject or drop: services without endpoints.
pub(crate) const DEAD_SERVICES: &str = "dead-services";
/// The same, only for callers outside the cluster.
pub(crate) const DEAD_SERVICES_EXTERNAL: &str = "dead-services-external";
/// protocol . port → reject or drop.
pub(crate) const DEAD_NODEPORTS: &str = "dead-nodeports";
/// The same, only for callers outside the cluster.
pub(crate) const DEAD_NODEPORTS_EXTERNAL: &str = "dead-nodeports-external";
/// Every cluster address.
pub(crate) const CLUSTER_IPS: &str = "cluster-ips";
/// address . address: local endpoints that may call themselves through a service.
pub(crate) const HAIRPIN: &str = "hairpin";
/// address . protocol . port: services that only some sources may call.
pub(crate) const RESTRICTED: &str = "restricted";
/// address . protocol . port . source: those sources.
pub(crate) const ALLOWED_SOURCES: &str = "allowed-sources";
/// source . address . protocol . port → endpoint, kept by the packets themselves.
pub(crate) const AFFINITY: &str = "affinity";
/// address . protocol . port . endpoint: what affinity may still point at.
pub(crate) const STICKY: &str = "sticky-endpoints";
/// source . protocol . port → endpoint, kept by the packets themselves.
pub(crate) const NODEPORT_AFFINITY: &str = "nodeport-affinity";
/// protocol . port . endpoint: what affinity may still point at.
pub(crate) const NODEPORT_STICKY: &str = "nodeport-sticky-endpoints";
/// The chain that refuses.
pub(crate) const REJECT: &str = "reject";

/// kube-proxy's default masquerade bit (`--iptables-masquerade-bit 14`).
const MASQUERADE_MARK: u32 = 0x4000;
/// Masquerade unless the endpoint turns out to be on this node.
const MASQUERADE_REMOTE_MARK: u32 = 0x2000;
/// Most remembered clients; a client beyond that gets any endpoint.
const AFFINITY_SIZE: u32 = 65_536;
/// Lifetime of a remembered client unless the service's chain says otherwise.
const AFFINITY_DEFAULT: Duration = Duration::from_secs(10_800);
/// Bytes of an endpoint in a map: address and padded port.
const ENDPOINT_WIDTH: usize = 8;
/// Numbers of a service's local endpoints start here, those of all its endpoints at 0.
pub(crate) const LOCAL_OFFSET: u32 = 1 << 16;

const LOOPBACK: (Ipv4Addr, u8) = (Ipv4Addr::new(127, 0, 0, 0), 8);
const NAT_PRIORITY: i32 = -100;
const SNAT_PRIORITY: i32 = 100;
const FILTER_PRIORITY: i32 = 0;
/// Before address translation.
const EARLY_PRIORITY: i32 = NAT_PRIORITY - 10;
const CT_STATE_INVALID: u32 = 1;

/// How a service is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Via {
    /// By an address.
    Address,
    /// By a port of the node.
    NodePort,
}

/// For which callers the node's address replaces the source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Masquerade {
    /// For none: the endpoint is on this node and sees its client.
    Never,
    /// For callers outside the pod network.
    OffCluster,
    /// For all: the answer has to come back through this node.
    Always,
    /// For all when the endpoint is on another node, which is known only once it is picked.
    IfRemoteEndpoint,
}

/// A chain that picks an endpoint; services with equal needs share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pick {
    pub(crate) via: Via,
    pub(crate) masquerade: Masquerade,
    /// How many endpoints.
    pub(crate) count: u32,
    /// The first one's number.
    pub(crate) offset: u32,
    pub(crate) affinity_secs: Option<u32>,
}

impl Pick {
    pub(crate) fn chain(&self) -> String {
        let via = match self.via {
            Via::Address => "address",
            Via::NodePort => "nodeport",
        };
        let masquerade = match self.masquerade {
            Masquerade::Never => "never",
            Masquerade::OffCluster => "offcluster",
            Masquerade::Always => "always",
            Masquerade::IfRemoteEndpoint => "ifremote",
        };
        let set = if self.offset == 0 { "all" } else { "local" };
        let sticky = self
            .affinity_secs
            .map(|secs| format!("-sticky{secs}"))
            .unwrap_or_default();
        format!("pick-{via}-{masquerade}-{set}{}{sticky}", self.count)
    }
}

/// Writes the table, and its chains and rules.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    table: TableId,
    /// Where pods live.
    pod_networks: Vec<Ipv4Net>,
}

impl Layout {
    pub(crate) fn new(pod_networks: Vec<Ipv4Net>) -> Result<Self, NftError> {
        Ok(Self {
            table: TableId::new(Family::Ipv4, TABLE)?,
            pod_networks,
        })
    }

    pub(crate) fn table(&self) -> &TableId {
        &self.table
    }

    /// Replaces the table by an empty one: everything but the elements.
    pub(crate) fn write(&self, batch: &mut Batch) {
        batch.replace_table(&self.table, Some("services of the cluster"));
        self.sets(batch);
        self.chains(batch);
        self.dispatch(batch);
        self.dead_ends(batch);
        self.guards(batch);
        self.masquerade(batch);
    }

    fn sets(&self, batch: &mut Batch) {
        let sets = verdict_maps()
            .into_iter()
            .chain(endpoint_maps())
            .chain(address_sets())
            .chain(affinity_sets());
        for set in sets {
            batch.add_set(&self.table, set);
        }
    }

    fn chains(&self, batch: &mut Batch) {
        use ChainKind::{Filter, Nat};
        let base = |kind, hook, priority| BaseChain {
            kind,
            hook,
            priority,
        };
        let regular = [REJECT, "dispatch", "local", "dead-ends", "local-dead-ends"];
        for name in regular {
            batch.add_chain(&self.table, name, None);
        }
        let hooked = [
            ("nat-prerouting", base(Nat, Hook::Prerouting, NAT_PRIORITY)),
            ("nat-output", base(Nat, Hook::Output, NAT_PRIORITY)),
            (
                "nat-postrouting",
                base(Nat, Hook::Postrouting, SNAT_PRIORITY),
            ),
            (
                "early-prerouting",
                base(Filter, Hook::Prerouting, EARLY_PRIORITY),
            ),
            ("early-output", base(Filter, Hook::Output, EARLY_PRIORITY)),
            ("input", base(Filter, Hook::Input, FILTER_PRIORITY)),
            ("forward", base(Filter, Hook::Forward, FILTER_PRIORITY)),
            ("output", base(Filter, Hook::Output, FILTER_PRIORITY)),
        ];
        for (name, base) in hooked {
            batch.add_chain(&self.table, name, Some(base));
        }
        self.rule(
            batch,
            REJECT,
            vec![Statement::Reject(Rejection::PortUnreachable)],
        );
    }

    fn dispatch(&self, batch: &mut Batch) {
        self.rule(batch, "nat-prerouting", vec![jump("dispatch")]);
        self.rule(batch, "nat-output", vec![jump("dispatch")]);
        for inside in self.callers_inside() {
            self.rule(
                batch,
                "dispatch",
                then(&inside, verdict_map(Via::Address, SERVICES_INTERNAL)),
            );
        }
        self.rule(batch, "dispatch", vec![verdict_map(Via::Address, SERVICES)]);
        self.rule(batch, "dispatch", vec![to_this_node(), jump("local")]);
        for inside in self.callers_inside() {
            self.rule(
                batch,
                "local",
                then(&inside, verdict_map(Via::NodePort, NODEPORTS_INTERNAL)),
            );
        }
        self.rule(batch, "local", vec![verdict_map(Via::NodePort, NODEPORTS)]);
    }

    fn dead_ends(&self, batch: &mut Batch) {
        let new = || Statement::any_bit(Load::CtState, ct_state::NEW, true);
        self.rule(batch, "early-prerouting", vec![new(), jump("dead-ends")]);
        self.rule(batch, "early-output", vec![new(), jump("dead-ends")]);
        let outside = self.caller_outside();
        self.rule(
            batch,
            "dead-ends",
            vec![verdict_map(Via::Address, DEAD_SERVICES)],
        );
        self.rule(
            batch,
            "dead-ends",
            then(&outside, verdict_map(Via::Address, DEAD_SERVICES_EXTERNAL)),
        );
        self.rule(
            batch,
            "dead-ends",
            vec![to_this_node(), jump("local-dead-ends")],
        );
        self.rule(
            batch,
            "local-dead-ends",
            vec![verdict_map(Via::NodePort, DEAD_NODEPORTS)],
        );
        self.rule(
            batch,
            "local-dead-ends",
            then(
                &outside,
                verdict_map(Via::NodePort, DEAD_NODEPORTS_EXTERNAL),
            ),
        );

        let mut with_source = called_by(Via::Address);
        with_source.push(Load::SourceAddress);
        let refuse_strangers = vec![
            Statement::InSet {
                key: called_by(Via::Address),
                set: RESTRICTED.into(),
                negate: false,
            },
            Statement::InSet {
                key: with_source,
                set: ALLOWED_SOURCES.into(),
                negate: true,
            },
            Statement::Verdict(Verdict::Drop),
        ];
        self.rule(batch, "early-prerouting", refuse_strangers);
    }

    fn guards(&self, batch: &mut Batch) {
        // A packet that tracking cannot place would leave untranslated and make the peer reset.
        let invalid = Statement::any_bit(Load::CtState, CT_STATE_INVALID, true);
        self.rule(
            batch,
            "forward",
            vec![invalid, Statement::Verdict(Verdict::Drop)],
        );
        for chain in ["forward", "output"] {
            let untranslated = Statement::InSet {
                key: vec![Load::DestinationAddress],
                set: CLUSTER_IPS.into(),
                negate: false,
            };
            self.rule(
                batch,
                chain,
                vec![untranslated, Statement::Reject(Rejection::PortUnreachable)],
            );
        }
        // Node ports on 127.0.0.1 need route_localnet, which would otherwise let neighbours reach
        // services that listen on loopback only (CVE-2020-8558).
        for load in [Load::SourceAddress, Load::DestinationAddress] {
            let known = ct_state::ESTABLISHED | ct_state::RELATED;
            let rule = vec![
                Statement::interface(Load::InInterface, "lo", false),
                Statement::in_network(load, LOOPBACK.0, LOOPBACK.1, true),
                Statement::any_bit(Load::CtState, known, false),
                Statement::Verdict(Verdict::Drop),
            ];
            self.rule(batch, "input", rule);
        }
    }

    fn masquerade(&self, batch: &mut Batch) {
        let marked = vec![
            Statement::any_bit(Load::Mark, MASQUERADE_MARK, true),
            // An encapsulated copy of the packet must not be caught again.
            Statement::SetMark {
                keep: !MASQUERADE_MARK,
                flip: 0,
            },
            Statement::Masquerade,
        ];
        self.rule(batch, "nat-postrouting", marked);
        // Every local endpoint is in the set with itself.
        let itself = vec![Load::DestinationAddress, Load::DestinationAddress];
        let remote = vec![
            Statement::any_bit(Load::Mark, MASQUERADE_REMOTE_MARK, true),
            Statement::InSet {
                key: itself,
                set: HAIRPIN.into(),
                negate: true,
            },
            Statement::SetMark {
                keep: !MASQUERADE_REMOTE_MARK,
                flip: 0,
            },
            Statement::Masquerade,
        ];
        self.rule(batch, "nat-postrouting", remote);
        let key = vec![Load::SourceAddress, Load::DestinationAddress];
        let hairpin = vec![
            Statement::any_bit(Load::CtStatus, ct_status::DNAT, true),
            Statement::InSet {
                key,
                set: HAIRPIN.into(),
                negate: false,
            },
            Statement::Masquerade,
        ];
        self.rule(batch, "nat-postrouting", hairpin);
    }

    /// Writes a chain that picks an endpoint.
    pub(crate) fn write_pick(&self, batch: &mut Batch, pick: &Pick) {
        let chain = pick.chain();
        batch.add_chain(&self.table, &chain, None);
        let mark = |bit: u32| Statement::SetMark {
            keep: !bit,
            flip: bit,
        };
        match pick.masquerade {
            Masquerade::Never => {}
            Masquerade::Always => self.rule(batch, &chain, vec![mark(MASQUERADE_MARK)]),
            Masquerade::IfRemoteEndpoint => {
                self.rule(batch, &chain, vec![mark(MASQUERADE_REMOTE_MARK)])
            }
            Masquerade::OffCluster => self.rule(
                batch,
                &chain,
                then(&self.outside_pods(), mark(MASQUERADE_MARK)),
            ),
        }
        let (endpoints, affinity, sticky) = match pick.via {
            Via::Address => (ENDPOINTS, AFFINITY, STICKY),
            Via::NodePort => (NODEPORT_ENDPOINTS, NODEPORT_AFFINITY, NODEPORT_STICKY),
        };
        let mut numbered = called_by(pick.via);
        numbered.push(Load::Random {
            modulus: pick.count,
            offset: pick.offset,
        });
        let any = Load::Lookup {
            key: numbered,
            map: endpoints.into(),
            width: ENDPOINT_WIDTH,
        };
        if let Some(secs) = pick.affinity_secs {
            let timeout = Duration::from_secs(secs.into());
            self.sticky_rules(batch, &chain, pick.via, (affinity, sticky), &any, timeout);
        }
        self.rule(
            batch,
            &chain,
            vec![Statement::Dnat {
                to: any,
                port: true,
            }],
        );
    }

    /// First the endpoint that the client had, if it still is one; else any, which is remembered.
    fn sticky_rules(
        &self,
        batch: &mut Batch,
        chain: &str,
        via: Via,
        (affinity, sticky): (&str, &str),
        any: &Load,
        timeout: Duration,
    ) {
        let mut client = vec![Load::SourceAddress];
        client.extend(called_by(via));
        let remembered = Load::Lookup {
            key: client.clone(),
            map: affinity.into(),
            width: ENDPOINT_WIDTH,
        };
        let mut valid = called_by(via);
        valid.push(remembered.clone());
        let update = |update, data: &Load| Statement::Update {
            update,
            set: affinity.into(),
            key: client.clone(),
            data: Some(data.clone()),
            timeout: Some(timeout),
        };
        let dnat = || Statement::Dnat {
            to: remembered.clone(),
            port: true,
        };
        let known = vec![
            Statement::InSet {
                key: valid,
                set: sticky.into(),
                negate: false,
            },
            update(Update::Refresh, &remembered),
            dnat(),
        ];
        self.rule(batch, chain, known);
        let nothing = Load::Constant(vec![0; ENDPOINT_WIDTH]);
        self.rule(
            batch,
            chain,
            vec![
                update(Update::Delete, &nothing),
                update(Update::Add, any),
                dnat(),
            ],
        );
    }

    /// The caller is a pod, or this node: one rule for each.
    fn callers_inside(&self) -> Vec<Vec<Statement>> {
        let pods = self
            .pod_networks
            .iter()
            .map(|network| vec![source_in(network, true)]);
        let node = vec![Statement::equals(
            Load::SourceType,
            ADDRESS_LOCAL.to_ne_bytes(),
        )];
        pods.chain([node]).collect()
    }

    /// The caller is neither a pod nor this node.
    fn caller_outside(&self) -> Vec<Statement> {
        let mut outside = self.outside_pods();
        outside.push(Statement::differs(
            Load::SourceType,
            ADDRESS_LOCAL.to_ne_bytes(),
        ));
        outside
    }

    fn outside_pods(&self) -> Vec<Statement> {
        self.pod_networks
            .iter()
            .map(|network| source_in(network, false))
            .collect()
    }

    fn rule(&self, batch: &mut Batch, chain: &str, rule: Rule) {
        batch.add_rule(&self.table, chain, rule);
    }
}

/// Address, protocol and port of a frontend.
const BY_ADDRESS: [Field; 3] = [Field::Ipv4, Field::Protocol, Field::Port];
/// Protocol and port of a frontend on the node's addresses.
const BY_PORT: [Field; 2] = [Field::Protocol, Field::Port];

/// From a frontend to the chain that serves or refuses it.
fn verdict_maps() -> [Set; 8] {
    let by_address = |name| Set::new(name, &BY_ADDRESS, SetData::Verdict);
    let by_port = |name| Set::new(name, &BY_PORT, SetData::Verdict);
    [
        by_address(SERVICES),
        by_address(SERVICES_INTERNAL),
        by_address(DEAD_SERVICES),
        by_address(DEAD_SERVICES_EXTERNAL),
        by_port(NODEPORTS),
        by_port(NODEPORTS_INTERNAL),
        by_port(DEAD_NODEPORTS),
        by_port(DEAD_NODEPORTS_EXTERNAL),
    ]
}

fn endpoint() -> SetData {
    SetData::Value(vec![Field::Ipv4, Field::Port])
}

/// From a frontend and a number to an endpoint.
fn endpoint_maps() -> [Set; 2] {
    use Field::{Ipv4, Number, Port, Protocol};
    [
        Set::new(ENDPOINTS, &[Ipv4, Protocol, Port, Number], endpoint()),
        Set::new(NODEPORT_ENDPOINTS, &[Protocol, Port, Number], endpoint()),
    ]
}

fn address_sets() -> [Set; 4] {
    use Field::{Ipv4, Port, Protocol};
    let sources = [Ipv4, Protocol, Port, Ipv4];
    [
        Set::new(CLUSTER_IPS, &[Ipv4], SetData::None),
        Set::new(HAIRPIN, &[Ipv4, Ipv4], SetData::None),
        Set::new(RESTRICTED, &BY_ADDRESS, SetData::None),
        Set::new(ALLOWED_SOURCES, &sources, SetData::None).intervals(),
    ]
}

/// Endpoints that the packet path remembers for a client, and those that it may still use.
fn affinity_sets() -> [Set; 4] {
    use Field::{Ipv4, Port, Protocol};
    let remembered = |name, key: &[Field]| {
        Set::new(name, key, endpoint()).dynamic(AFFINITY_DEFAULT, AFFINITY_SIZE)
    };
    let by_address = [Ipv4, Protocol, Port, Ipv4, Port];
    let by_port = [Protocol, Port, Ipv4, Port];
    [
        remembered(AFFINITY, &[Ipv4, Ipv4, Protocol, Port]),
        Set::new(STICKY, &by_address, SetData::None),
        remembered(NODEPORT_AFFINITY, &[Ipv4, Protocol, Port]),
        Set::new(NODEPORT_STICKY, &by_port, SetData::None),
    ]
}

fn source_in(network: &Ipv4Net, inside: bool) -> Statement {
    Statement::in_network(
        Load::SourceAddress,
        network.network(),
        network.prefix_len(),
        inside,
    )
}

fn then(conditions: &[Statement], action: Statement) -> Rule {
    conditions.iter().cloned().chain([action]).collect()
}

fn jump(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Jump(chain.into()))
}

fn to_this_node() -> Statement {
    Statement::equals(Load::DestinationType, ADDRESS_LOCAL.to_ne_bytes())
}

fn called_by(via: Via) -> Vec<Load> {
    match via {
        Via::Address => vec![
            Load::DestinationAddress,
            Load::Protocol,
            Load::DestinationPort,
        ],
        Via::NodePort => vec![Load::Protocol, Load::DestinationPort],
    }
}

fn verdict_map(via: Via, map: &str) -> Statement {
    Statement::VerdictMap {
        key: called_by(via),
        map: map.into(),
    }
}
