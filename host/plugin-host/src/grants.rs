//! What the operator gives a plugin beyond the capabilities that come with its kind.

/// Everything here is denied unless set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// An empty WASI 0.2: clock and randomness work, standard output and error go to the log, and
    /// there are no files, sockets, arguments or environment variables. For components whose language
    /// imports WASI whether the plugin needs it or not.
    pub wasi: bool,
}

impl Grants {
    /// The grant that an import needs, if it is one that can be granted.
    #[must_use]
    pub fn needed_by(import: &str) -> Option<&'static str> {
        is_wasi(import).then_some("wasi")
    }

    /// Whether the import is granted.
    #[must_use]
    pub fn cover(self, import: &str) -> bool {
        self.wasi && is_wasi(import)
    }
}

/// Only the 0.2 track: later ones have other types under the same names.
fn is_wasi(import: &str) -> bool {
    import.starts_with("wasi:")
        && import
            .split_once('@')
            .is_some_and(|(_, version)| version.starts_with("0.2."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_by_default_and_only_the_track_that_is_known() {
        assert!(!Grants::default().cover("wasi:cli/stdout@0.2.3"));
        assert!(Grants { wasi: true }.cover("wasi:cli/stdout@0.2.3"));
        assert!(!Grants { wasi: true }.cover("wasi:cli/stdout@0.3.0"));
        assert!(!Grants { wasi: true }.cover("k3s:net/net@0.1.0"));
        assert_eq!(Grants::needed_by("wasi:io/streams@0.2.0"), Some("wasi"));
        assert_eq!(Grants::needed_by("k3s:net/net@0.1.0"), None);
    }
}
