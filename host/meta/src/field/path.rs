//! Paths to fields, printed as `spec.ports[0].name` and `metadata.labels[key]`.

use std::fmt;

/// A path from the root of an object. Cheap enough to build on the way down; validation that finds
/// nothing wrong still pays for it, so hot loops build the child only when they need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// The root of the object; prints as `<nil>`, as upstream's nil path does.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path of one name.
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The field below.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() {
            Self::new(name)
        } else {
            Self(format!("{}.{name}", self.0))
        }
    }

    /// The item of a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The entry of a map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// The path as text; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}
