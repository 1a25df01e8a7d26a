//! What is in the packet filter, and what has to change: the books between plan and kernel.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use k3s_sys::nft::{Batch, Data, Element, Key};

use crate::model::Transport;
use crate::plan::{Claim, Frontend, Planned, Row};
use crate::tables::{HAIRPIN, Layout, Pick};

/// `namespace/name` of a Service.
pub(crate) type ServiceKey = Arc<str>;

/// Flows that may have to be forgotten: UDP frontends and where they may lead now.
pub(crate) type UdpTargets = HashMap<Frontend, BTreeSet<(Ipv4Addr, u16)>>;

struct Installed {
    owner: ServiceKey,
    /// When the owner was made.
    created: Arc<str>,
    planned: Planned,
}

/// Who gets a frontend that several Services want: the lowest, whatever the order in which they came.
type Rank<'a> = (Claim, &'a str, &'a str);

impl Installed {
    fn rank(&self) -> Rank<'_> {
        (self.planned.claim, &self.created, &self.owner)
    }
}

/// Everything that was written, by frontend.
#[derive(Default)]
pub(crate) struct State {
    frontends: HashMap<Frontend, Installed>,
    by_service: HashMap<ServiceKey, Vec<Frontend>>,
    picks: BTreeSet<Pick>,
    /// How many frontends lead to a local endpoint.
    local: HashMap<Ipv4Addr, usize>,
    /// Services that want a frontend which another one has.
    blocked: HashSet<ServiceKey>,
}

/// Elements by set, in the order the kernel should see them.
#[derive(Default)]
struct Delta {
    gone: BTreeMap<&'static str, Vec<Element>>,
    new: BTreeMap<&'static str, Vec<Element>>,
}

/// One transaction in the making. Dropping it without [`State`] being thrown away loses track of the
/// kernel, so a failed commit is followed by [`State::rewrite`].
pub(crate) struct Change<'a> {
    state: &'a mut State,
    delta: Delta,
    picks: BTreeSet<Pick>,
    udp: UdpTargets,
    retry: Vec<ServiceKey>,
}

impl State {
    /// Starts a transaction.
    pub(crate) fn change(&mut self) -> Change<'_> {
        Change {
            state: self,
            delta: Delta::default(),
            picks: BTreeSet::new(),
            udp: UdpTargets::new(),
            retry: Vec::new(),
        }
    }

    /// How many frontends are installed.
    pub(crate) fn len(&self) -> usize {
        self.frontends.len()
    }

    /// The whole table, rewritten in one transaction. `remembered` are elements of dynamic sets that
    /// survive.
    pub(crate) fn rewrite(
        &self,
        layout: &Layout,
        remembered: Vec<(&'static str, Vec<Element>)>,
    ) -> Batch {
        let mut batch = Batch::default();
        layout.write(&mut batch);
        for pick in &self.picks {
            layout.write_pick(&mut batch, pick);
        }
        let mut delta = Delta::default();
        for row in self.frontends.values().flat_map(|i| &i.planned.rows) {
            delta.add(row);
        }
        for address in self.local.keys() {
            delta
                .new
                .entry(HAIRPIN)
                .or_default()
                .push(hairpin(*address));
        }
        delta.write(layout, &mut batch);
        for (set, elements) in remembered {
            batch.add_elements(layout.table(), set, elements);
        }
        batch
    }

    /// Every UDP frontend and where it may lead.
    pub(crate) fn udp_targets(&self) -> UdpTargets {
        let udp = self
            .frontends
            .iter()
            .filter(|(frontend, _)| is_udp(frontend));
        udp.map(|(frontend, installed)| (*frontend, installed.planned.targets.clone()))
            .collect()
    }
}

