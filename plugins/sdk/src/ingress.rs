//! Ingress controllers: the trait, the contract's types, and the bookkeeping that the contract asks for,
//! so that a plugin is one pure function from an object to its routes.
//!
//! ```
//! use k3s_plugin_sdk::{Sentence, export_ingress};
//! use k3s_plugin_sdk::ingress::{
//!     Backend, Cluster, IngressController, Key, Kind, Outcome, Reference, Route,
//! };
//! use k3s_plugin_sdk::serde_json::Value;
//!
//! static INGRESS: Kind = Kind::new("networking.k8s.io", "v1", "ingresses", "Ingress")
//!     .fields(&["spec"])
//!     .routed();
//! static SERVICE: Kind = Kind::new("", "v1", "services", "Service");
//!
//! /// Sends every request to the Service that has the Ingress's name.
//! struct SameName;
//!
//! impl IngressController for SameName {
//!     type Config = ();
//!     const NAME: &'static str = "same-name";
//!     const VERSION: &'static str = "0.1.0";
//!     const KINDS: &'static [&'static Kind] = &[&INGRESS, &SERVICE];
//!
//!     fn new((): ()) -> Result<Self, Sentence> {
//!         Ok(Self)
//!     }
//!
//!     fn decide(&self, cluster: &Cluster<'_>, key: &Key) -> Result<Option<Outcome>, Sentence> {
//!         let mut outcome = Outcome::of(key);
//!         if !cluster.exists(&SERVICE, &key.namespace, &key.name) {
//!             // `decide` is called again once the Service exists.
//!             outcome.error("BackendNotFound", format!("service {key} does not exist"));
//!             return Ok(Some(outcome));
//!         }
//!         let service = Reference { namespace: key.namespace.clone(), name: key.name.clone() };
//!         let backend = Backend::of(service, "http".to_owned(), 80);
//!         outcome.routes.push(Route::to(backend, key.to_string(), Vec::new(), 1));
//!         Ok(Some(outcome))
//!     }
//! }
//!
//! export_ingress!(SameName);
//! ```

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::sentence::Sentence;
use crate::settings::Settings;

/// The contract as generated; [`crate::export_ingress`] needs it.
#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications
)]
pub mod bindings {
    contract!({
        path: ["../../wit/common", "../../wit/host", "../../wit/ingress-0.2"],
        world: "k3s:ingress/ingress",
        default_bindings_module: "k3s_plugin_sdk::ingress::bindings",
        additional_derives: [PartialEq],
    });
}

pub use bindings::exports::k3s::common::feed::{Interest, Object, ObjectKey};
/// Everything a route can consist of.
pub use bindings::exports::k3s::ingress::routing as contract;
pub use contract::{
    Backend, Change, Diagnostic, Error, Matcher, Outcome, Reference, Route, Scheme, Severity,
    Target, TlsUse,
};

/// A kind of objects the plugin decides on or looks up. Define each as a `static`.
#[derive(Debug)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    name: &'static str,
    namespaced: bool,
    optional: bool,
    fields: &'static [&'static str],
    routed: bool,
}

impl Kind {
    /// A namespaced kind of which only names are passed. The core group is empty; `plural` is as in URLs,
    /// `name` as in objects.
    #[must_use]
    pub const fn new(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        name: &'static str,
    ) -> Self {
        Self {
            group,
            version,
            plural,
            name,
            namespaced: true,
            optional: false,
            fields: &[],
            routed: false,
        }
    }

    /// Sets the mask: the fields to pass, as dotted paths.
    #[must_use]
    pub const fn fields(self, fields: &'static [&'static str]) -> Self {
        Self { fields, ..self }
    }

    /// Objects of this kind have no namespace.
    #[must_use]
    pub const fn cluster_scoped(self) -> Self {
        Self {
            namespaced: false,
            ..self
        }
    }

    /// The cluster may lack this kind (a custom resource).
    #[must_use]
    pub const fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }

    /// Objects of this kind have routes: [`IngressController::decide`] is called with them. Other kinds
    /// are only looked up.
    #[must_use]
    pub const fn routed(self) -> Self {
        Self {
            routed: true,
            ..self
        }
    }

    /// The kind as objects spell it: `Ingress`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    fn interest(&self) -> Interest {
        let fields = self.fields.iter().map(|field| (*field).to_owned());
        Interest {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            plural: self.plural.to_owned(),
            kind: self.name.to_owned(),
            namespaced: self.namespaced,
            optional: self.optional,
            fields: fields.collect(),
        }
    }
}

