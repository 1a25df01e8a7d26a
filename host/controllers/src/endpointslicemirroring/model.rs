//! Pure: which Endpoints are mirrored, and the groups of endpoints that make a slice each.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k3s_client::Obj;
use k3s_meta::tree;
use serde_json::{Value, json};

/// Label of Endpoints whose author keeps slices as well.
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
/// On Endpoints that only hold a lock (client-go's `resourcelock`).
const LEADER_ELECTION: &str = "control-plane.alpha.kubernetes.io/leader";
/// Addresses of one subset that are mirrored, as upstream's default.
pub(super) const MAX_PER_SUBSET: usize = 1000;

/// Endpoints of one address family with one set of ports.
#[derive(Debug, PartialEq)]
pub(super) struct Group {
    /// `IPv4` or `IPv6`.
    pub(super) family: &'static str,
    pub(super) ports: Vec<Value>,
    pub(super) endpoints: Vec<Value>,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Desired {
    pub(super) groups: Vec<Group>,
    /// Addresses beyond the limit.
    pub(super) skipped: usize,
}

/// A Service with a selector has slices of its own.
pub(super) fn is_mirrored(endpoints: &Obj, service: &Obj) -> bool {
    let skips = endpoints.label(SKIP_MIRROR) == Some("true");
    let locks = endpoints.annotation(LEADER_ELECTION).is_some();
    let selects = tree::has(service.value(), "spec.selector");
    !skips && !locks && !selects && !endpoints.is_deleting()
}

/// One group for each family and set of ports.
pub(super) fn groups(endpoints: &Value) -> Desired {
    let mut desired = Desired::default();
    for Subset { members, ports } in repacked(endpoints) {
        let ports: Vec<Value> = ports.into_iter().map(slice_port).collect();
        let mut of_family: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
        let (ready, unready): (Vec<_>, Vec<_>) = members.iter().partition(|member| member.ready);
        let all = ready.into_iter().chain(unready);
        for member in all.take(MAX_PER_SUBSET) {
            let family = if member.ip.is_ipv4() { "IPv4" } else { "IPv6" };
            of_family.entry(family).or_default().push(member.endpoint());
        }
        let excess = members.len().saturating_sub(MAX_PER_SUBSET);
        desired.skipped = desired.skipped.saturating_add(excess);
        for (family, endpoints) in of_family {
            desired.groups.push(Group {
                family,
                ports: ports.clone(),
                endpoints,
            });
        }
    }
    desired
}

/// An address of a subset. Members are told apart by address and pod.
struct Member<'a> {
    ip: IpAddr,
    address: &'a Value,
    ready: bool,
}

impl Member<'_> {
    fn endpoint(&self) -> Value {
        let mut endpoint = json!({
            "addresses": [self.ip.to_string()],
            "conditions": {"ready": self.ready},
        });
        for field in ["targetRef", "nodeName", "hostname"] {
            if tree::has(self.address, field) {
                tree::copy(&mut endpoint, self.address, field);
            }
        }
        endpoint
    }
}

/// Addresses by their own identity: address, and UID of the pod.
type Members<'a> = BTreeMap<(IpAddr, &'a str), Member<'a>>;

/// Who is in a subset, and in which state.
type Identity = Vec<(IpAddr, String, bool)>;

#[derive(Default)]
struct Subset<'a> {
    members: Vec<Member<'a>>,
    ports: Vec<&'a Value>,
}

/// The subsets in their canonical form (`RepackSubsets`): addresses with the same ports are one subset, an
/// address stands in one, and where it is ready and unready at the same port, it is unready.
fn repacked(endpoints: &Value) -> Vec<Subset<'_>> {
    let mut by_port: BTreeMap<String, (Option<&Value>, Members)> = BTreeMap::new();
    for subset in tree::list(endpoints, "subsets") {
        let ports = tree::list(subset, "ports");
        let none = ports.is_empty().then_some(None);
        for port in ports.iter().map(Some).chain(none) {
            let key = port.map(port_key).unwrap_or_default();
            let (_, members) = by_port.entry(key).or_insert_with(|| (port, Members::new()));
            add(members, subset, "addresses", true);
            add(members, subset, "notReadyAddresses", false);
        }
    }
    let mut packed: BTreeMap<Identity, Subset> = BTreeMap::new();
    for (port, members) in by_port.into_values() {
        let who = members
            .iter()
            .map(|((ip, pod), member)| (*ip, (*pod).to_owned(), member.ready));
        let subset = packed.entry(who.collect()).or_default();
        if subset.members.is_empty() {
            subset.members.extend(members.into_values());
        }
        subset.ports.extend(port);
    }
    packed.into_values().collect()
}

fn add<'a>(members: &mut Members<'a>, subset: &'a Value, list: &str, ready: bool) {
    for address in tree::list(subset, list) {
        // Validation lets no other text in.
        let Ok(ip) = tree::text(address, "ip").parse::<IpAddr>() else {
            continue;
        };
        let ip = ip.to_canonical();
        let key = (ip, tree::text(address, "targetRef.uid"));
        let member = members.entry(key).or_insert(Member { ip, address, ready });
        member.ready &= ready;
    }
}

fn port_key(port: &Value) -> String {
    let [name, protocol, app] =
        ["name", "protocol", "appProtocol"].map(|key| tree::text(port, key));
    let number = tree::int(port, "port").unwrap_or(0);
    format!("{name}/{protocol}/{number:05}/{app}")
}

