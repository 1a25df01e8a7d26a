//! Label and field selectors of a list, watch or deletecollection.

use k3s_meta::{FieldSelector, LabelSelector, Status};
use serde_json::Value;

use crate::error::Result;
use crate::resource::Resource;

/// Both selectors.
#[derive(Clone, Debug)]
pub struct Selectors {
    /// `labelSelector`.
    pub labels: LabelSelector,
    /// `fieldSelector`.
    pub fields: FieldSelector,
}

impl Default for Selectors {
    fn default() -> Self {
        Self {
            labels: LabelSelector::everything(),
            fields: FieldSelector::everything(),
        }
    }
}

impl Selectors {
    /// True when everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The one name that can match, if the selector says so.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.fields.exact_match("metadata.name")
    }

    /// Whether no other field is selected by than those of the metadata.
    pub(crate) fn fields_are_metadata(&self) -> bool {
        self.fields
            .requirements()
            .iter()
            .all(|requirement| requirement.field.starts_with("metadata."))
    }

    pub(crate) fn fields_match<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.fields.is_empty() || self.fields.matches(lookup)
    }

    /// Whether the kind offers the fields that are selected by.
    ///
    /// # Errors
    /// 400 for a field that it does not offer.
    pub fn check_fields(&self, resource: &Resource) -> Result<()> {
        if self.fields.is_empty() {
            return Ok(());
        }
        let offered = resource.strategy.fields(&Value::Null);
        let known = |field: &str| {
            matches!(field, "metadata.name" | "metadata.namespace")
                || offered.iter().any(|(name, _)| *name == field)
        };
        match self.fields.requirements().iter().find(|requirement| !known(&requirement.field)) {
            None => Ok(()),
            Some(bad) if offered.is_empty() => Err(Status::bad_request(format!(
                "{:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                bad.field
            ))
            .into()),
            Some(bad) => {
                let unknown = resource.strategy.rules().unknown_field;
                Err(Status::bad_request(unknown(&bad.field)).into())
            }
        }
    }
}
