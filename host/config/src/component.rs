//! K3s' packaged components: the names that `--disable` knows.

use crate::error::Refusal;
use crate::settings::Warnings;

/// A component that K3s packages and that `--disable` leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackagedComponent {
    /// Cluster DNS.
    CoreDns,
    /// The service load balancer.
    ServiceLb,
    /// The ingress controller.
    Traefik,
    /// The storage class `local-path` and its provisioner.
    LocalStorage,
    /// Resource metrics.
    MetricsServer,
    /// Runtime classes.
    Runtimes,
}

impl PackagedComponent {
    const ALL: [Self; 6] = [
        Self::CoreDns,
        Self::ServiceLb,
        Self::Traefik,
        Self::LocalStorage,
        Self::MetricsServer,
        Self::Runtimes,
    ];

    /// The name in `--disable`, which is also that of the component's manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CoreDns => "coredns",
            Self::ServiceLb => "servicelb",
            Self::Traefik => "traefik",
            Self::LocalStorage => "local-storage",
            Self::MetricsServer => "metrics-server",
            Self::Runtimes => "runtimes",
        }
    }

    /// Whether this build has the component. K3s' others are known, so that its users need not change
    /// their flags.
    const fn exists(self) -> bool {
        !matches!(self, Self::MetricsServer | Self::Runtimes)
    }

    pub(crate) fn names() -> Vec<&'static str> {
        Self::ALL.map(Self::name).to_vec()
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|component| component.name() == name)
    }
}

/// What `--disable` leaves out: components, and manifests by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disabled(Vec<String>);

impl Disabled {
    /// The given names, and a warning for each that leaves nothing out.
    pub(crate) fn new(names: Vec<String>, warnings: &mut Warnings) -> Self {
        warnings.extend(names.iter().filter_map(|name| without_effect(name)));
        Self(names)
    }

    pub(crate) fn parse_name(name: &str) -> Result<String, Refusal> {
        if name.is_empty() || name.contains('/') {
            let known = PackagedComponent::names().join(", ");
            let expected = format!("expected one of {known}, or the name of a manifest");
            return Err(Refusal::malformed(expected));
        }
        Ok(name.to_owned())
    }

    /// Whether a component is left out.
    #[must_use]
    pub fn contains(&self, component: PackagedComponent) -> bool {
        self.0.iter().any(|name| name == component.name())
    }

    /// All names, those of manifests included.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

fn without_effect(name: &str) -> Option<String> {
    match PackagedComponent::from_name(name) {
        Some(component) if component.exists() => None,
        Some(_) => Some(format!(
            "--disable {name} changes nothing: that component does not exist yet"
        )),
        None => Some(format!(
            "--disable {name}: not a component; disables manifests of that name"
        )),
    }
}
