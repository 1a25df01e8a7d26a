//! How a view is declared: every field may be missing or `null`, and unknown fields are ignored.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default of the field's type. Go's decoder leaves a field at its zero value
/// when it meets `null`, and manifests written for upstream rely on it (`affinity:` with nothing
/// after it).
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    let value = Option::<T>::deserialize(deserializer)?;
    Ok(value.unwrap_or_default())
}

/// Declares view structs. Every field is public, named in `camelCase` on the wire unless it says
/// otherwise, and takes its default when it is missing or `null`. The attributes are repeated on
/// every field by the macro, because one forgotten `null` makes a whole object unreadable.
macro_rules! view {
    ($(
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $($(#[$field_attribute:meta])* pub $field:ident: $type:ty,)*
        }
    )*) => {$(
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $(
                $(#[$field_attribute])*
                #[serde(deserialize_with = "crate::view::null_as_default")]
                pub $field: $type,
            )*
        }
    )*};
}

pub(crate) use view;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::pod::Pod;

    #[test]
    fn null_reads_as_missing_at_every_depth() {
        let nulls = json!({"metadata": {"name": "p"}, "status": null, "spec": {
            "nodeName": null, "affinity": null, "overhead": null, "resources": null, "tolerations": null,
            "containers": [{"name": "a", "resources": null, "ports": null, "restartPolicy": null}],
            "initContainers": null, "priority": null, "volumes": [{"name": "v", "ephemeral": null}]}});
        let missing = json!({"spec": {"containers": [{"name": "a"}], "volumes": [{"name": "v"}]}});
        let read = |value| serde_json::from_value::<Pod>(value).unwrap();
        assert_eq!(read(nulls), read(missing));
    }
}
