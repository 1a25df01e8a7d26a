//! What a body says it is: group, version and kind, by which upstream's serializer decides how to decode it, and which
//! it looks at before anything else.

use k3s_api::schema;
use k3s_meta::gvk::{api_version, split_api_version};
use k3s_meta::json_syntax::type_name;
use k3s_meta::quote::quote;
use serde_json::Value;

/// What a body should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'w> {
    pub(crate) group: &'w str,
    pub(crate) version: &'w str,
    pub(crate) kind: &'w str,
}

/// A body that is something else. The text is upstream's, without what it says around it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mistyped {
    /// It does not say what it is.
    #[error("{0}")]
    Unreadable(String),
    /// It is of a kind that cannot become the wanted one.
    #[error("{why}")]
    Unfit {
        kind: String,
        version: String,
        why: String,
    },
    /// It is of the wanted kind in another version.
    #[error(
        "the API version in the data ({given}) does not match the expected API version ({wanted})"
    )]
    OtherVersion { given: String, wanted: String },
}

/// What a body claims to be, with what it leaves out filled in.
struct Claim {
    group: String,
    version: String,
    kind: String,
}

/// What upstream's decoder reads first, as Go shows that type.
const CLAIM: &str = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
/// Where upstream's scheme is made, which its errors name.
const SCHEME: &str = "pkg/runtime/scheme.go:111";

impl Claim {
    fn of(value: &Value, wanted: &Wanted<'_>, text: &[u8]) -> Result<Self, Mistyped> {
        if !value.is_object() {
            let found = type_name(value);
            return Err(Mistyped::Unreadable(format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go value of type {CLAIM}"
            )));
        }
        let given = text_at(value, "apiVersion")?;
        let kind = match text_at(value, "kind")? {
            "" => wanted.kind,
            kind => kind,
        };
        let (mut group, mut version) =
            split_api_version(given).map_err(|why| Mistyped::Unreadable(why.into()))?;
        if version.is_empty() && (group.is_empty() || group == wanted.group) {
            (group, version) = (wanted.group, wanted.version);
        }
        let claim = Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        };
        if claim.version.is_empty() {
            let text = String::from_utf8_lossy(text);
            return Err(claim.unfit(format!("Object 'apiVersion' is missing in '{text}'")));
        }
        Ok(claim)
    }

    fn unfit(self, why: String) -> Mistyped {
        Mistyped::Unfit {
            kind: self.kind,
            version: self.version,
            why,
        }
    }

    fn unregistered(self) -> Mistyped {
        let (kind, version) = (quote(&self.kind), quote(&self.api_version()));
        self.unfit(format!(
            "no kind {kind} is registered for version {version} in scheme {SCHEME:?}"
        ))
    }

    fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
}

fn text_at<'v>(value: &'v Value, field: &str) -> Result<&'v str, Mistyped> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(other) => {
            let found = type_name(other);
            Err(Mistyped::Unreadable(format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go struct field .{field} of type string"
            )))
        }
    }
}

/// Whether a body is what is wanted; what it leaves out does not matter. `text` is the body as it came.
pub(crate) fn check(value: &Value, wanted: &Wanted<'_>, text: &[u8]) -> Result<(), Mistyped> {
    let claim = Claim::of(value, wanted, text)?;
    let is_kind = claim.kind == wanted.kind;
    if is_kind && claim.group == wanted.group && claim.version == wanted.version {
        return Ok(());
    }
    let Some(known) = schema::by_gvk(&claim.group, &claim.version, &claim.kind) else {
        return Err(claim.unregistered());
    };
    let internal = internal_package(wanted.group);
    if is_kind && internal_package(&claim.group) == internal {
        return Err(Mistyped::OtherVersion {
            given: claim.api_version(),
            wanted: api_version(wanted.group, wanted.version),
        });
    }
    let (from, kind) = (known.get().go_qualified(), wanted.kind);
    Err(claim.unfit(format!(
        "converting ({from}) to ({internal}.{kind}): unknown conversion"
    )))
}

