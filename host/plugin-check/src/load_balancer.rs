//! What the contract of load balancers promises, tried on a component with two nodes and a few Services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k3s_adapters::load_balancer::{BalancerProbe, CONTRACT};
use k3s_base::error::chain;
use k3s_client::{Obj, Object};
use k3s_plugin_host::LoadError;
use k3s_servicelb::{Changes, Inputs, Proposal};
use serde_json::{Value, json};

use crate::suite::{Case, CheckError, Tried, Verdict, ensure, refuses_unknown};

/// What the server always gives: a port that something else listens on.
const RESERVED: u16 = 6443;
/// More than the Services of any case.
const MANY: u32 = 100;
const NODES: [(&str, &str); 2] = [("n1", "192.0.2.1"), ("n2", "192.0.2.2")];

/// One component, and the last answer about each Service.
struct Rig {
    probe: BalancerProbe,
    proposals: BTreeMap<String, Proposal>,
}

fn given() -> Value {
    json!({"reserved": [{"protocol": "TCP", "port": RESERVED, "by": "the API server"}]})
}

impl Rig {
    fn new(tried: Tried<'_>, config: Vec<u8>) -> Verdict<Self> {
        let probe = load(tried, config)?;
        probe.start()?;
        Ok(Self {
            probe,
            proposals: BTreeMap::new(),
        })
    }

    /// Passes changes; returns the keys of the Services that the answers are about.
    fn update(&mut self, changes: Changes) -> Verdict<Vec<String>> {
        self.ask(changes, MANY)
    }

    fn ask(&mut self, changes: Changes, limit: u32) -> Verdict<Vec<String>> {
        let answers = self.probe.propose(changes, limit)?;
        let mut keys = Vec::new();
        for answer in answers {
            self.probe.with_inputs(|inputs| is_sound(&answer, inputs))?;
            keys.push(answer.service.clone());
            self.proposals.insert(answer.service.clone(), answer);
        }
        let different: BTreeSet<&String> = keys.iter().collect();
        ensure(
            different.len() == keys.len(),
            &format!("one question, two answers about one Service: {keys:?}"),
        )?;
        Ok(keys)
    }

    /// Nodes that answer for a Service.
    fn answering(&self, name: &str) -> Verdict<Vec<&str>> {
        let proposal = self.proposals.get(&format!("default/{name}"));
        let proposal =
            proposal.ok_or_else(|| format!("it did not assign Service default/{name}"))?;
        Ok(proposal
            .forwards
            .iter()
            .filter(|f| !f.addresses.is_empty())
            .map(|f| f.node.as_str())
            .collect())
    }
}

fn load(tried: Tried<'_>, config: Vec<u8>) -> Result<BalancerProbe, LoadError> {
    BalancerProbe::load(tried.host, tried.source, config, &Tried::environment())
}

/// What the host would leave out with a warning is wrong here.
fn is_sound(answer: &Proposal, inputs: &Inputs) -> Verdict {
    let service = &answer.service;
    ensure(
        inputs.service_key(service).is_some(),
        &format!("it assigned {service:?}, which is not there"),
    )?;
    for forward in &answer.forwards {
        let own = inputs.addresses_of(&forward.node);
        let own = own.ok_or_else(|| {
            format!(
                "{service} is given to node {:?}, which is not there",
                forward.node
            )
        })?;
        let strange = forward
            .addresses
            .iter()
            .find(|text| !text.parse().is_ok_and(|ip: IpAddr| own.contains(&ip)));
        if let Some(text) = strange {
            return Err(format!(
                "node {} should answer on {text:?}, which is none of its addresses",
                forward.node
            )
            .into());
        }
    }
    let no_address = answer
        .ingress
        .iter()
        .find(|ingress| ingress.ip.parse::<IpAddr>().is_err());
    match no_address {
        Some(ingress) => Err(format!(
            "{service} should show {:?}, which is not an IP address",
            ingress.ip
        )
        .into()),
        None => Ok(()),
    }
}

type Entry = (Arc<str>, Option<Object>);

fn object(value: Value) -> Verdict<Object> {
    Ok(Obj::from_value(value)?)
}

fn node((name, ip): (&str, &str)) -> Verdict<Entry> {
    let node = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": name}]}});
    Ok((name.into(), Some(object(node)?)))
}