impl Change<'_> {
    /// Replaces the elements of a Service that was made at `created`; an empty plan removes them. Gives the
    /// frontends that another Service has the better claim to, and that Service.
    pub(crate) fn set(
        &mut self,
        service: &ServiceKey,
        created: &str,
        planned: Vec<Planned>,
    ) -> Vec<(Frontend, ServiceKey)> {
        let created: Arc<str> = created.into();
        let mut lost = Vec::new();
        self.state.blocked.remove(service);
        let mut had = self.state.by_service.remove(service).unwrap_or_default();
        let mut has = Vec::with_capacity(planned.len());
        for planned in planned {
            let frontend = planned.frontend;
            // Twice in one Service (an external address that is also the load balancer's).
            if has.contains(&frontend) {
                continue;
            }
            if let Some(installed) = self.state.frontends.get(&frontend)
                && installed.owner != *service
            {
                let owner = installed.owner.clone();
                let rank: Rank<'_> = (planned.claim, &created, service);
                if installed.rank() < rank {
                    tracing::warn!(%service, %owner, ?frontend, "taken by another service");
                    self.state.blocked.insert(service.clone());
                    lost.push((frontend, owner));
                    continue;
                }
                self.evict(&owner, frontend);
            }
            had.retain(|f| *f != frontend);
            has.push(frontend);
            self.install(service, &created, planned);
        }
        for frontend in had {
            self.remove(frontend);
        }
        if !has.is_empty() {
            self.state.by_service.insert(service.clone(), has);
        }
        lost
    }

    /// Takes a frontend from the books of a Service, which is planned again to hear of it. What is installed stays
    /// until the next owner's elements take its place.
    fn evict(&mut self, owner: &ServiceKey, frontend: Frontend) {
        if let Some(frontends) = self.state.by_service.get_mut(owner) {
            frontends.retain(|f| *f != frontend);
        }
        self.retry.push(owner.clone());
    }

    /// Services that lost a conflict and may win it now; the caller plans them again.
    pub(crate) fn unblocked(&mut self) -> Vec<ServiceKey> {
        std::mem::take(&mut self.retry)
    }

    fn install(&mut self, owner: &ServiceKey, created: &Arc<str>, planned: Planned) {
        let frontend = planned.frontend;
        let old = self.state.frontends.remove(&frontend).map(|i| i.planned);
        let old_rows: HashSet<&Row> = old.iter().flat_map(|p| &p.rows).collect();
        let new_rows: HashSet<&Row> = planned.rows.iter().collect();
        old_rows
            .difference(&new_rows)
            .for_each(|row| self.delta.remove(row));
        planned
            .rows
            .iter()
            .filter(|row| !old_rows.contains(row))
            .for_each(|row| self.delta.add(row));
        let old_targets = old.as_ref().map(|p| &p.targets);
        if is_udp(&frontend) && old_targets != Some(&planned.targets) {
            self.udp.insert(frontend, planned.targets.clone());
        }
        for pick in planned
            .picks
            .iter()
            .filter(|p| !self.state.picks.contains(p))
        {
            self.picks.insert(*pick);
        }
        planned.local.iter().for_each(|ip| self.count_local(*ip));
        old.iter()
            .flat_map(|p| &p.local)
            .for_each(|ip| self.uncount_local(*ip));
        self.state.frontends.insert(
            frontend,
            Installed {
                owner: owner.clone(),
                created: created.clone(),
                planned,
            },
        );
    }

    fn remove(&mut self, frontend: Frontend) {
        let Some(Installed { planned, .. }) = self.state.frontends.remove(&frontend) else {
            return;
        };
        planned.rows.iter().for_each(|row| self.delta.remove(row));
        planned.local.iter().for_each(|ip| self.uncount_local(*ip));
        if is_udp(&frontend) {
            self.udp.insert(frontend, BTreeSet::new());
        }
        self.retry.extend(self.state.blocked.drain());
    }

    fn count_local(&mut self, address: Ipv4Addr) {
        let count = self.state.local.entry(address).or_default();
        *count += 1;
        if *count == 1 {
            self.delta.add_element(HAIRPIN, hairpin(address));
        }
    }

    fn uncount_local(&mut self, address: Ipv4Addr) {
        let Some(count) = self.state.local.get_mut(&address) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.state.local.remove(&address);
            self.delta.remove_element(HAIRPIN, hairpin(address));
        }
    }

    /// The transaction, and the flows to check after its commit.
    pub(crate) fn finish(self, layout: &Layout) -> (Batch, UdpTargets) {
        let mut batch = Batch::default();
        for pick in &self.picks {
            layout.write_pick(&mut batch, pick);
        }
        self.state.picks.extend(self.picks);
        self.delta.write(layout, &mut batch);
        (batch, self.udp)
    }
}

impl Delta {
    fn add(&mut self, row: &Row) {
        self.add_element(row.set, element(row));
    }

    fn remove(&mut self, row: &Row) {
        self.remove_element(row.set, element(row));
    }

    /// An element that is removed and added within one transaction stays as it is.
    fn add_element(&mut self, set: &'static str, element: Element) {
        let gone = self.gone.entry(set).or_default();
        match gone.iter().position(|e| *e == element) {
            Some(place) => drop(gone.swap_remove(place)),
            None => self.new.entry(set).or_default().push(element),
        }
    }

