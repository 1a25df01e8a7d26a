//! From the text of a file to its objects: YAML or JSON, several documents, the items of Lists.

use k3s_meta::object;
use serde_json::Value;

use crate::error::Error;

/// Most objects of one file; a file with more is refused.
const MAX_OBJECTS: usize = 10_000;

/// The objects in order.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn objects(text: &str, is_json: bool) -> Result<Vec<Value>, Error> {
    let is_json = is_json || text.trim_start().starts_with('{');
    let documents: Vec<Value> = if is_json {
        let stream = serde_json::Deserializer::from_str(text).into_iter();
        let documents: Result<_, _> = stream.collect();
        documents.map_err(Error::Json)?
    } else {
        let options = k3s_meta::yaml::options();
        let documents = serde_saphyr::from_multiple_with_options(text, options);
        documents.map_err(Error::Yaml)?
    };
    let mut objects = Vec::new();
    for document in documents {
        split(document, &mut objects)?;
    }
    if objects.len() > MAX_OBJECTS {
        let count = objects.len();
        let reason = format!("{count} objects are more than the {MAX_OBJECTS} a file may have");
        return Err(Error::Objects(reason.into()));
    }
    Ok(objects)
}

fn split(document: Value, objects: &mut Vec<Value>) -> Result<(), Error> {
    if document.is_null() {
        // There may be nothing between two separators.
        return Ok(());
    }
    let number = objects.len() + 1;
    let kind = object::kind(&document);
    let version = object::api_version(&document);
    for (field, text) in [("kind", kind), ("apiVersion", version)] {
        if text.is_empty() {
            let reason = format!("object {number}: {field} not set");
            return Err(Error::Objects(reason.into()));
        }
    }
    if kind.ends_with("List")
        && let Some(Value::Array(items)) = document.get("items")
    {
        for item in items {
            split(item.clone(), objects)?;
        }
        return Ok(());
    }
    if object::name(&document).is_empty() {
        let reason = format!("object {number} ({kind}): metadata.name not set");
        return Err(Error::Objects(reason.into()));
    }
    objects.push(document);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        objects(text, false)
            .unwrap()
            .iter()
            .map(|o| object::name(o).to_owned())
            .collect()
    }

    #[test]
    fn documents_and_lists_are_split() {
        let text = "---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n- {apiVersion: v1, kind: Secret, metadata: {name: c}}\n";
        assert_eq!(names(text), ["a", "b", "c"]);
        let json = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}"#;
        assert_eq!(names(json), ["a", "b"]);
        assert!(names("").is_empty());
    }

    #[test]
    fn modes_of_files_are_octal() {
        let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, mode: 0400}";
        let yaml = format!("# a file\n{text}\n");
        assert_eq!(objects(&yaml, false).unwrap()[0]["mode"], 256);
    }

    #[test]
    fn bad_texts_are_named() {
        let table = [
            ("a: [", "error parsing YAML: "),
            (
                "apiVersion: v1\nmetadata: {name: a}\n",
                "object 1: kind not set",
            ),
            (
                "kind: ConfigMap\nmetadata: {name: a}\n",
                "object 1: apiVersion not set",
            ),
            (
                "apiVersion: v1\nkind: ConfigMap\n",
                "object 1 (ConfigMap): metadata.name not set",
            ),
            ("{\"a\": ", "error parsing JSON"),
        ];
        for (text, want) in table {
            let error = objects(text, false).unwrap_err();
            assert!(
                error.to_string().starts_with(want) && error.is_permanent(),
                "{text}: {error}"
            );
        }
    }
}