impl Ord for Kind {
    fn cmp(&self, other: &Self) -> Ordering {
        // Maps compare keys of one kind most of the time.
        if std::ptr::eq(self, other) {
            return Ordering::Equal;
        }
        (self.group, self.name).cmp(&(other.group, other.name))
    }
}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Kind {}

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// One of the plugin's kinds.
    pub kind: &'static Kind,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl Key {
    /// The key of an object.
    #[must_use]
    pub fn new(kind: &'static Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Stands for all objects of a kind, for decisions that list them. No object has an empty name.
    fn any(kind: &'static Kind) -> Self {
        Self::new(kind, "", "")
    }

    fn to_contract(&self) -> ObjectKey {
        ObjectKey {
            group: self.kind.group.to_owned(),
            kind: self.kind.name.to_owned(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

/// `namespace/name`.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An ingress controller.
pub trait IngressController: Sized + 'static {
    /// The operator's settings.
    type Config: Settings;

    /// The name that `kubectl get plugins` shows.
    const NAME: &'static str;
    /// The plugin's own version.
    const VERSION: &'static str;
    /// The kinds that the plugin decides on or looks up.
    const KINDS: &'static [&'static Kind];

    /// Creates the plugin.
    ///
    /// # Errors
    /// The configuration is not usable; one sentence for the operator.
    fn new(config: Self::Config) -> Result<Self, Sentence>;

    /// Returns the outcome of one object of a routed kind; none if another controller is responsible. Look
    /// other objects up in `cluster`: it records them, and this function is called again when one changes.
    ///
    /// # Errors
    /// The object cannot be read; one sentence for its author.
    fn decide(&self, cluster: &Cluster<'_>, key: &Key) -> Result<Option<Outcome>, Sentence>;
}

type Objects = BTreeMap<Key, Vec<u8>>;

/// What one decision may cost, in bytes that it reads or copies. Objects of a few hundred bytes can name one another
/// so that the work multiplies; the object that asks for it is left out, and all others are served.
const MAX_WORK: usize = 16 << 20;
/// What a lookup costs beside what it reads.
const LOOKUP_WORK: usize = 64;
/// A call returns what it has after this much work, so that no call comes near the host's deadline.
const CALL_WORK: usize = 64 << 20;
/// Reports on one object; an author who has mended these gets the others.
const MAX_DIAGNOSTICS: usize = 100;
/// Bytes of a report's message: as long as an Event's may be. Names in it are the author's.
const MAX_MESSAGE: usize = 1024;

/// The cluster as one decision sees it. It records what the decision looks up, and what it costs.
pub struct Cluster<'a> {
    objects: &'a Objects,
    work: Cell<usize>,
    /// Objects, whether or not they exist, and [`Key::any`] of listed kinds.
    lookups: RefCell<BTreeSet<Key>>,
}

impl Cluster<'_> {
    /// Reads the object that is being decided on.
    ///
    /// # Errors
    /// The object has another form, or does not exist.
    pub fn read<T: DeserializeOwned>(&self, key: &Key) -> Result<T, Sentence> {
        let json = self.objects.get(key);
        let json = json.ok_or_else(|| format!("{key} does not exist"))?;
        if !self.charge(json.len()) {
            return Err(too_much_work().into());
        }
        Ok(serde_json::from_slice(json)?)
    }

    /// Adds to what the decision costs, in bytes; false once that is too much. Reading and looking up is charged
    /// already. Charge what is copied for each part of an object: its decision is thrown away when the sum is too
    /// much.
    pub fn charge(&self, bytes: usize) -> bool {
        let work = self.work.get().saturating_add(bytes);
        self.work.set(work);
        work <= MAX_WORK
    }

    /// What the decision costs so far, in bytes.
    #[must_use]
    pub fn work(&self) -> usize {
        self.work.get()
    }

    /// Looks an object up. None if it does not exist, an error if it has another form.
    pub fn get<T: DeserializeOwned>(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
    ) -> Option<Result<T, Sentence>> {
        self.get_key(&Key::new(kind, namespace, name))
    }

    /// Does the same by key.
    pub fn get_key<T: DeserializeOwned>(&self, key: &Key) -> Option<Result<T, Sentence>> {
        self.exists_key(key).then(|| self.read(key))
    }

    /// Returns whether an object exists.
    pub fn exists(&self, kind: &'static Kind, namespace: &str, name: &str) -> bool {
        self.exists_key(&Key::new(kind, namespace, name))
    }

    /// Does the same by key.
    pub fn exists_key(&self, key: &Key) -> bool {
        let cost = LOOKUP_WORK + key.namespace.len() + key.name.len();
        if !self.charge(cost) {
            return false;
        }
        self.lookups.borrow_mut().insert(key.clone());
        self.objects.contains_key(key)
    }

    /// Returns the keys of all objects of a kind.
    pub fn keys(&self, kind: &'static Kind) -> Vec<Key> {
        self.of_kind(kind).cloned().collect()
    }

    /// Returns all objects of a kind that can be read.
    pub fn list<T: DeserializeOwned>(&self, kind: &'static Kind) -> Vec<T> {
        self.of_kind(kind)
            .filter_map(|key| self.read(key).ok())
            .collect()
    }

    fn of_kind(&self, kind: &'static Kind) -> impl Iterator<Item = &Key> {
        let first = Key::any(kind);
        self.lookups.borrow_mut().insert(first.clone());
        let keys = self.objects.range(first..).map(|(key, _)| key);
        keys.take_while(move |key| key.kind == kind && self.charge(LOOKUP_WORK))
    }
}

/// Makes a plugin incremental: it keeps the objects and decides again on those whose own state changed or
/// that looked up something that did. The macro exports it; unit tests can use it too.
pub struct Incremental<P: IngressController> {
    plugin: P,
    objects: Objects,
    /// Objects to decide on.
    dirty: BTreeSet<Key>,
    /// Routed object → what its decision looked up.
    lookups: BTreeMap<Key, BTreeSet<Key>>,
    /// The same in the other direction.
    users: BTreeMap<Key, BTreeSet<Key>>,
}

impl<P: IngressController> Incremental<P> {
    /// A plugin that knows no objects yet.
    pub fn new(plugin: P) -> Self {
        Self {
            plugin,
            objects: Objects::new(),
            dirty: BTreeSet::new(),
            lookups: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }

    /// Adds or replaces objects. Objects of kinds that the plugin does not name are ignored.
    pub fn upsert(&mut self, objects: Vec<Object>) {
        for Object { key, json } in objects {
            if let Some(key) = known_key::<P>(key) {
                self.mark_dirty(&key);
                self.objects.insert(key, json);
            }
        }
    }

    /// Removes objects.
    pub fn remove(&mut self, keys: Vec<ObjectKey>) {
        for key in keys.into_iter().filter_map(known_key::<P>) {
            if self.objects.remove(&key).is_some() {
                self.mark_dirty(&key);
            }
        }
    }

    /// Marks an object, if it has routes, and every decision that looked it up.
    fn mark_dirty(&mut self, key: &Key) {
        if key.kind.routed {
            self.dirty.insert(key.clone());
        }
        for looked_up in [key, &Key::any(key.kind)] {
            let users = self.users.get(looked_up).into_iter().flatten();
            self.dirty.extend(users.cloned());
        }
    }

    /// Decides on at most `max` objects.
    pub fn compile(&mut self, max: u32) -> Vec<Change> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let mut changes = Vec::new();
        let mut work: usize = 0;
        while changes.len() < max
            && work < CALL_WORK
            && let Some(key) = self.dirty.pop_first()
        {
            let (change, cost) = self.decide(key);
            work = work.saturating_add(cost);
            changes.push(change);
        }
        changes
    }

    /// A decision, and what it cost.
    fn decide(&mut self, key: Key) -> (Change, usize) {
        self.forget_lookups(&key);
        if !self.objects.contains_key(&key) {
            return (Change::Gone(key.to_contract()), 0);
        }
        let cluster = Cluster {
            objects: &self.objects,
            work: Cell::new(0),
            lookups: RefCell::default(),
        };
        let refused = |reason: &str, why: String| {
            let mut outcome = Outcome::of(&key);
            outcome.error(reason, why);
            Some(outcome)
        };
        let decided = self.plugin.decide(&cluster, &key);
        let work = cluster.work.get();
        let outcome = if work > MAX_WORK {
            refused("TooMuchWork", too_much_work())
        } else {
            decided.unwrap_or_else(|why| refused("InvalidObject", why.to_string()))
        };
        let change = outcome.map_or_else(|| Change::Gone(key.to_contract()), Change::Put);
        // Also of an object without an outcome: it may get one when what it looked up changes.
        let lookups = cluster.lookups.into_inner();
        self.note_lookups(key, lookups);
        (change, work)
    }

    fn note_lookups(&mut self, key: Key, lookups: BTreeSet<Key>) {
        for looked_up in &lookups {
            let users = self.users.entry(looked_up.clone()).or_default();
            users.insert(key.clone());
        }
        self.lookups.insert(key, lookups);
    }

    fn forget_lookups(&mut self, key: &Key) {
        for looked_up in self.lookups.remove(key).unwrap_or_default() {
            let Some(users) = self.users.get_mut(&looked_up) else {
                continue;
            };
            users.remove(key);
            // Or the map would grow by one entry for each name that was ever looked up.
            if users.is_empty() {
                self.users.remove(&looked_up);
            }
        }
    }
}

fn too_much_work() -> String {
    format!(
        "the objects that this one names come to more than {} MiB together; it is not served",
        MAX_WORK >> 20
    )
}

/// None for kinds that the plugin does not name.
fn known_key<P: IngressController>(key: ObjectKey) -> Option<Key> {
    let is_same = |kind: &&&'static Kind| kind.group == key.group && kind.name == key.kind;
    let kind = P::KINDS.iter().find(is_same)?;
    Some(Key {
        kind,
        namespace: key.namespace,
        name: key.name,
    })
}

/// The interests of a plugin with these kinds; the macro calls it.
#[doc(hidden)]
#[must_use]
pub fn interests(kinds: &[&Kind]) -> Vec<Interest> {
    kinds.iter().map(|kind| kind.interest()).collect()
}

impl Outcome {
    /// An outcome without routes.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self {
            key: key.to_contract(),
            routes: Vec::new(),
            tcp_routes: Vec::new(),
            certificates: Vec::new(),
            diagnostics: Vec::new(),
            publish_address: false,
        }
    }

    /// Reports something that is not served; the same report only once. The first hundred reports are kept.
    pub fn error(&mut self, reason: &str, message: impl Into<String>) {
        self.report(Severity::Error, reason, message.into());
    }

    /// Reports something that is served in another way than its author may expect.
    pub fn warn(&mut self, reason: &str, message: impl Into<String>) {
        self.report(Severity::Warning, reason, message.into());
    }

    /// Serves the certificate of a Secret of type TLS; the same Secret only once.
    pub fn certificate(&mut self, namespace: &str, secret: &str) {
        let reference = Reference {
            namespace: namespace.to_owned(),
            name: secret.to_owned(),
        };
        if !self.certificates.contains(&reference) {
            self.certificates.push(reference);
        }
    }

    fn report(&mut self, severity: Severity, reason: &str, mut message: String) {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        let diagnostic = Diagnostic {
            severity,
            reason: reason.to_owned(),
            message,
        };
        if self.diagnostics.len() < MAX_DIAGNOSTICS && !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }
}

