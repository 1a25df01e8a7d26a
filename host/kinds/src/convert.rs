//! Kinds that are served in more than one form of the same stored object.

use serde_json::Value;

/// A served version that differs from the stored one.
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    /// The served version within the group, such as `v1`.
    pub version: &'static str,
    /// Rewrites an object from the stored form, `apiVersion` included.
    pub to_served: fn(&mut Value),
    /// Rewrites an object to the stored form, `apiVersion` included.
    pub to_stored: fn(&mut Value),
}
