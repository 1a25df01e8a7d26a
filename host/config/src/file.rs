//! `config.yaml` and its drop-ins (k3s `pkg/configfilearg`): keys are flag names, a later file
//! replaces an earlier value, and a key that ends in `+` appends to it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::ConfigError;
use crate::flags::{self, Flag};

type Values = Vec<(&'static Flag, Vec<String>)>;

/// Reads `path` and `<path>.d/*.{yaml,yml}`. A missing file is an error only where it was asked for.
pub(crate) fn load(path: &Path, explicit: bool) -> Result<(Values, Vec<String>), ConfigError> {
    let mut values: Values = Vec::new();
    let mut warnings = Vec::new();
    let mut files: Vec<(PathBuf, bool)> = vec![(path.to_owned(), explicit)];
    files.extend(drop_ins(path)?.into_iter().map(|p| (p, true)));
    for (file, must_exist) in files {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound && !must_exist => continue,
            Err(source) => return Err(ConfigError::Read { path: file, source }),
        };
        merge(&file, &text, &mut values, &mut warnings)?;
    }
    Ok((values, warnings))
}

fn drop_ins(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut dir = path.as_os_str().to_owned();
    dir.push(".d");
    let dir = PathBuf::from(dir);
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(ConfigError::Read { path: dir, source }),
    };
    let is_yaml = |p: &PathBuf| p.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(is_yaml)
        .collect();
    files.sort();
    Ok(files)
}

fn merge(
    path: &Path,
    text: &str,
    values: &mut Values,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let malformed = |reason: String| ConfigError::Malformed {
        path: path.to_owned(),
        reason,
    };
    if text
        .lines()
        .all(|l| l.trim().is_empty() || l.trim_start().starts_with('#') || l.trim() == "---")
    {
        return Ok(());
    }
    let root: Value = serde_saphyr::from_str(text).map_err(|source| ConfigError::Yaml {
        path: path.to_owned(),
        source,
    })?;
    let map = root
        .as_object()
        .ok_or_else(|| malformed("expected a map from flag names to values".into()))?;
    for (key, value) in map {
        let (name, appends) = key
            .strip_suffix('+')
            .map_or((key.as_str(), false), |name| (name, true));
        let Some(flag) = flag_for(name) else {
            warnings.push(format!(
                "unknown key {name:?} in {} is skipped",
                path.display()
            ));
            continue;
        };
        let new = strings(value).ok_or_else(|| {
            malformed(format!(
                "key {key:?}: expected a scalar or a list of scalars"
            ))
        })?;
        match values.iter_mut().find(|(f, _)| f.name == flag.name) {
            Some((_, old)) if appends => old.extend(new),
            Some((_, old)) => *old = new,
            None => values.push((flag, new)),
        }
    }
    Ok(())
}

fn flag_for(name: &str) -> Option<&'static Flag> {
    let mut chars = name.chars();
    match (chars.next(), chars.next()) {
        (Some(short), None) => flags::server().find(|f| f.short == Some(short)),
        _ => flags::by_name(name),
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    let scalar = |v: &Value| match v {
        Value::String(s) => Some(s.clone()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    };
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items.iter().map(scalar).collect(),
        other => scalar(other).map(|s| vec![s]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(
        main: &str,
        drop_ins: &[(&str, &str)],
    ) -> Result<Vec<(String, Vec<String>)>, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, main).unwrap();
        std::fs::create_dir(dir.path().join("config.yaml.d")).unwrap();
        for (name, text) in drop_ins {
            std::fs::write(dir.path().join("config.yaml.d").join(name), text).unwrap();
        }
        load(&path, true).map(|(v, _)| v.into_iter().map(|(f, v)| (f.name.to_owned(), v)).collect())
    }

    #[test]
    fn drop_ins_replace_and_append_in_order() {
        let got = values(
            "token: one\nnode-label: [a=1]\n",
            &[
                ("20.yaml", "node-label+: c=3\n"),
                ("10.yml", "token: two\nnode-label+: [b=2]\n"),
                ("x.txt", "token: no"),
            ],
        )
        .unwrap();
        let find = |name: &str| {
            got.iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
                .unwrap()
        };
        assert_eq!(find("token"), ["two"]);
        assert_eq!(find("node-label"), ["a=1", "b=2", "c=3"]);
    }

    #[test]
    fn numbers_and_booleans_become_text_and_short_keys_work() {
        let got = values("https-listen-port: 7443\ndebug: true\nd: /data\n", &[]).unwrap();
        assert!(got.contains(&("https-listen-port".into(), vec!["7443".into()])));
        assert!(got.contains(&("debug".into(), vec!["true".into()])));
        assert!(got.contains(&("data-dir".into(), vec!["/data".into()])));
    }

    #[test]
    fn malformed_files_are_named() {
        for bad in ["- a\n", "token: {a: b}\n", "token: [\n"] {
            let error = values(bad, &[]).unwrap_err().to_string();
            assert!(error.contains("config.yaml"), "{error}");
        }
        let missing = load(Path::new("/no/such/config.yaml"), true)
            .unwrap_err()
            .to_string();
        assert!(missing.contains("/no/such/config.yaml"), "{missing}");
    }
}
