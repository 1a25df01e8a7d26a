//! What a kind of plugin must export and may import, and whether a component keeps to it.

use std::fmt;

use crate::engine::{Host, Inspection};
use crate::error::LoadError;
use crate::grants::Grants;

/// A kind's side of the bargain. Interface names are whole: `k3s:sql/sql@0.1.0`.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// For messages: `datastore`.
    pub kind: &'static str,
    /// Interfaces that a component must export: one of these sets, one per track, the newest first.
    pub exports: &'static [&'static [&'static str]],
    /// Interfaces that the host offers beyond [`crate::Host::OFFERED`].
    pub imports: &'static [&'static str],
}

/// A parsed interface name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceId<'a> {
    /// `k3s:sql`
    pub package: &'a str,
    /// `sql`
    pub interface: &'a str,
    /// `0.1.0`, or empty.
    pub version: &'a str,
}

impl<'a> InterfaceId<'a> {
    /// Splits `namespace:package/interface@version`; none for plain names.
    #[must_use]
    pub fn parse(name: &'a str) -> Option<Self> {
        let (path, version) = name.split_once('@').unwrap_or((name, ""));
        let (package, interface) = path.split_once('/')?;
        package.contains(':').then_some(Self {
            package,
            interface,
            version,
        })
    }

    /// True when an implementation of `other` serves this one: same interface, same track.
    #[must_use]
    pub fn is_served_by(&self, other: &Self) -> bool {
        self.package == other.package
            && self.interface == other.interface
            && (self.version == other.version
                || track(self.version).is_some_and(|t| Some(t) == track(other.version)))
    }
}

impl fmt::Display for InterfaceId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.package, self.interface, self.version)
    }
}

/// The part of a version within which things only get added: the major, below 1.0 the minor. None
/// where only equal versions fit (`0.0.x`, pre-releases). The linker's rule.
fn track(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.split('.').map(|n| n.parse::<u64>().ok());
    let major = numbers.next()??;
    let minor = numbers.next()??;
    let _patch = numbers.next()??;
    match (major, minor) {
        (0, 0) => None,
        (0, minor) => Some((0, minor)),
        (major, _) => Some((major, 0)),
    }
}

impl Contract {
    /// Holds a component's imports and exports against the contract.
    pub(crate) fn check(
        &self,
        name: &str,
        imports: &[String],
        exports: &[String],
        grants: Grants,
    ) -> Result<(), LoadError> {
        if let Some(missing) = self.missing_export(exports) {
            return Err(LoadError::WrongKind {
                name: name.to_owned(),
                kind: self.kind,
                wanted: missing.to_owned(),
                found: if exports.is_empty() {
                    "nothing".to_owned()
                } else {
                    exports.join(", ")
                },
            });
        }
        for import in imports {
            let (name, kind, wanted) = (name.to_owned(), self.kind, import.clone());
            match self.need(import) {
                Need::Offered => {}
                Need::Grant(_) if grants.cover(import) => {}
                Need::Grant(grant) => {
                    return Err(LoadError::MissingGrant {
                        name,
                        kind,
                        wanted,
                        grant,
                    });
                }
                Need::Unknown => {
                    let offered = describe_offer(import, &self.offered());
                    return Err(LoadError::UnknownImport {
                        name,
                        kind,
                        wanted,
                        offered,
                    });
                }
            }
        }
        Ok(())
    }

    /// What the newest track demands and the component does not export; none where the component keeps to
    /// any track.
    fn missing_export(&self, exports: &[String]) -> Option<&'static str> {
        let missing = |track: &&'static [&'static str]| {
            let is_missing =
                |wanted: &&&'static str| !exports.iter().any(|found| serves(found, wanted));
            track.iter().find(is_missing).copied()
        };
        let mut tracks = self.exports.iter().map(missing);
        let newest = tracks.next()??;
        tracks.all(|older| older.is_some()).then_some(newest)
    }

    /// Holds a file against the contract, without running it.
    ///
    /// # Errors
    /// When it is of another kind, or needs what is not there or not granted.
    pub fn accepts(
        &self,
        name: &str,
        inspected: &Inspection,
        grants: Grants,
    ) -> Result<(), LoadError> {
        self.check(name, &inspected.imports, &inspected.exports, grants)
    }

    /// What an import takes.
    #[must_use]
    pub fn need(&self, import: &str) -> Need {
        if self.offered().iter().any(|offer| serves(offer, import)) {
            return Need::Offered;
        }
        Grants::needed_by(import).map_or(Need::Unknown, Need::Grant)
    }

    /// Whether a component with these exports means to be of this kind: it exports the kind's own
    /// interface, of whatever version.
    #[must_use]
    pub fn is_meant_by(&self, exports: &[String]) -> bool {
        let package = format!("k3s:{}", self.kind);
        exports
            .iter()
            .any(|found| InterfaceId::parse(found).is_some_and(|id| id.package == package))
    }

    fn offered(&self) -> Vec<&'static str> {
        Host::OFFERED.iter().chain(self.imports).copied().collect()
    }
}

