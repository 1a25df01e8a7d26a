//! Manifests of tests: YAML files in `fixtures/` with `${NAME}` where a test puts a value.

/// The manifest `fixtures/NAME.yaml` of the calling crate with its `${KEY}` filled in:
/// `fixture!("web", NAME = "shop", REPLICAS = 2)`.
#[macro_export]
macro_rules! fixture {
    ($name:literal $(, $key:ident = $value:expr)* $(,)?) => {
        $crate::fixtures::fill(
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/", $name, ".yaml")),
            &[$((stringify!($key), &$value as &dyn std::fmt::Display)),*],
        )
    };
}

/// Fills in values; see [`fixture!`](crate::fixture).
///
/// # Panics
/// When a key is left without a value, or a value has no key in the text.
#[must_use]
pub fn fill(text: &str, values: &[(&str, &dyn std::fmt::Display)]) -> String {
    let mut filled = text.to_owned();
    for (key, value) in values {
        let placeholder = format!("${{{key}}}");
        assert!(text.contains(&placeholder), "no {placeholder} in {text}");
        filled = filled.replace(&placeholder, &value.to_string());
    }
    assert!(!filled.contains("${"), "a value is missing in {filled}");
    filled
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn every_key_gets_its_value() {
        assert_eq!(
            fill("a: ${A}\nb: $((i+1)) ${A}", &[("A", &1)]),
            "a: 1\nb: $((i+1)) 1"
        );
    }

    #[test]
    #[should_panic(expected = "a value is missing")]
    fn a_missing_value_is_found() {
        let _ = fill("a: ${A}", &[]);
    }
}
