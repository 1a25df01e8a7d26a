//! Samples and dictionaries of the targets, as libFuzzer takes them.

use std::path::PathBuf;

/// The folder of this crate.
fn root() -> PathBuf {
    // Cargo says at run time where it runs from; what was compiled in may be another checkout that shared the
    // build folder.
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// Where a target's program is.
#[must_use]
pub fn program(target: &str) -> PathBuf {
    root().join("fuzz_targets").join(format!("{target}.rs"))
}

/// The samples of a target, by their names.
#[must_use]
pub fn samples(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = root().join("corpus").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

/// The words of a target's dictionary; none where it has no dictionary.
#[must_use]
pub fn words(target: &str) -> Vec<Vec<u8>> {
    let path = root().join("dictionaries").join(format!("{target}.dict"));
    if !path.exists() {
        return Vec::new();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| word(line).unwrap_or_else(|| panic!("{}: {line}", path.display())))
        .collect()
}

/// A line is `"text"`, in which `\"`, `\\` and `\xNN` stand for one byte each.
fn word(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.trim().strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut word = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            word.push(*first);
            continue;
        }
        match after {
            [b'x', high, low, after @ ..] => {
                let digits = [*high, *low];
                word.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = after;
            }
            [quoted @ (b'"' | b'\\'), after @ ..] => {
                word.push(*quoted);
                rest = after;
            }
            _ => return None,
        }
    }
    Some(word)
}

/// Keeps an input that fails, so that it can be run again.
#[must_use]
pub fn keep(target: &str, input: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("fuzz-{target}"));
    std::fs::write(&path, input).unwrap();
    path
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn words_are_read_as_libfuzzer_reads_them() {
        assert_eq!(word(r#""a\\b\"\x00\xff""#).unwrap(), b"a\\b\"\x00\xff");
        assert_eq!(word("a"), None);
        assert_eq!(word(r#""\n""#), None);
    }
}
