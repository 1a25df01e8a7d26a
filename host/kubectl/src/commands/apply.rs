//! `kubectl apply -f`, client-side: a three-way patch between what was applied last, what is wanted
//! and what is there (kubectl `pkg/cmd/apply`).

use http::Method;
use k3s_api::schema::Type;
use k3s_meta::patch;
use k3s_meta::{object, tree};
use serde_json::{Value, json};

use super::create::create;
use super::write::{DryRun, Options, place};
use crate::cli::Apply;
use crate::discovery::Served;
use crate::error::Failure;
use crate::manifest;
use crate::session::Session;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// A conflict means that another client wrote in between; the patch is computed again from its result.
const TRIES: usize = 5;

pub(crate) async fn run(session: &Session, args: &Apply) -> Result<(), Failure> {
    let options = Options::parse(&args.writing, "kubectl-client-side-apply")?;
    let manifests = manifest::read(&args.writing.files)?;
    let discovery = session.discovery().await?;
    let mut failed = 0;
    for mut manifest in manifests {
        let outcome = match place(session, &discovery, &mut manifest) {
            Ok(served) => one(session, &options, served, &manifest).await,
            Err(e) => Err(e),
        };
        // As stock kubectl: the others are still applied.
        if let Err(e) = outcome {
            eprintln!("{e}");
            failed += 1;
        }
    }
    if failed == 0 {
        Ok(())
    } else {
        Err(Failure::local(format!(
            "{failed} of the objects could not be applied"
        )))
    }
}

async fn one(
    session: &Session,
    options: &Options,
    served: &Served,
    manifest: &Value,
) -> Result<(), Failure> {
    if object::name(manifest).is_empty() {
        return Err(Failure::local("resource name may not be empty"));
    }
    let wanted = with_annotation(manifest)?;
    for _ in 0..TRIES {
        let path = served.resource.path(
            Some(object::namespace(manifest)),
            Some(object::name(manifest)),
            None,
        );
        let live = match session
            .json(Method::GET, &path, "application/json", None)
            .await
        {
            Ok(live) => live,
            Err(Failure::Api(e)) if e.is_not_found() => {
                let created = create(session, options, served, &wanted).await?;
                return options.report(served, &created, "created");
            }
            Err(e) => return Err(e),
        };
        let (content_type, patch) = make_patch(served, &live, &wanted)?;
        if patch.as_object().is_some_and(serde_json::Map::is_empty) {
            return options.report(served, &live, "unchanged");
        }
        if options.dry_run == DryRun::Client {
            return options.report(served, &live, "configured");
        }
        match session
            .json(
                Method::PATCH,
                &options.path(&path),
                "application/json",
                Some((content_type, &patch)),
            )
            .await
        {
            Ok(patched) => return options.report(served, &patched, "configured"),
            Err(Failure::Api(e)) if e.is_conflict() => {}
            Err(e) => return Err(e),
        }
    }
    Err(Failure::local(format!(
        "{}: still in conflict after {TRIES} tries",
        served.qualified(object::name(manifest))
    )))
}

/// The manifest with itself in the annotation, as kubectl writes it: compact JSON and a new line.
fn with_annotation(manifest: &Value) -> Result<Value, Failure> {
    let mut plain = manifest.clone();
    if let Some(annotations) = tree::ensure(&mut plain, "metadata.annotations") {
        annotations.remove(LAST_APPLIED);
    }
    let metadata = tree::ensure(&mut plain, "metadata");
    if let Some(metadata) = metadata {
        metadata.entry("annotations").or_insert_with(|| json!({}));
    }
    let text = serde_json::to_string(&plain).map_err(Failure::ToJson)? + "\n";
    object::set_annotation(&mut plain, LAST_APPLIED, text);
    Ok(plain)
}

fn make_patch(
    served: &Served,
    live: &Value,
    wanted: &Value,
) -> Result<(&'static str, Value), Failure> {
    let original: Value = match object::annotation(live, LAST_APPLIED) {
        Some(text) => serde_json::from_str(text).map_err(Failure::LastApplied)?,
        None => Value::Null,
    };
    let resource = &served.resource;
    let built_in: Option<&'static Type> =
        k3s_api::by_kind(&resource.group, &resource.version, &resource.kind)
            .map(k3s_api::Kind::object_type);
    let cannot = |source| Failure::Patch {
        object: served.qualified(object::name(wanted)),
        source,
    };
    match built_in {
        Some(schema) => Ok((
            "application/strategic-merge-patch+json",
            patch::three_way_strategic(&original, wanted, live, schema).map_err(cannot)?,
        )),
        None => Ok((
            "application/merge-patch+json",
            patch::three_way_json(&original, wanted, live).map_err(cannot)?,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_holds_the_manifest_without_itself() {
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "annotations": {LAST_APPLIED: "old", "a": "b"}}});
        let wanted = with_annotation(&manifest).unwrap();
        let text = object::annotation(&wanted, LAST_APPLIED).unwrap();
        assert_eq!(
            text,
            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{\"a\":\"b\"},\"name\":\"c\"}}\n"
        );
    }
}
