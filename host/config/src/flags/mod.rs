//! The flags of K3s as rows: name, environment variable, shape, class. One file per group, as
//! `k3s server --help` groups them.

mod client;
mod cluster;
mod components;
mod datastore;
mod listener;
mod logging;
mod networking;
mod node;
mod runtime;

/// How a flag takes its value.
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

/// What giving a flag does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It acts.
    Acts,
    /// It is known and changes nothing here; a warning with this reason says so.
    Warns(&'static str),
    /// Going on would be unsafe or a surprise: refused with this reason.
    Fatal(&'static str),
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
    /// How it takes its value.
    pub shape: Shape,
    /// What giving it does.
    pub class: Class,
    /// One line for `--help`.
    pub help: &'static str,
}

impl Flag {
    const fn new(name: &'static str, shape: Shape, help: &'static str) -> Self {
        Self {
            name,
            short: None,
            env: None,
            shape,
            class: Class::Acts,
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

    const fn warns(mut self, reason: &'static str) -> Self {
        self.class = Class::Warns(reason);
        self
    }

    const fn fatal(mut self, reason: &'static str) -> Self {
        self.class = Class::Fatal(reason);
        self
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
}