/// A Service. Its port is its age too: within a case, a higher port is a younger Service, which is how
/// load balancers decide on conflicts.
fn service(name: &str, port: u16, more: &Value) -> Verdict<Entry> {
    let (hours, minutes, seconds) = (port / 3600, port / 60 % 60, port % 60);
    let mut service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "uid": name,
            "creationTimestamp": format!("2026-01-01T{hours:02}:{minutes:02}:{seconds:02}Z")},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.43.0.9", "ipFamilies": ["IPv4"],
            "ports": [{"name": "a", "protocol": "TCP", "port": port, "nodePort": 30080}]},
        "status": {"loadBalancer": {}}});
    k3s_meta::patch::merge_patch(&mut service, more).map_err(|error| chain(&error))?;
    Ok((format!("default/{name}").into(), Some(object(service)?)))
}

fn nodes() -> Verdict<Changes> {
    Ok(Changes {
        nodes: NODES.into_iter().map(node).collect::<Result<_, _>>()?,
        ..Changes::default()
    })
}

fn services(all: &[(&str, u16)]) -> Verdict<Changes> {
    let all = all
        .iter()
        .map(|(name, port)| service(name, *port, &json!({})));
    Ok(Changes {
        services: all.collect::<Result<_, _>>()?,
        ..Changes::default()
    })
}

fn one(entry: Entry) -> Changes {
    Changes {
        services: vec![entry],
        ..Changes::default()
    }
}