/// The same for `DeleteOptions`, which may be of any version: upstream decodes them apart, and knows no other kind
/// there.
pub(crate) fn check_delete_options(value: &Value, text: &[u8]) -> Result<(), Mistyped> {
    let wanted = Wanted {
        group: "",
        version: "v1",
        kind: "DeleteOptions",
    };
    let claim = Claim::of(value, &wanted, text)?;
    if claim.kind == wanted.kind {
        Ok(())
    } else {
        Err(claim.unregistered())
    }
}

/// The package of upstream's internal types of a group, in which all versions of a kind are one.
fn internal_package(group: &str) -> &str {
    match group {
        "" | "events.k8s.io" => "core",
        group => group.split('.').next().unwrap_or(group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(body: Value, (group, version, kind): (&str, &str, &str)) -> Option<String> {
        let wanted = Wanted {
            group,
            version,
            kind,
        };
        let text = body.to_string();
        check(&body, &wanted, text.as_bytes())
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn what_a_body_leaves_out_does_not_matter() {
        let role = ("rbac.authorization.k8s.io", "v1", "Role");
        for body in [
            json!({}),
            json!({"kind": "", "apiVersion": null}),
            json!({"apiVersion": "/"}),
            json!({"apiVersion": "rbac.authorization.k8s.io/"}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}),
        ] {
            assert_eq!(refused(body.clone(), role), None, "{body}");
        }
    }

    #[test]
    fn a_body_of_another_type_is_refused_as_upstream_does() {
        let (service, event) = (("", "v1", "Service"), ("events.k8s.io", "v1", "Event"));
        let autoscaler = ("autoscaling", "v2", "HorizontalPodAutoscaler");
        let unregistered = |kind: &str, version: &str| {
            format!(
                "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\""
            )
        };
        for (body, wanted, why) in [
            (
                json!([]),
                service,
                "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }".to_owned(),
            ),
            (
                json!({"kind": true}),
                service,
                "couldn't get version/kind; json parse error: json: cannot unmarshal bool into Go struct field .kind of type string".to_owned(),
            ),
            (json!({"apiVersion": "a/b/c"}), service, "unexpected GroupVersion string: a/b/c".to_owned()),
            (
                json!({"apiVersion": "example.com/"}),
                service,
                "Object 'apiVersion' is missing in '{\"apiVersion\":\"example.com/\"}'".to_owned(),
            ),
            (json!({"kind": "Other"}), service, unregistered("Other", "v1")),
            (json!({"apiVersion": "*"}), service, unregistered("Service", "*")),
            (
                json!({"apiVersion": "v1", "kind": "ConfigMap"}),
                service,
                "converting (v1.ConfigMap) to (core.Service): unknown conversion".to_owned(),
            ),
            (
                json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler"}),
                autoscaler,
                "the API version in the data (autoscaling/v1) does not match the expected API version (autoscaling/v2)".to_owned(),
            ),
            (
                json!({"apiVersion": "v1", "kind": "Event"}),
                event,
                "the API version in the data (v1) does not match the expected API version (events.k8s.io/v1)".to_owned(),
            ),
        ] {
            assert_eq!(refused(body.clone(), wanted), Some(why), "{body}");
        }
    }

    #[test]
    fn delete_options_may_be_of_any_version() {
        for body in [
            json!({}),
            json!({"apiVersion": "v1", "kind": "DeleteOptions"}),
            json!({"apiVersion": "apps/v1", "kind": "DeleteOptions"}),
        ] {
            check_delete_options(&body, b"").unwrap();
        }
        let other = check_delete_options(&json!({"kind": "ConfigMap", "apiVersion": "v1"}), b"");
        assert_eq!(
            other.unwrap_err().to_string(),
            "no kind \"ConfigMap\" is registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\""
        );
    }
}
