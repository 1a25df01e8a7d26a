//! How YAML of objects is read, wherever it comes from.

use serde_saphyr::Options;

/// Numbers with a leading zero are octal, as in YAML 1.1, for modes of files are written so
/// (`defaultMode: 0400`).
#[must_use]
pub fn options() -> Options {
    serde_saphyr::options! { legacy_octal_numbers: true }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn modes_of_files_are_octal() {
        let text = "{mode: 0400, text: \"0400\"}";
        let value: Value = serde_saphyr::from_str_with_options(text, options()).unwrap();
        assert_eq!(value["mode"], 256);
        assert_eq!(value["text"], "0400");
    }
}