impl Route {
    /// A route to one backend, on every entry point, with and without TLS.
    #[must_use]
    pub fn to(backend: Backend, name: String, rule: Vec<Matcher>, priority: i64) -> Self {
        Self {
            name,
            entry_points: Vec::new(),
            rule,
            priority,
            middlewares: Vec::new(),
            target: Target {
                backends: vec![backend],
                sticky: None,
            },
            tls: TlsUse::Either,
            tls_options: None,
        }
    }
}

impl Backend {
    /// The endpoints of a Service on one of its ports, in plain HTTP.
    #[must_use]
    pub fn of(service: Reference, port: String, port_number: u16) -> Self {
        Self {
            service,
            port,
            port_number,
            external: None,
            scheme: Scheme::Http,
            weight: 1,
            pass_host_header: true,
            sticky: None,
            transport: None,
        }
    }
}

/// Exports a type that implements [`IngressController`] as the component.
#[macro_export]
macro_rules! export_ingress {
    ($plugin:ty) => {
        $crate::__check!($plugin, $crate::ingress::IngressController);

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::ingress::bindings::exports::k3s::common::{feed, plugin as common};
            use $crate::ingress::bindings::exports::k3s::ingress::routing as contract;
            use $crate::ingress::{Incremental, IngressController};

            $crate::__instance!($plugin, Incremental<$plugin>, Incremental::<$plugin>::new);

            impl feed::Guest for Exported {
                fn interests() -> Vec<feed::Interest> {
                    $crate::ingress::interests(<$plugin>::KINDS)
                }

                fn upsert(objects: Vec<feed::Object>) -> Result<(), feed::Error> {
                    with(|state| state.upsert(objects));
                    Ok(())
                }

                fn remove(keys: Vec<feed::ObjectKey>) -> Result<(), feed::Error> {
                    with(|state| state.remove(keys));
                    Ok(())
                }
            }

            impl contract::Guest for Exported {
                fn compile(max: u32) -> Result<Vec<contract::Change>, contract::Error> {
                    Ok(with(|state| state.compile(max)))
                }
            }

            $crate::ingress::bindings::export_raw!(Exported with_types_in $crate::ingress::bindings);
        };
    };
}

#[cfg(test)]
#[path = "ingress_tests.rs"]
mod tests;