    fn remove_element(&mut self, set: &'static str, element: Element) {
        let new = self.new.entry(set).or_default();
        match new.iter().position(|e| *e == element) {
            Some(place) => drop(new.swap_remove(place)),
            None => self.gone.entry(set).or_default().push(element),
        }
    }

    fn write(self, layout: &Layout, batch: &mut Batch) {
        // Removals come first, since the same key may be added with other data.
        for (set, elements) in self.gone {
            batch.delete_elements(layout.table(), set, elements);
        }
        for (set, elements) in self.new {
            batch.add_elements(layout.table(), set, elements);
        }
    }
}

fn is_udp(frontend: &Frontend) -> bool {
    matches!(
        frontend,
        Frontend::Address(_, Transport::Udp, _) | Frontend::NodePort(Transport::Udp, _)
    )
}

fn element(row: &Row) -> Element {
    Element {
        key: row.key.clone(),
        key_end: row.key_end.clone(),
        data: row.data.clone(),
        expires: None,
        comment: None,
    }
}

fn hairpin(address: Ipv4Addr) -> Element {
    Element {
        data: Data::None,
        ..Element::member(Key::new().ipv4(address).ipv4(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Service, ServicePort};
    use crate::plan::{Endpoints, plan};
    use crate::reserved::Reserved;

    const CONTESTED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);

    fn service(name: &str, created: &str, by: &str) -> (ServiceKey, Service) {
        let of = |wanted: &str| {
            if by == wanted {
                vec![CONTESTED]
            } else {
                Vec::new()
            }
        };
        let service = Service {
            cluster_ips: of("cluster"),
            created: created.to_owned(),
            external_ips: of("external"),
            load_balancer_ips: of("balancer"),
            ports: vec![ServicePort {
                name: String::new(),
                transport: Transport::Tcp,
                port: 80,
                node_port: None,
            }],
            ..Service::default()
        };
        (name.into(), service)
    }

    /// Who has the address after the Services came in this order.
    fn owner(services: &[&(ServiceKey, Service)]) -> String {
        let mut state = State::default();
        let mut dirty: Vec<_> = services.iter().rev().copied().collect();
        let mut change = state.change();
        while let Some((key, service)) = dirty.pop() {
            let planned = plan(service, &Endpoints::new(), &Reserved::default()).frontends;
            change.set(key, &service.created, planned);
            let again = change.unblocked();
            dirty.extend(services.iter().filter(|(key, _)| again.contains(key)));
        }
        let frontend = Frontend::Address(CONTESTED, Transport::Tcp, 80);
        state.frontends[&frontend].owner.to_string()
    }

    #[test]
    fn the_better_claim_wins_whatever_the_order() {
        let old = "2020-01-01T00:00:00Z";
        let new = "2024-01-01T00:00:00Z";
        for (winner, loser) in [
            (
                service("z/dns", new, "cluster"),
                service("a/evil", old, "external"),
            ),
            (
                service("z/web", new, "balancer"),
                service("a/evil", old, "external"),
            ),
            (
                service("z/dns", new, "cluster"),
                service("a/web", old, "balancer"),
            ),
            (
                service("z/first", old, "external"),
                service("a/second", new, "external"),
            ),
            (
                service("a/one", old, "external"),
                service("z/two", old, "external"),
            ),
        ] {
            let name = winner.0.to_string();
            assert_eq!(owner(&[&winner, &loser]), name);
            assert_eq!(owner(&[&loser, &winner]), name);
        }
    }

    #[test]
    fn the_loser_gets_the_address_when_the_winner_is_gone() {
        let (winner, loser) = (
            service("a/one", "", "external"),
            service("b/two", "", "external"),
        );
        let mut state = State::default();
        let planned =
            |service: &Service| plan(service, &Endpoints::new(), &Reserved::default()).frontends;
        let mut change = state.change();
        change.set(&loser.0, "", planned(&loser.1));
        assert!(change.set(&winner.0, "", planned(&winner.1)).is_empty());
        assert_eq!(change.unblocked(), std::slice::from_ref(&loser.0));
        let lost = change.set(&loser.0, "", planned(&loser.1));
        assert_eq!(lost[0].1, winner.0);
        change.set(&winner.0, "", Vec::new());
        assert_eq!(change.unblocked(), std::slice::from_ref(&loser.0));
        assert!(change.set(&loser.0, "", planned(&loser.1)).is_empty());
    }
}
