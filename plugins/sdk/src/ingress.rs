//! Ingress controllers: the trait, the contract's types, and the books that the contract asks for, so
//! that a plugin is one pure function from an object to what follows from it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

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
        path: ["../../wit/common", "../../wit/host", "../../wit/ingress"],
        world: "k3s:ingress/ingress",
        default_bindings_module: "k3s_plugin_sdk::ingress::bindings",
    });
}

/// Everything that a route can be made of.
pub use bindings::exports::k3s::ingress::routing as contract;
pub use contract::{
    Backend, Change, Diagnostic, Error, Interest, Matcher, Object, ObjectKey, Outcome, Reference,
    Route, Scheme, Severity, Target, TlsUse,
};

/// A kind of objects that the plugin sees.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// API group; empty is the core group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// As in the URL.
    pub plural: &'static str,
    /// As in objects.
    pub kind: &'static str,
    /// Whether its objects have namespaces.
    pub namespaced: bool,
    /// It may be missing from the cluster.
    pub optional: bool,
    /// What is passed of its objects, as dotted paths. Name and namespace always come.
    pub fields: &'static [&'static str],
    /// Routes follow from its objects; others are only looked up.
    pub routed: bool,
}

/// What names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// API group and kind.
    pub kind: (&'static str, &'static str),
    /// Empty for objects without.
    pub namespace: String,
    /// Name; in what a plugin looked up, none stands for all objects of the kind.
    pub name: Option<String>,
}

impl Key {
    fn new(kind: &Kind, namespace: &str, name: Option<&str>) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.map(str::to_owned));
        Self {
            kind: (kind.group, kind.kind),
            namespace,
            name,
        }
    }

    fn to_contract(&self) -> ObjectKey {
        let ((group, kind), name) = (self.kind, self.name.clone().unwrap_or_default());
        ObjectKey {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: self.namespace.clone(),
            name,
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}",
            self.namespace,
            self.name.as_deref().unwrap_or_default()
        )
    }
}

/// An ingress controller.
pub trait IngressController: Sized + 'static {
    /// The operator's settings.
    type Config: DeserializeOwned + Default;

    /// What `kubectl get plugins` shows.
    const NAME: &'static str;
    /// The plugin's own version.
    const VERSION: &'static str;
    /// What the plugin sees.
    const KINDS: &'static [Kind];

    /// Takes the configuration; an error is one sentence for the operator.
    fn new(config: Self::Config) -> Result<Self, String>;

    /// What follows from one object of a routed kind; nothing if it is another controller's. Others are
    /// looked up in `cluster`, which notes that, so that this is called again when one of them changes.
    ///
    /// # Errors
    /// One sentence for the object's author, who asked for something that cannot be read.
    fn decide(&self, cluster: &Cluster<'_>, key: &Key) -> Result<Option<Outcome>, String>;
}

type Objects = BTreeMap<Key, Vec<u8>>;

/// The cluster as a decision sees it.
pub struct Cluster<'a> {
    objects: &'a Objects,
    used: RefCell<BTreeSet<Key>>,
}

impl Cluster<'_> {
    /// The object of a key.
    ///
    /// # Errors
    /// When it is of another form, or gone.
    pub fn read<T: DeserializeOwned>(&self, key: &Key) -> Result<T, String> {
        let json = self
            .objects
            .get(key)
            .ok_or_else(|| format!("{key} does not exist"))?;
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }

    /// An object by name; none where it does not exist.
    pub fn get<T: DeserializeOwned>(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
    ) -> Option<Result<T, String>> {
        let key = Key::new(kind, namespace, Some(name));
        let found = self.objects.contains_key(&key).then(|| self.read(&key));
        self.used.borrow_mut().insert(key);
        found
    }

    /// All objects of a kind that can be read.
    pub fn list<T: DeserializeOwned>(&self, kind: &Kind) -> Vec<T> {
        self.used.borrow_mut().insert(Key::new(kind, "", None));
        let of_kind = self
            .objects
            .keys()
            .filter(|key| key.kind == (kind.group, kind.kind));
        of_kind.filter_map(|key| self.read(key).ok()).collect()
    }
}

/// What an instance was given, and what has to be decided anew.
pub struct Books<P: IngressController> {
    plugin: P,
    objects: Objects,
    dirty: BTreeSet<Key>,
    /// Routed object → what its decision looked up.
    used: BTreeMap<Key, BTreeSet<Key>>,
    /// The same from the other end.
    users: BTreeMap<Key, BTreeSet<Key>>,
}