type Test = fn(Tried<'_>, Rig) -> Verdict;

const TESTS: &[(&str, Test)] = &[
    (
        "nodes answer for a Service, on addresses of their own",
        answers_on_own_addresses,
    ),
    (
        "an assignment that did not change is not repeated",
        repeats_nothing,
    ),
    (
        "answers come in pages of the requested size",
        keeps_the_limit,
    ),
    (
        "the order in which objects come does not matter",
        is_independent_of_order,
    ),
    ("a port of a node has one Service", shares_no_port),
    ("a reserved port is given to nobody", spares_reserved_ports),
    (
        "a Service of another class is not claimed",
        leaves_other_classes,
    ),
    (
        "a Service that is being deleted is claimed and gets nothing",
        releases_deleted,
    ),
    (
        "a deleted Service is not assigned, and a deleted node does not answer",
        forgets,
    ),
    (
        "with the policy Local only nodes with an endpoint answer",
        keeps_local,
    ),
    (
        "an unreadable object is reported and affects no other",
        reports_the_unreadable,
    ),
    ("a fresh instance assigns the same", survives_a_restart),
];

pub(crate) fn run(tried: Tried<'_>) -> Result<Vec<Case>, CheckError> {
    // Refused before anything is tried.
    tried.host.load(tried.source, &CONTRACT)?;
    let unknown = refuses_unknown(load(tried, tried.config_with_unknown(given()))?.start());
    let mut cases = vec![Case {
        name: "unknown settings are refused",
        outcome: unknown,
    }];
    for (name, test) in TESTS {
        let outcome = Rig::new(tried, tried.config(given())).and_then(|rig| test(tried, rig));
        cases.push(Case { name, outcome });
    }
    Ok(cases)
}

fn answers_on_own_addresses(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    rig.update(services(&[("web", 80)])?)?;
    ensure(
        rig.proposals
            .get("default/web")
            .is_some_and(|it| it.claimed),
        "a Service without a class is not claimed",
    )?;
    ensure(
        !rig.answering("web")?.is_empty(),
        "two nodes are ready, and none answers",
    )?;
    let shown = rig
        .proposals
        .get("default/web")
        .is_some_and(|it| !it.ingress.is_empty());
    ensure(
        shown,
        "nodes answer, but the Service's status is to show no address",
    )
}

fn repeats_nothing(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    rig.update(services(&[("web", 80), ("other", 81)])?)?;
    let again = rig.ask(Changes::default(), MANY)?;
    ensure(
        again.is_empty(),
        &format!("nothing changed, and it assigned {again:?} again"),
    )
}

fn keeps_the_limit(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    let all = services(&[("a", 80), ("b", 81), ("c", 82)])?;
    let first = rig.probe.propose_once(all, 1)?;
    ensure(
        first.len() == 1,
        &format!("one answer was asked for, {} came", first.len()),
    )?;
    let rest = rig.ask(Changes::default(), 1)?;
    ensure(
        rest.len() == 2,
        &format!("two Services were left, {} were answered about", rest.len()),
    )
}

fn is_independent_of_order(tried: Tried<'_>, mut rig: Rig) -> Verdict {
    let mut other = Rig::new(tried, tried.config(given()))?;
    let all = [("a", 80), ("b", 81), ("c", 82)];
    rig.update(nodes()?)?;
    rig.update(services(&all)?)?;
    // A rival for the first one's port, younger than it.
    let rival = service(
        "rival",
        80,
        &json!({"metadata": {"creationTimestamp": "2026-02-01T00:00:00Z"}}),
    )?;
    rig.update(one(rival.clone()))?;
    other.update(one(rival))?;
    for service in all.iter().rev() {
        other.update(services(&[*service])?)?;
    }
    other.update(nodes()?)?;
    let differs = rig.proposals.iter().find(|(key, proposal)| {
        other
            .proposals
            .get(*key)
            .is_none_or(|others| others != *proposal)
    });
    match differs {
        Some((key, _)) => Err(format!(
            "{key} is assigned otherwise when the same objects come in another order"
        )
        .into()),
        None => Ok(()),
    }
}

fn shares_no_port(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    rig.update(services(&[("a", 80), ("b", 80)])?)?;
    let (a, b) = (rig.answering("a")?, rig.answering("b")?);
    match a.iter().find(|node| b.contains(node)) {
        Some(node) => {
            Err(format!("default/a and default/b both have port 80 of node {node}").into())
        }
        None => ensure(
            !a.is_empty() || !b.is_empty(),
            "of two Services with one port neither has it",
        ),
    }
}

fn spares_reserved_ports(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    rig.update(services(&[("bold", RESERVED)])?)?;
    let taken = rig.answering("bold")?;
    ensure(
        taken.is_empty(),
        &format!("port {RESERVED} is reserved, and a Service has it on {taken:?}"),
    )
}

fn leaves_other_classes(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    rig.update(one(service(
        "foreign",
        80,
        &json!({"spec": {"loadBalancerClass": "example.com/other"}}),
    )?))?;
    let claimed = rig
        .proposals
        .get("default/foreign")
        .is_some_and(|it| it.claimed);
    ensure(
        !claimed,
        "it claims a Service whose loadBalancerClass names another load balancer",
    )
}

fn releases_deleted(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    rig.update(services(&[("web", 80)])?)?;
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-03-01T00:00:00Z"}});
    rig.update(one(service("web", 80, &deleted)?))?;
    let left = rig.answering("web")?;
    ensure(
        left.is_empty(),
        &format!("it is being deleted, and {left:?} still answer"),
    )?;
    let claimed = rig
        .proposals
        .get("default/web")
        .is_some_and(|it| it.claimed);
    ensure(
        claimed,
        "it is not claimed any more, so nobody removes the finalizer",
    )
}

fn forgets(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    rig.update(services(&[("web", 80), ("gone", 81)])?)?;
    rig.update(one(("default/gone".into(), None)))?;
    // `is_sound` checks every answer for deleted Services and nodes.
    rig.update(Changes {
        nodes: vec![("n2".into(), None)],
        ..Changes::default()
    })?;
    let answering = rig.answering("web")?;
    ensure(
        answering == ["n1"],
        &format!("node n2 is gone, and {answering:?} answer"),
    )
}

fn keeps_local(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    rig.update(one(service(
        "local",
        80,
        &json!({"spec": {"externalTrafficPolicy": "Local"}}),
    )?))?;
    let early = rig.answering("local")?;
    ensure(
        early.is_empty(),
        &format!("there is no endpoint, and {early:?} answer"),
    )?;
    let ready = vec![(
        Arc::from("default/local"),
        BTreeSet::from(["n2".to_owned()]),
    )];
    rig.update(Changes {
        ready,
        ..Changes::default()
    })?;
    let answering = rig.answering("local")?;
    ensure(
        answering == ["n2"],
        &format!("the endpoint is on n2, and {answering:?} answer"),
    )
}

fn reports_the_unreadable(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    rig.update(services(&[("fine", 81)])?)?;
    let result = rig.probe.upsert_bytes(b"{");
    let accepted =
        result.map_err(|error| format!("it failed over an object that is not JSON: {error}"))?;
    ensure(
        accepted.is_err(),
        "it accepted an object that is not JSON, and did not report it",
    )?;
    rig.update(services(&[("next", 82)])?)?;
    ensure(
        !rig.answering("next")?.is_empty(),
        "after it, other Services are not served",
    )
}

fn survives_a_restart(_: Tried<'_>, mut rig: Rig) -> Verdict {
    rig.update(nodes()?)?;
    rig.update(services(&[("a", 80), ("b", 80), ("c", 81)])?)?;
    let before = format!("{:?}", rig.proposals);
    rig.probe.recycle();
    rig.proposals.clear();
    let again = rig.ask(Changes::default(), MANY)?;
    ensure(
        again.len() == 3,
        &format!("three Services are there, and a fresh instance assigns {again:?}"),
    )?;
    ensure(
        before == format!("{:?}", rig.proposals),
        "a fresh instance with the same objects assigns otherwise",
    )
}
