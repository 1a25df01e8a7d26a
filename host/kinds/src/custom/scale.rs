//! Where a custom resource keeps what its `scale` subresource shows.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use super::jsonpath::JsonPath;

/// Paths of plain fields from the root of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// `specReplicasPath`: the number wished.
    pub spec_replicas: Vec<String>,
    /// `statusReplicasPath`: the number there is.
    pub status_replicas: Vec<String>,
    /// `labelSelectorPath`: the selector as text; empty when there is none.
    pub selector: Vec<String>,
}

impl ScalePaths {
    /// Reads `subresources.scale` of a version.
    pub(super) fn read(version: &Value) -> Option<Self> {
        let scale = tree::get(version, "subresources.scale")?;
        let path = |key: &str| -> Vec<String> {
            let parsed = JsonPath::parse(tree::text(scale, key)).ok();
            let fields = parsed
                .as_ref()
                .and_then(JsonPath::fields)
                .unwrap_or_default();
            fields.into_iter().map(str::to_owned).collect()
        };
        Some(Self {
            spec_replicas: path("specReplicasPath"),
            status_replicas: path("statusReplicasPath"),
            selector: path("labelSelectorPath"),
        })
    }

    /// The value behind one of the paths.
    #[must_use]
    pub fn find<'v>(path: &[String], object: &'v Value) -> Option<&'v Value> {
        if path.is_empty() {
            return None;
        }
        path.iter().try_fold(object, |value, name| value.get(name))
    }

    /// Numbers of replicas have to be such.
    pub(super) fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        for path in [&self.spec_replicas, &self.status_replicas] {
            let Some(value) = Self::find(path, object) else {
                continue;
            };
            let at = Path::new(&path.join("."));
            match value.as_i64() {
                None if value.is_null() => {}
                None => errors.push(field::invalid(
                    &at,
                    value,
                    "should be a non-negative integer",
                )),
                Some(count) if count < 0 => errors.push(field::invalid(
                    &at,
                    count,
                    "should be a non-negative integer",
                )),
                Some(count) if count > i64::from(i32::MAX) => {
                    let detail = format!("should be less than or equal to {}", i32::MAX);
                    errors.push(field::invalid(&at, count, detail));
                }
                Some(_) => {}
            }
        }
        errors
    }
}