impl<P: IngressController> Books<P> {
    /// Of a fresh instance.
    pub fn new(plugin: P) -> Self {
        let (objects, dirty) = (Objects::new(), BTreeSet::new());
        Self {
            plugin,
            objects,
            dirty,
            used: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }

    /// Takes objects; of kinds that were not asked for, none.
    pub fn upsert(&mut self, objects: Vec<Object>) {
        for object in objects {
            if let Some((kind, key)) = known::<P>(&object.key) {
                self.touch(kind, &key);
                self.objects.insert(key, object.json);
            }
        }
    }

    /// Takes objects back.
    pub fn remove(&mut self, keys: &[ObjectKey]) {
        for (kind, key) in keys.iter().filter_map(known::<P>) {
            if self.objects.remove(&key).is_some() {
                self.touch(kind, &key);
            }
        }
    }

    /// Marks an object and those that looked for it.
    fn touch(&mut self, kind: &Kind, key: &Key) {
        if kind.routed {
            self.dirty.insert(key.clone());
        }
        for looked_up in [key, &Key::new(kind, "", None)] {
            self.dirty
                .extend(self.users.get(looked_up).into_iter().flatten().cloned());
        }
    }

    /// Decides on at most `max` objects.
    pub fn compile(&mut self, max: u32) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.len() < usize::try_from(max).unwrap_or(usize::MAX)
            && let Some(key) = self.dirty.pop_first()
        {
            changes.push(self.decide(key));
        }
        changes
    }

    fn decide(&mut self, key: Key) -> Change {
        for other in self.used.remove(&key).into_iter().flatten() {
            if let Some(users) = self.users.get_mut(&other) {
                users.remove(&key);
            }
        }
        if !self.objects.contains_key(&key) {
            return Change::Gone(key.to_contract());
        }
        let cluster = Cluster {
            objects: &self.objects,
            used: RefCell::default(),
        };
        let outcome = self.plugin.decide(&cluster, &key).unwrap_or_else(|why| {
            let mut outcome = Outcome::of(&key);
            outcome.error("InvalidObject", why);
            Some(outcome)
        });
        let used = cluster.used.into_inner();
        for other in &used {
            self.users
                .entry(other.clone())
                .or_default()
                .insert(key.clone());
        }
        let change = outcome.map_or_else(|| Change::Gone(key.to_contract()), Change::Put);
        self.used.insert(key, used);
        change
    }
}

fn known<P: IngressController>(key: &ObjectKey) -> Option<(&'static Kind, Key)> {
    let kind = P::KINDS
        .iter()
        .find(|kind| kind.group == key.group && kind.kind == key.kind)?;
    Some((kind, Key::new(kind, &key.namespace, Some(&key.name))))
}

/// Kinds as the contract has them; the macro calls it.
#[must_use]
pub fn interests(kinds: &[Kind]) -> Vec<Interest> {
    let interest = |kind: &Kind| Interest {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        plural: kind.plural.to_owned(),
        kind: kind.kind.to_owned(),
        namespaced: kind.namespaced,
        optional: kind.optional,
        fields: kind
            .fields
            .iter()
            .map(|field| (*field).to_owned())
            .collect(),
    };
    kinds.iter().map(interest).collect()
}

impl Outcome {
    /// Nothing follows yet.
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

    /// Something is not served; said once.
    pub fn error(&mut self, reason: &str, message: impl Into<String>) {
        let message = message.into();
        if !self
            .diagnostics
            .iter()
            .any(|d| d.reason == reason && d.message == message)
        {
            self.diagnostics.push(Diagnostic {
                severity: Severity::Error,
                reason: reason.to_owned(),
                message,
            });
        }
    }
}

impl Route {
    /// To one backend, on every entry point, with and without TLS.
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

/// Makes a type that implements [`IngressController`] the component's.
#[macro_export]
macro_rules! export_ingress {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::ingress::bindings::exports::k3s::common::plugin as common;
            use $crate::ingress::bindings::exports::k3s::ingress::routing as contract;
            use $crate::ingress::{Books, IngressController};

            $crate::__instance!($plugin, Books<$plugin>, Books::<$plugin>::new);

            impl contract::Guest for Exported {
                fn interests() -> Vec<contract::Interest> {
                    $crate::ingress::interests(<$plugin>::KINDS)
                }

                fn upsert(objects: Vec<contract::Object>) -> Result<(), contract::Error> {
                    with(|books| books.upsert(objects));
                    Ok(())
                }

                fn remove(keys: Vec<contract::ObjectKey>) -> Result<(), contract::Error> {
                    with(|books| books.remove(&keys));
                    Ok(())
                }

                fn compile(max: u32) -> Result<Vec<contract::Change>, contract::Error> {
                    Ok(with(|books| books.compile(max)))
                }
            }

    $crate::ingress::bindings::export_raw!(Exported with_types_in $crate::ingress::bindings);
        };
    };
}

#[cfg(test)]
#[path = "ingress_tests.rs"]
mod tests;
