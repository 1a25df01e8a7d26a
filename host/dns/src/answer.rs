//! Answers from the zone. Pure: zone and question in, records out.
//!
//! Follows CoreDNS' `kubernetes` and `hosts` plugins (`plugin/kubernetes/kubernetes.go`,
//! `plugin/backend_lookup.go`): time to live 5 seconds for the cluster's names and 60 for nodes, SOA
//! with every negative answer, no wildcards.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::error::DnsError;
use crate::question::{Subject, subject};
use crate::zone::{Endpoint, Entry, Port, ServiceKind, Zone};

/// Seconds that the cluster's records live.
const TTL: u32 = 5;
/// Seconds that records of nodes live.
const NODE_TTL: u32 = 60;
/// The version of the specification that the names follow.
const SCHEMA_VERSION: &str = "1.1.0";

/// The fixed facts about the cluster's domain.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    /// In lower case, without the final dot.
    text: String,
    name: Name,
    name_server: Name,
    hostmaster: Name,
    /// Address of the `kube-dns` Service.
    service_ip: Ipv4Addr,
    /// Serial number of the SOA: when this server started.
    serial: u32,
}

/// What the zone has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: ResponseCode,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
    /// The answer is an alias; these are the records of which name?
    pub(crate) follow: Option<Name>,
}

impl Domain {
    pub(crate) fn new(domain: &str, service_ip: Ipv4Addr, serial: u32) -> Result<Self, DnsError> {
        let text = domain.trim_end_matches('.').to_ascii_lowercase();
        let under = |prefix: &str| {
            let name = Name::from_ascii(format!("{prefix}{text}."));
            name.map_err(|source| DnsError::Domain {
                domain: domain.to_owned(),
                source,
            })
        };
        Ok(Self {
            name: under("")?,
            name_server: under("ns.dns.")?,
            hostmaster: under("hostmaster.")?,
            service_ip,
            serial,
            text,
        })
    }

    fn soa(&self) -> Record {
        // Refresh, retry, expire and minimum are CoreDNS'.
        let soa = SOA::new(
            self.name_server.clone(),
            self.hostmaster.clone(),
            self.serial,
            7200,
            1800,
            86_400,
            TTL,
        );
        Record::from_rdata(self.name.clone(), TTL, RData::SOA(soa))
    }

    fn under(&self, labels: &str) -> Option<Name> {
        Name::from_ascii(format!("{labels}.{}.", self.text)).ok()
    }
}

/// Answers from the zone; `None` if an upstream server has to be asked.
pub(crate) fn answer(
    zone: &Zone,
    domain: &Domain,
    name: &Name,
    kind: RecordType,
) -> Option<Answer> {
    let lower = name.to_ascii().to_ascii_lowercase();
    let lower = lower.trim_end_matches('.');
    let context = Context {
        zone,
        domain,
        name,
        kind,
    };
    if lower.ends_with(".arpa") {
        return context.reverse();
    }
    if let Some(addresses) = zone.node(lower) {
        return Some(context.node(addresses));
    }
    subject(lower, &domain.text).map(|subject| context.cluster(subject))
}

struct Context<'a> {
    zone: &'a Zone,
    domain: &'a Domain,
    /// As the client wrote it: answers repeat its spelling.
    name: &'a Name,
    kind: RecordType,
}