/// What an import takes, by a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Every plugin of the kind has it.
    Offered,
    /// The operator must grant this.
    Grant(&'static str),
    /// This host does not have it.
    Unknown,
}

fn serves(offer: &str, wanted: &str) -> bool {
    match (InterfaceId::parse(offer), InterfaceId::parse(wanted)) {
        (Some(offer), Some(wanted)) => wanted.is_served_by(&offer),
        _ => offer == wanted,
    }
}

/// What is offered of the package wanted, or, failing that, at all.
fn describe_offer(wanted: &str, offered: &[&str]) -> String {
    let package = InterfaceId::parse(wanted).map(|id| id.package);
    let same: Vec<_> = offered
        .iter()
        .filter(|o| InterfaceId::parse(o).map(|id| id.package) == package)
        .copied()
        .collect();
    match (package, same.is_empty()) {
        (Some(package), true) => {
            format!("nothing of {package}; offered are {}", offered.join(", "))
        }
        (Some(package), false) => format!("offered of {package}: {}", same.join(", ")),
        (None, _) => format!("offered are {}", offered.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: Contract = Contract {
        kind: "test",
        exports: &[&["a:b/main@0.2.0", "a:b/feed@0.1.0"], &["a:b/main@0.1.0"]],
        imports: &["a:sql/sql@0.1.3", "a:net/net@1.2.0"],
    };

    fn check(imports: &[&str], exports: &[&str]) -> Result<(), LoadError> {
        let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        CONTRACT.check("p", &own(imports), &own(exports), Grants::default())
    }

    fn refusal(imports: &[&str], exports: &[&str]) -> String {
        check(imports, exports).unwrap_err().to_string()
    }

    #[test]
    fn versions_match_within_their_track() {
        for (wanted, fits) in [
            ("a:sql/sql@0.1.0", true),
            ("a:sql/sql@0.1.9", true),
            ("a:sql/sql@0.2.0", false),
            ("a:net/net@1.9.0", true),
            ("a:net/net@2.0.0", false),
            ("a:net/net@1.0.0-rc1", false),
            ("a:sql/other@0.1.0", false),
        ] {
            assert_eq!(
                check(&[wanted], &["a:b/main@0.1.7"]).is_ok(),
                fits,
                "{wanted}"
            );
        }
    }

    #[test]
    fn a_component_keeps_to_one_track() {
        assert!(check(&[], &["a:b/main@0.2.1", "a:b/feed@0.1.0"]).is_ok());
        assert!(check(&[], &["a:b/main@0.1.0"]).is_ok());
        let error = refusal(&[], &["a:b/main@0.2.0"]);
        assert!(error.contains("does not export a:b/feed@0.1.0"), "{error}");
        let error = refusal(&[], &["a:b/main@0.3.0"]);
        assert!(error.contains("does not export a:b/main@0.2.0"), "{error}");
    }

    #[test]
    fn a_refusal_names_package_wanted_and_offered() {
        let error = refusal(&["a:sql/sql@0.2.0"], &["a:b/main@0.1.0"]);
        assert!(
            error.contains("a:sql/sql@0.2.0")
                && error.contains("offered of a:sql: a:sql/sql@0.1.3"),
            "{error}"
        );
        let error = refusal(&["wasi:cli/environment@0.2.0"], &["a:b/main@0.1.0"]);
        assert!(error.contains("needs the grant \"wasi\""), "{error}");
        let error = refusal(&["c:d/e@0.2.0"], &["a:b/main@0.1.0"]);
        assert!(error.contains("nothing of c:d"), "{error}");
        let error = refusal(&[], &["x:y/z@0.1.0"]);
        assert!(
            error.contains("not a test plugin") && error.contains("x:y/z@0.1.0"),
            "{error}"
        );
    }
}
