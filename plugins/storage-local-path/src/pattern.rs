//! `pathPattern` of a class: a Go template over the claim, as far as paths need one:
//! `{{ .PVC.Namespace }}`, `{{ .PVC.Name }}`, `{{ .PVC.Labels.app }}`, `{{ .PVC.Annotations.path }}`
//! and `{{ index .PVC.Annotations "example.com/path" }}`.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::storage::Claim;

/// The relative path that a pattern gives for a claim. It stays below the directory it is for.
pub(crate) fn fill(pattern: &str, claim: &Claim) -> Result<String, Sentence> {
    let mut path = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("{{") {
        let (expression, after) = after
            .split_once("}}")
            .ok_or_else(|| format!("pathPattern {pattern:?}: a {{{{ is not closed"))?;
        path.push_str(before);
        path.push_str(
            &value(expression.trim_matches('-').trim(), claim)
                .map_err(|why| format!("pathPattern {pattern:?}: {why}"))?,
        );
        rest = after;
    }
    path.push_str(rest);
    relative(&path).map_err(|why| format!("pathPattern {pattern:?} gives {path:?}: {why}").into())
}

fn value(expression: &str, claim: &Claim) -> Result<String, Sentence> {
    let unknown = || {
        format!(
            "{{{{ {expression} }}}} is not supported; use .PVC.Namespace, .PVC.Name, .PVC.Labels.KEY, .PVC.Annotations.KEY or index .PVC.Annotations \"KEY\""
        )
    };
    if let Some(arguments) = expression.strip_prefix("index ") {
        let (map, key) = arguments
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(unknown)?;
        let key = key
            .trim()
            .strip_prefix('"')
            .and_then(|k| k.strip_suffix('"'))
            .ok_or_else(unknown)?;
        return entry(map, key, claim).ok_or_else(unknown)?;
    }
    match expression {
        ".PVC.Namespace" => Ok(claim.namespace.clone()),
        ".PVC.Name" => Ok(claim.name.clone()),
        other => {
            let (map, key) = other.rsplit_once('.').ok_or_else(unknown)?;
            entry(map, key, claim).ok_or_else(unknown)?
        }
    }
}

/// A label or annotation; nothing for another map.
fn entry(map: &str, key: &str, claim: &Claim) -> Option<Result<String, Sentence>> {
    let (map, what) = match map {
        ".PVC.Labels" => (&claim.labels, "label"),
        ".PVC.Annotations" => (&claim.annotations, "annotation"),
        _ => return None,
    };
    let found = map
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.clone());
    Some(found.ok_or_else(|| format!("the claim has no {what} {key:?}").into()))
}

/// The path with single slashes, if it is plain.
fn relative(path: &str) -> Result<String, &'static str> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err("it is empty, and every volume needs a directory of its own");
    }
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err("it must not contain \".\" or \"..\"");
    }
    if path.contains('\0') {
        return Err("it must not contain a null byte");
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim {
            namespace: "n".into(),
            name: "data".into(),
            uid: "1".into(),
            labels: vec![("app".into(), "web".into())],
            annotations: vec![
                ("example.com/path".into(), "a/b".into()),
                ("up".into(), "../../etc".into()),
            ],
            access_modes: vec![],
            capacity_bytes: 1,
            block: false,
            has_selector: false,
        }
    }

    #[test]
    fn patterns_are_filled_from_the_claim() {
        for (pattern, expected) in [
            ("{{ .PVC.Namespace }}/{{ .PVC.Name }}", "n/data"),
            ("{{.PVC.Namespace}}-{{- .PVC.Name -}}", "n-data"),
            ("{{ .PVC.Labels.app }}//x/", "web/x"),
            ("{{ index .PVC.Annotations \"example.com/path\" }}", "a/b"),
        ] {
            assert_eq!(fill(pattern, &claim()).unwrap(), expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_that_lead_out_or_say_nothing_are_refused() {
        for (pattern, part) in [
            ("{{ .PVC.Annotations.up }}/x", "must not contain"),
            ("../{{ .PVC.Name }}", "must not contain"),
            ("", "empty"),
            ("{{ .PVC.Name", "not closed"),
            ("{{ .PVC.UID }}", "not supported"),
            ("{{ .PVC.Labels.missing }}", "no label"),
            ("{{ range . }}x{{ end }}", "not supported"),
        ] {
            let error = fill(pattern, &claim()).unwrap_err().to_string();
            assert!(error.contains(part), "{pattern}: {error}");
        }
    }
}
