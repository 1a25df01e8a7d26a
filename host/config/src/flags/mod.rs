//! The flags of K3s as rows: name, environment variable, shape, class, default. One file per group, as
//! `k3s server --help` groups them.
//!
//! A flag that acts is a typed constant of its group ([`typed`]): the row, the parser of its value and
//! its default are in one place, and settings are read through the constant. A flag that only warns
//! or is refused is a plain row.

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod components;
pub(crate) mod datastore;
pub(crate) mod listener;
pub(crate) mod logging;
pub(crate) mod networking;
pub(crate) mod node;
pub(crate) mod runtime;
pub(crate) mod typed;
pub(crate) mod values;

/// How many values a flag has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `--debug`, `--debug=false`.
    Switch,
    /// `--data-dir DIR`.
    One,
    /// Repeatable; each use adds a value.
    Many,
    /// Repeatable, and each value is split on commas (addresses, CIDRs, `--disable`).
    ManyByComma,
}

/// The effect of a flag here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It acts.
    Acts,
    /// It is known and has no effect here; a warning gives this reason.
    Warns(&'static str),
    /// Continuing without it would be unsafe or a surprise: refused with this reason.
    Fatal(&'static str),
}

/// The values that a flag knows, for its help text.
#[derive(Clone, Copy, Debug)]
pub struct Choices {
    /// A noun for them, in the plural.
    pub label: &'static str,
    /// Their names, from the table that the parser uses.
    pub names: fn() -> Vec<&'static str>,
}

/// One flag of K3s.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Long name, without dashes; also the key in `config.yaml`.
    pub name: &'static str,
    /// One-letter form.
    pub short: Option<char>,
    /// Environment variable.
    pub env: Option<&'static str>,
    /// How many values it has.
    pub shape: Shape,
    /// Its effect.
    pub class: Class,
    /// The value that applies when none is given, as a user would write it.
    pub default: Option<&'static str>,
    /// The values it knows.
    pub choices: Option<Choices>,
    /// One line for `--help`, without the default and the choices.
    pub help: &'static str,
}

impl Flag {
    pub(crate) const fn new(name: &'static str, shape: Shape, help: &'static str) -> Self {
        Self {
            name,
            short: None,
            env: None,
            shape,
            class: Class::Acts,
            default: None,
            choices: None,
            help,
        }
    }

    const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    const fn env(mut self, env: &'static str) -> Self {
        self.env = Some(env);
        self
    }

    const fn choices(mut self, label: &'static str, names: fn() -> Vec<&'static str>) -> Self {
        self.choices = Some(Choices { label, names });
        self
    }

    const fn warns(mut self, reason: &'static str) -> Self {
        self.class = Class::Warns(reason);
        self
    }

    const fn fatal(mut self, reason: &'static str) -> Self {
        self.class = Class::Fatal(reason);
        self
    }

    /// The line for `--help`, with choices and default.
    #[must_use]
    pub(crate) fn help_line(&self) -> String {
        let mut line = self.help.to_owned();
        if let Some(choices) = self.choices {
            let names = (choices.names)().join(", ");
            line.push_str(&format!(" ({}: {names})", choices.label));
        }
        if let Some(default) = self.default {
            line.push_str(&format!(" (default: {default})"));
        }
        line
    }
}

/// The groups of `k3s server`, in the order of its help.
pub const SERVER: &[(&str, &[Flag])] = &[
    ("Logging", logging::FLAGS),
    ("Listener", listener::FLAGS),
    ("Networking", networking::FLAGS),
    ("Client", client::FLAGS),
    ("Cluster", cluster::FLAGS),
    ("Datastore", datastore::FLAGS),
    ("Components", components::FLAGS),
    ("Node", node::FLAGS),
    ("Runtime", runtime::FLAGS),
];

/// Every flag of `k3s server`.
pub fn server() -> impl Iterator<Item = &'static Flag> {
    SERVER.iter().flat_map(|(_, flags)| flags.iter())
}

/// The row of a flag by long name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Flag> {
    server().find(|f| f.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_shorts_and_variables_are_unique() {
        let mut seen = HashSet::new();
        for flag in server() {
            assert!(seen.insert(flag.name.to_owned()), "--{} twice", flag.name);
            assert!(
                flag.short.is_none_or(|s| seen.insert(format!("-{s}"))),
                "-{:?} twice",
                flag.short
            );
            assert!(
                flag.env.is_none_or(|e| seen.insert(format!("${e}"))),
                "{:?} twice",
                flag.env
            );
        }
    }

    #[test]
    fn help_shows_defaults_and_choices() {
        let line = |name| by_name(name).unwrap().help_line();
        assert_eq!(
            line("data-dir"),
            "Folder that holds state (default: /var/lib/rancher/k3s)"
        );
        let disable = line("disable");
        assert!(
            disable.ends_with(
                "(components: coredns, servicelb, traefik, local-storage, metrics-server, runtimes)"
            ),
            "{disable}"
        );
        assert!(line("kubelet-arg").contains("eviction-hard"));
    }
}
