//! How YAML of objects is read, wherever it comes from.

use crate::quote::quote;
use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Options};

use crate::plain::Plain;

/// A document that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableYaml {
    /// It is no text.
    #[error("yaml: invalid UTF-8")]
    NotUtf8(#[source] std::str::Utf8Error),
    /// It is no YAML, or costs more than its length allows.
    #[error("error converting YAML to JSON")]
    Malformed(#[source] serde_saphyr::Error),
}

/// Numbers with a leading zero are octal, as in YAML 1.1, for modes of files are written so
/// (`defaultMode: 0400`).
#[must_use]
pub fn options() -> Options {
    serde_saphyr::options! { legacy_octal_numbers: true }
}

/// A document of a client.
#[derive(Debug)]
pub struct Document {
    /// The tree; of keys that occur twice, the last value.
    pub value: Value,
    /// The first key that occurs twice in a map, in the words of Go's decoder.
    pub repeated: Option<String>,
}

/// Reads one document of a client.
///
/// # Errors
/// Where it is malformed, or aliases make it much longer than its text.
pub fn parse(bytes: &[u8]) -> Result<Document, UnreadableYaml> {
    let text = std::str::from_utf8(bytes).map_err(UnreadableYaml::NotUtf8)?;
    let read = |policy| {
        let mut options = bounded(text.len());
        options.duplicate_keys = policy;
        serde_saphyr::from_str_with_options(text, options).map(|Plain(value)| value)
    };
    let (value, repeated) = match read(DuplicateKeyPolicy::Error) {
        Ok(value) => (value, None),
        Err(error) => match repeated_key(&error) {
            None => return Err(UnreadableYaml::Malformed(error)),
            repeated => {
                let again = read(DuplicateKeyPolicy::LastWins);
                (again.map_err(UnreadableYaml::Malformed)?, repeated)
            }
        },
    };
    Ok(Document { value, repeated })
}

fn repeated_key(error: &serde_saphyr::Error) -> Option<String> {
    match error {
        serde_saphyr::Error::WithSnippet { error, .. } => repeated_key(error),
        serde_saphyr::Error::DuplicateMappingKey { key, location } => Some(format!(
            "yaml: unmarshal errors:\n  line {}: key {} already set in map",
            location.line(),
            quote(key.as_deref().unwrap_or_default())
        )),
        _ => None,
    }
}

/// What a text of this length may cost: aliases may say again a few times as much as there is text. (Go's
/// decoder also refuses documents by the share of what comes from aliases.)
fn bounded(text_bytes: usize) -> Options {
    let again = text_bytes.saturating_mul(2).saturating_add(1_000);
    let again = again.min(MAX_AGAIN);
    let octets = text_bytes.saturating_mul(4).saturating_add(64 * 1024);
    let mut options = options();
    options.budget = serde_saphyr::budget! {
        max_recorded_anchor_events: again,
        max_recorded_anchor_bytes: octets,
        max_total_scalar_bytes: octets,
    };
    options.alias_limits = serde_saphyr::alias_limits! {
        max_total_replayed_events: again,
    };
    options
}

/// Parts of a document that aliases may repeat in the longest text.
const MAX_AGAIN: usize = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// `depth` levels, each of which says the one below `width` times.
    fn nested(depth: usize, width: usize) -> String {
        let mut text = String::from("a0: &a0 [x]\n");
        for level in 1..=depth {
            let below = format!("*a{}", level - 1);
            let all = vec![below.as_str(); width].join(",");
            text.push_str(&format!("a{level}: &a{level} [{all}]\n"));
        }
        text
    }

    #[test]
    fn aliases_cannot_say_much_more_than_the_text_does() {
        for (depth, width) in [(16, 2), (5, 9), (2, 200)] {
            let text = nested(depth, width);
            let read = parse(text.as_bytes());
            assert!(
                matches!(read, Err(UnreadableYaml::Malformed(_))),
                "{depth} {width}"
            );
        }
        let long = "x".repeat(100_000);
        let again = vec!["*a"; 1_000].join(",");
        let read = parse(format!("a: &a {long}\nb: [{again}]\n").as_bytes());
        assert!(
            matches!(read, Err(UnreadableYaml::Malformed(_))),
            "a long text said a thousand times"
        );
    }

    #[test]
    fn documents_as_people_write_them_are_read() {
        let text = "base: &base {image: a, env: [{name: A, value: b}]}\none: *base\ntwo:\n  <<: *base\n  image: c\n";
        let read = parse(text.as_bytes()).unwrap().value;
        assert_eq!(read["two"]["env"][0]["name"], "A");
        assert_eq!(read["two"]["image"], "c");
        let modes = parse(b"{a: 0400, b: 0o400, c: \"0400\", d: 0, e: 08}")
            .unwrap()
            .value;
        let read = serde_json::json!({"a": 256, "b": 256, "c": "0400", "d": 0, "e": 8.0});
        assert_eq!(modes, read);
        let many: String = (0..20_000)
            .map(|at| format!("k{at}: [{at}, text]\n"))
            .collect();
        assert_eq!(
            parse(many.as_bytes())
                .unwrap()
                .value
                .as_object()
                .unwrap()
                .len(),
            20_000
        );
    }

    #[test]
    fn no_key_starts_a_document_of_its_own() {
        let read = parse(b"x: {\"\\u0024serde_json::private::RawValue\": \"[[]]\"}")
            .unwrap()
            .value;
        assert_eq!(read["x"][crate::plain::RESERVED_KEY], "[[]]");
    }

    #[test]
    fn of_a_key_that_occurs_twice_the_last_value_counts() {
        let read = parse(b"a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n").unwrap();
        assert_eq!(
            read.value,
            serde_json::json!({"a": 1, "b": {"c": 3, "d": 2}})
        );
        let told = "yaml: unmarshal errors:\n  line 5: key \"c\" already set in map";
        assert_eq!(read.repeated.as_deref(), Some(told));
        assert_eq!(parse(b"a: 1\n").unwrap().repeated, None);
    }

    #[test]
    fn modes_of_files_are_octal() {
        let text = "{mode: 0400, text: \"0400\"}";
        let value: Value = serde_saphyr::from_str_with_options(text, options()).unwrap();
        assert_eq!(value["mode"], 256);
        assert_eq!(value["text"], "0400");
    }
}