/// Unlike in Endpoints, the name is always there, also when empty.
fn slice_port(port: &Value) -> Value {
    let mut copy = port.clone();
    tree::set_missing(&mut copy, "name", "");
    tree::set_missing(&mut copy, "protocol", "TCP");
    copy
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;

    use super::*;

    fn brief(endpoints: Value) -> Vec<(String, String, String)> {
        let groups = groups(&endpoints).groups.into_iter();
        let brief = groups.map(|group| {
            let endpoint = |e: &Value| {
                let sign = if tree::flag(e, "conditions.ready") {
                    ""
                } else {
                    "!"
                };
                format!("{sign}{}", e["addresses"][0].as_str().unwrap())
            };
            let port = |p: &Value| format!("{}:{}", p["name"].as_str().unwrap(), p["port"]);
            let ports: Vec<String> = group.ports.iter().map(port).collect();
            let members: Vec<String> = group.endpoints.iter().map(endpoint).collect();
            (group.family.to_owned(), ports.join(" "), members.join(" "))
        });
        brief.collect()
    }

    fn owned(expected: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
        let texts = expected
            .iter()
            .map(|(a, b, c)| ((*a).into(), (*b).into(), (*c).into()));
        texts.collect()
    }

    #[test]
    fn subsets_become_groups_by_family_and_ports() {
        let web = json!([{"name": "web", "port": 80, "protocol": "TCP"}]);
        let two = json!([{"name": "a", "port": 1}, {"name": "b", "port": 2}]);
        for (subsets, expected) in [
            (json!([]), &[][..]),
            (
                json!([{"addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}],
                    "ports": web}]),
                &[("IPv4", "web:80", "10.0.0.1 !10.0.0.2")],
            ),
            (
                json!([{"addresses": [{"ip": "fd00::1"}, {"ip": "10.0.0.1"}], "ports": two}]),
                &[
                    ("IPv4", "a:1 b:2", "10.0.0.1"),
                    ("IPv6", "a:1 b:2", "fd00::1"),
                ],
            ),
            // One address at two ports in two subsets is one subset with two ports.
            (
                json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "a", "port": 1}]},
                    {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "b", "port": 2}]}]),
                &[("IPv4", "a:1 b:2", "10.0.0.1")],
            ),
            // Not ready wins.
            (
                json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": web},
                    {"notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": web}]),
                &[("IPv4", "web:80", "!10.0.0.1")],
            ),
            (
                json!([{"addresses": [{"ip": "10.0.0.1"}]}]),
                &[("IPv4", "", "10.0.0.1")],
            ),
            (
                json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}]}]),
                &[("IPv4", ":1", "10.0.0.1")],
            ),
        ] {
            let read = brief(json!({"subsets": subsets}));
            assert_eq!(read, owned(expected), "{subsets}");
        }
    }

    #[test]
    fn an_endpoint_keeps_what_its_address_says() {
        let address = json!({"ip": "10.0.0.1", "nodeName": "n", "hostname": "h",
            "targetRef": {"kind": "Pod", "name": "p", "uid": "u"}});
        let subsets = json!({"subsets": [{"addresses": [address], "ports": [
            {"name": "web", "port": 80, "protocol": "TCP", "appProtocol": "http"}]}]});
        let group = groups(&subsets).groups.remove(0);
        assert_eq!(
            group.endpoints,
            [
                json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "nodeName": "n",
                "hostname": "h", "targetRef": {"kind": "Pod", "name": "p", "uid": "u"}})
            ]
        );
        assert_eq!(
            group.ports,
            [json!({"name": "web", "port": 80, "protocol": "TCP", "appProtocol": "http"})]
        );
    }

    #[test]
    fn a_subset_is_mirrored_up_to_the_limit() {
        let address = |n: usize| json!({"ip": format!("10.0.{}.{}", n / 250, n % 250 + 1)});
        let unready: Vec<Value> = (0..MAX_PER_SUBSET).map(address).collect();
        let ready: Vec<Value> = (MAX_PER_SUBSET..MAX_PER_SUBSET + 5).map(address).collect();
        let subset = json!({"addresses": ready, "notReadyAddresses": unready});
        let desired = groups(&json!({"subsets": [subset]}));
        assert_eq!(desired.skipped, 5);
        let endpoints = &desired.groups[0].endpoints;
        assert_eq!(endpoints.len(), MAX_PER_SUBSET);
        let ready = endpoints
            .iter()
            .filter(|e| tree::flag(e, "conditions.ready"));
        assert_eq!(ready.count(), 5, "ready addresses come first");
    }

    #[test]
    fn only_hand_made_endpoints_of_services_without_selector_are_mirrored() {
        let object = |metadata: Value, spec: Value| {
            Obj::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
        };
        let meta = || json!({"name": "s", "namespace": "n"});
        let with = |key: &str, value: Value| {
            let mut metadata = meta();
            metadata[key] = value;
            metadata
        };
        let plain = || object(meta(), json!({}));
        let selecting = object(meta(), json!({"selector": {"app": "a"}}));
        assert!(is_mirrored(&plain(), &plain()));
        assert!(!is_mirrored(&plain(), &selecting));
        for metadata in [
            with("labels", json!({SKIP_MIRROR: "true"})),
            with("annotations", json!({LEADER_ELECTION: "{}"})),
            with("deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ] {
            assert!(
                !is_mirrored(&object(metadata.clone(), json!({})), &plain()),
                "{metadata}"
            );
        }
        let kept = with("labels", json!({SKIP_MIRROR: "false"}));
        assert!(is_mirrored(&object(kept, json!({})), &plain()));
    }
}