impl Context<'_> {
    fn cluster(&self, subject: Subject<'_>) -> Answer {
        match subject {
            Subject::Apex => self.apex(),
            Subject::NameServer => self.addresses(&[self.domain.service_ip.into()]),
            Subject::Version if self.kind == RecordType::TXT => {
                self.found(vec![RData::TXT(TXT::new(vec![SCHEMA_VERSION.to_owned()]))])
            }
            Subject::Branch | Subject::Version => self.no_data(),
            Subject::Namespace(namespace) if self.zone.has_namespace(namespace) => self.no_data(),
            Subject::Pod { namespace, address } => self.pod(namespace, address),
            Subject::Service { namespace, name } => self.with(namespace, name, |entry| {
                self.service(namespace, name, entry)
            }),
            Subject::Endpoint {
                namespace,
                name,
                host,
            } => self.with(namespace, name, |entry| {
                self.endpoint(entry, host, namespace, name)
            }),
            Subject::Port {
                namespace,
                name,
                port,
                protocol,
            } => self.with(namespace, name, |entry| {
                self.port(namespace, name, entry, port, protocol)
            }),
            Subject::Namespace(_) | Subject::Nothing => self.no_name(),
        }
    }

    fn with(&self, namespace: &str, name: &str, answer: impl FnOnce(&Entry) -> Answer) -> Answer {
        self.zone
            .service(namespace, name)
            .map_or_else(|| self.no_name(), answer)
    }

    fn apex(&self) -> Answer {
        match self.kind {
            RecordType::SOA => Answer {
                authorities: Vec::new(),
                answers: vec![self.domain.soa()],
                ..self.no_data()
            },
            RecordType::NS => {
                let mut answer = self.found(vec![RData::NS(NS(self.domain.name_server.clone()))]);
                let address = RData::A(A(self.domain.service_ip));
                answer.additionals.push(Record::from_rdata(
                    self.domain.name_server.clone(),
                    TTL,
                    address,
                ));
                answer
            }
            _ => self.no_data(),
        }
    }

    fn service(&self, namespace: &str, name: &str, entry: &Entry) -> Answer {
        if let ServiceKind::External(target) = &entry.kind {
            return self.external(target);
        }
        if self.kind == RecordType::SRV {
            return self.service_records(namespace, name, entry, |_| true);
        }
        // The specification wants it so, 2.4.1.
        if entry.kind == ServiceKind::Headless && entry.endpoints.is_empty() {
            return self.no_name();
        }
        self.addresses(&addresses(entry, |_| true))
    }

    /// `_port._protocol` of a Service.
    fn port(
        &self,
        namespace: &str,
        name: &str,
        entry: &Entry,
        port: &str,
        protocol: &str,
    ) -> Answer {
        let wanted = |p: &Port| p.name.eq_ignore_ascii_case(port) && p.protocol == protocol;
        if self.kind == RecordType::SRV {
            return self.service_records(namespace, name, entry, wanted);
        }
        let exists = match entry.kind {
            ServiceKind::Cluster => entry.ports.iter().any(wanted),
            ServiceKind::Headless => entry.endpoints.iter().any(|e| e.ports.iter().any(wanted)),
            ServiceKind::External(_) => false,
        };
        if exists {
            self.addresses(&addresses(entry, wanted))
        } else {
            self.no_name()
        }
    }

    fn endpoint(&self, entry: &Entry, host: &str, namespace: &str, name: &str) -> Answer {
        let named: Vec<&Endpoint> = entry
            .endpoints
            .iter()
            .filter(|e| e.is_named(host))
            .collect();
        if named.is_empty() {
            return self.no_name();
        }
        if self.kind == RecordType::SRV {
            return self.endpoint_records(namespace, name, &named, |_| true);
        }
        self.addresses(&named.iter().map(|e| e.address).collect::<Vec<_>>())
    }

    fn service_records(
        &self,
        namespace: &str,
        name: &str,
        entry: &Entry,
        wanted: impl Fn(&Port) -> bool,
    ) -> Answer {
        if entry.kind == ServiceKind::Headless {
            let all: Vec<&Endpoint> = entry.endpoints.iter().collect();
            return self.endpoint_records(namespace, name, &all, wanted);
        }
        let target = self.domain.under(&format!("{name}.{namespace}.svc"));
        let ports = entry.ports.iter().filter(|p| wanted(p));
        let records = ports
            .filter_map(|p| Some((p.number, target.clone()?)))
            .collect();
        let addresses = target
            .iter()
            .flat_map(|t| entry.cluster_ips.iter().map(|ip| (t.clone(), *ip)))
            .collect();
        self.srv(records, addresses)
    }

    fn endpoint_records(
        &self,
        namespace: &str,
        name: &str,
        endpoints: &[&Endpoint],
        wanted: impl Fn(&Port) -> bool,
    ) -> Answer {
        let (mut records, mut addresses) = (Vec::new(), Vec::new());
        for endpoint in endpoints {
            let Some(target) = self
                .domain
                .under(&format!("{}.{name}.{namespace}.svc", endpoint.label()))
            else {
                continue;
            };
            let before = records.len();
            records.extend(
                endpoint
                    .ports
                    .iter()
                    .filter(|p| wanted(p))
                    .map(|p| (p.number, target.clone())),
            );
            if records.len() > before {
                addresses.push((target, endpoint.address));
            }
        }
        self.srv(records, addresses)
    }

    fn srv(&self, records: Vec<(u16, Name)>, addresses: Vec<(Name, IpAddr)>) -> Answer {
        if records.is_empty() {
            return self.no_name();
        }
        let weight = u16::try_from(100 / records.len()).unwrap_or(0).max(1);
        let records = records
            .into_iter()
            .map(|(port, target)| RData::SRV(SRV::new(0, weight, port, target)));
        let mut answer = self.found(records.collect());
        answer.additionals = addresses
            .into_iter()
            .map(|(name, address)| Record::from_rdata(name, TTL, address_data(address)))
            .collect();
        answer
    }

    fn external(&self, target: &str) -> Answer {
        let Ok(target) = Name::from_ascii(format!("{target}.")) else {
            return self.no_name();
        };
        let mut answer = self.found(vec![RData::CNAME(CNAME(target.clone()))]);
        answer.follow = matches!(self.kind, RecordType::A | RecordType::AAAA).then_some(target);
        answer
    }

    /// `pods insecure`: any address in an existing namespace.
    fn pod(&self, namespace: &str, label: &str) -> Answer {
        let address = label
            .replace('-', ".")
            .parse::<IpAddr>()
            .or_else(|_| label.replace('-', ":").parse());
        match address {
            Ok(address) if self.zone.has_namespace(namespace) => self.addresses(&[address]),
            _ => self.no_name(),
        }
    }

    fn node(&self, addresses: &[IpAddr]) -> Answer {
        let mut answer = self.addresses(addresses);
        answer
            .answers
            .iter_mut()
            .for_each(|record| record.ttl = NODE_TTL);
        answer
    }

    /// The names of an address: a Service's, its endpoints', or a node's.
    fn reverse(&self) -> Option<Answer> {
        let net = self
            .name
            .parse_arpa_name()
            .ok()
            .filter(|net| net.prefix_len() == net.max_prefix_len())?;
        let address = net.addr();
        let mut names = Vec::new();
        for (namespace, name, entry) in self.zone.services_at(address) {
            let suffix = format!("{name}.{namespace}.svc");
            if entry.cluster_ips.contains(&address) {
                return Some(self.pointers(self.domain.under(&suffix).into_iter().collect(), TTL));
            }
            let endpoints = entry.endpoints.iter().filter(|e| e.address == address);
            names.extend(
                endpoints.filter_map(|e| self.domain.under(&format!("{}.{suffix}", e.label()))),
            );
        }
        if !names.is_empty() {
            names.dedup();
            return Some(self.pointers(names, TTL));
        }
        let node = Name::from_ascii(format!("{}.", self.zone.node_at(address)?)).ok()?;
        Some(self.pointers(vec![node], NODE_TTL))
    }

    fn pointers(&self, names: Vec<Name>, ttl: u32) -> Answer {
        if self.kind != RecordType::PTR {
            return self.no_data();
        }
        let mut answer = self.found(
            names
                .into_iter()
                .map(|name| RData::PTR(PTR(name)))
                .collect(),
        );
        answer
            .answers
            .iter_mut()
            .for_each(|record| record.ttl = ttl);
        answer
    }

    fn addresses(&self, addresses: &[IpAddr]) -> Answer {
        let wanted = addresses.iter().filter(|a| match self.kind {
            RecordType::A => a.is_ipv4(),
            RecordType::AAAA => a.is_ipv6(),
            _ => false,
        });
        let records: Vec<RData> = wanted.map(|a| address_data(*a)).collect();
        if records.is_empty() {
            self.no_data()
        } else {
            self.found(records)
        }
    }

    fn found(&self, data: Vec<RData>) -> Answer {
        let record = |data| Record::from_rdata(self.name.clone(), TTL, data);
        Answer {
            code: ResponseCode::NoError,
            answers: data.into_iter().map(record).collect(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            follow: None,
        }
    }

    /// The name exists, but not with such records.
    fn no_data(&self) -> Answer {
        Answer {
            authorities: vec![self.domain.soa()],
            ..self.found(Vec::new())
        }
    }

    /// There is no such name.
    fn no_name(&self) -> Answer {
        Answer {
            code: ResponseCode::NXDomain,
            ..self.no_data()
        }
    }
}

/// What a Service's name leads to; of a headless one, the endpoints that have a wanted port.
fn addresses(entry: &Entry, wanted: impl Fn(&Port) -> bool) -> Vec<IpAddr> {
    match entry.kind {
        ServiceKind::Headless => {
            let with_port = entry
                .endpoints
                .iter()
                .filter(|e| e.ports.is_empty() || e.ports.iter().any(&wanted));
            let mut addresses: Vec<IpAddr> = with_port.map(|e| e.address).collect();
            addresses.dedup();
            addresses
        }
        _ => entry.cluster_ips.clone(),
    }
}

fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
