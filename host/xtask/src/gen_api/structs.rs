//! Reads the structs of Kubernetes' Go sources for what their tags say about zero values, into
//! `gen-source/zeros.json`: the schema does not say it, and both encoders of Go follow it.
//!
//! The sources are formatted by gofmt, so a field is a line; files that are generated hold no types.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::read;
use crate::shell::output;

/// The modules whose types are served, and what stands for them in names of definitions.
const MODULES: [(&str, &str); 4] = [
    ("k8s.io/api", "io.k8s.api"),
    ("k8s.io/apimachinery", "io.k8s.apimachinery"),
    (
        "k8s.io/apiextensions-apiserver",
        "io.k8s.apiextensions-apiserver",
    ),
    ("k8s.io/kube-aggregator", "io.k8s.kube-aggregator"),
];
/// The struct of `kind` and `apiVersion`, which every body has.
const TYPE_META: &str = "TypeMeta";

/// Writes `gen-source/zeros.json` of `api_dir` from the modules that the Go module in `module_dir` requires.
pub(crate) fn generate(api_dir: &Path, module_dir: &Path) -> Result<()> {
    let source_dir = api_dir.join("gen-source");
    let types = read(&source_dir.join("types.json"))?;
    let mut sources = Sources::default();
    for (module, _) in MODULES {
        let mut go = Command::new("go");
        go.args(["list", "-m", "-f", "{{.Dir}}", module])
            .current_dir(module_dir);
        let dir = PathBuf::from(output(&mut go)?.trim());
        sources.modules.insert(module, dir);
    }
    let zeros = sources.zeros(types.as_object().context("the types are not a map")?)?;
    std::fs::write(
        source_dir.join("zeros.json"),
        super::lines(&Value::Object(zeros)),
    )?;
    Ok(())
}

/// A declared type: a struct, or another name for a type.
#[derive(Clone, Debug, PartialEq)]
enum Declared {
    Struct(Vec<GoField>),
    Name(String),
}

#[derive(Clone, Debug, PartialEq)]
struct GoField {
    /// None for an embedded struct.
    name: Option<String>,
    go_type: String,
    /// The words of the `json` tag.
    json: Vec<String>,
}

/// The types of a package, each with the imports of its file.
type Package = BTreeMap<String, (Declared, BTreeMap<String, String>)>;

#[derive(Default)]
struct Sources {
    modules: BTreeMap<&'static str, PathBuf>,
    packages: BTreeMap<String, Package>,
}

/// What a type is when it is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Zero {
    /// A text, a number, a boolean, or bytes.
    Plain,
    /// A pointer, a list or a map.
    Nil,
    Struct,
}

/// A field as JSON has it.
#[derive(Debug, PartialEq)]
struct Encoded {
    name: String,
    zero: Zero,
    is_bytes: bool,
    omits_empty: bool,
    omits_zero: bool,
}

impl Encoded {
    /// The list of `zeros.json` in which the field stands, if any.
    fn list(&self) -> Option<&'static str> {
        match (self.zero, self.omits_empty, self.omits_zero) {
            (Zero::Plain, true, _) => Some("omits"),
            (Zero::Nil, true, _) if self.is_bytes => Some("omits"),
            (Zero::Nil, true, _) | (_, _, true) => None,
            (Zero::Nil, false, _) => Some("null"),
            (Zero::Plain | Zero::Struct, _, _) => Some("zero"),
        }
    }
}

impl Sources {
    /// The lists for every type that is served.
    fn zeros(&mut self, types: &Map<String, Value>) -> Result<Map<String, Value>> {
        let mut zeros = Map::new();
        for (definition, spec) in types {
            let Some(fields) = spec["fields"].as_object() else {
                continue;
            };
            let Some((package, name)) = import_path(definition) else {
                continue;
            };
            let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for field in self.encoded(&package, name)? {
                if let Some(list) = field.list().filter(|_| fields.contains_key(&field.name)) {
                    lists.entry(list).or_default().push(field.name);
                }
            }
            lists.values_mut().for_each(|list| list.sort());
            if !lists.is_empty() {
                zeros.insert(definition.clone(), json!(lists));
            }
        }
        Ok(zeros)
    }

    /// The fields of a struct, those of embedded structs among them.
    fn encoded(&mut self, package: &str, name: &str) -> Result<Vec<Encoded>> {
        let (declared, imports) = self.declared(package, name)?;
        let Declared::Struct(fields) = declared else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for field in fields {
            let tag = field.json.first().map_or("", String::as_str);
            let has = |word: &str| field.json.iter().skip(1).any(|it| it == word);
            if tag == "-" {
                continue;
            }
            let name = match (&field.name, tag) {
                (None, "") => {
                    let plain = field.go_type.trim_start_matches('*');
                    let (package, name) = qualified(package, plain, &imports)?;
                    if name != TYPE_META {
                        all.extend(self.encoded(&package, &name)?);
                    }
                    continue;
                }
                (Some(name), "") => name.clone(),
                (_, tag) => tag.to_owned(),
            };
            all.push(Encoded {
                name,
                zero: self.zero(package, &field.go_type, &imports)?,
                is_bytes: field.go_type == "[]byte",
                omits_empty: has("omitempty"),
                omits_zero: has("omitzero"),
            });
        }
        Ok(all)
    }

    fn zero(
        &mut self,
        package: &str,
        go_type: &str,
        imports: &BTreeMap<String, String>,
    ) -> Result<Zero> {
        const PLAIN: [&str; 8] = [
            "string", "bool", "int", "int32", "int64", "uint32", "uint64", "float64",
        ];
        if go_type.starts_with(['*', '[']) || go_type.starts_with("map[") {
            return Ok(Zero::Nil);
        }
        if PLAIN.contains(&go_type) {
            return Ok(Zero::Plain);
        }
        let (package, name) = qualified(package, go_type, imports)?;
        match self.declared(&package, &name)? {
            (Declared::Struct(_), _) => Ok(Zero::Struct),
            (Declared::Name(other), imports) => self.zero(&package, &other, &imports),
        }
    }

    fn declared(
        &mut self,
        package: &str,
        name: &str,
    ) -> Result<(Declared, BTreeMap<String, String>)> {
        if !self.packages.contains_key(package) {
            let read = self.read(package)?;
            self.packages.insert(package.to_owned(), read);
        }
        let found = self.packages.get(package).and_then(|types| types.get(name));
        found
            .cloned()
            .with_context(|| format!("no type {name} in {package}"))
    }

    fn read(&self, package: &str) -> Result<Package> {
        let in_module = |(module, dir): (&&str, &PathBuf)| {
            let below = package.strip_prefix(*module)?.strip_prefix('/')?;
            Some(dir.join(below))
        };
        let dir = self.modules.iter().find_map(in_module);
        let dir = dir.with_context(|| format!("{package} is in no module that is read"))?;
        let mut types = Package::new();
        let entries = std::fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.unwrap_or_default();
            let is_source = name.ends_with(".go") && !name.ends_with("_test.go");
            if is_source && !name.contains("generated") {
                let text =
                    std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                types.extend(parse(&text));
            }
        }
        Ok(types)
    }
}

/// `io.k8s.api.core.v1.Pod` as `k8s.io/api/core/v1` and `Pod`.
fn import_path(definition: &str) -> Option<(String, &str)> {
    let (package, name) = definition.rsplit_once('.')?;
    MODULES.iter().find_map(|(module, prefix)| {
        let below = package.strip_prefix(prefix)?.strip_prefix('.')?;
        Some((format!("{module}/{}", below.replace('.', "/")), name))
    })
}

/// The package and the name of a type as a file names it.
fn qualified(
    package: &str,
    go_type: &str,
    imports: &BTreeMap<String, String>,
) -> Result<(String, String)> {
    let Some((alias, name)) = go_type.split_once('.') else {
        return Ok((package.to_owned(), go_type.to_owned()));
    };
    let import = imports.get(alias);
    let import = import.with_context(|| format!("{alias} is not imported in {package}"))?;
    Ok((import.clone(), name.to_owned()))
}

/// The types of a source file.
fn parse(text: &str) -> Package {
    let mut imports = BTreeMap::new();
    let mut types = Vec::new();
    let mut lines = outside_comments(text);
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        if let Some((alias, path)) = import(line) {
            imports.insert(alias, path);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["type", name, "struct", "{"] => {
                let body = lines.by_ref().take_while(|line| *line != "}");
                let fields = body.filter_map(field).collect();
                types.push(((*name).to_owned(), Declared::Struct(fields)));
            }
            ["type", name, "struct", "{}"] => {
                types.push(((*name).to_owned(), Declared::Struct(Vec::new())));
            }
            ["type", name, "=", other] | ["type", name, other] => {
                let other = Declared::Name((*other).to_owned());
                types.push(((*name).to_owned(), other));
            }
            _ => {}
        }
    }
    let with_imports = |(name, declared)| (name, (declared, imports.clone()));
    types.into_iter().map(with_imports).collect()
}

/// The lines outside of comments that begin a line with `/*`. (Inside of other comments it is text: `pods/*`.)
fn outside_comments(text: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    text.lines().filter(move |line| {
        is_inside |= line.trim_start().starts_with("/*");
        let is_comment = is_inside;
        is_inside &= !line.contains("*/");
        !is_comment
    })
}

/// `metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"`, with or without a name and the word `import`.
fn import(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("import ").unwrap_or(line);
    let (alias, rest) = line.split_once('"')?;
    let path = rest.strip_suffix('"')?;
    let is_path = path.contains('/') && !path.contains([' ', '"']);
    let last = path.rsplit('/').next().unwrap_or(path);
    let alias = match alias.trim() {
        "" => last,
        alias if !alias.contains(' ') => alias,
        _ => return None,
    };
    is_path.then(|| (alias.to_owned(), path.to_owned()))
}

fn field(line: &str) -> Option<GoField> {
    let line = line.trim();
    let (declared, tag) = line.split_once('`').unwrap_or((line, ""));
    let declared = declared.split("//").next().unwrap_or_default();
    let words: Vec<&str> = declared.split_whitespace().collect();
    let (name, go_type) = match words.as_slice() {
        [go_type] => (None, *go_type),
        [name, go_type] => (Some((*name).to_owned()), *go_type),
        _ => return None,
    };
    let json = tag
        .split_once("json:\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let json = json.map(|(json, _)| json.split(',').map(str::to_owned).collect());
    Some(GoField {
        name,
        go_type: go_type.to_owned(),
        json: json.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = r#"
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phase is a text.
type Phase string

type Pod struct {
	metav1.TypeMeta `json:",inline"`
	// Standard metadata of pods/* and */scale.
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	Source `json:",inline"`
	Phase  Phase            `json:"phase,omitempty"`
	Name   string           `json:"name"`
	Ports  []Port           `json:"ports"`
	Labels map[string]Phase `json:"labels,omitempty"`
	Data   []byte           `json:"data,omitempty"`
	Since  metav1.Time      `json:"since,omitempty"`
	Zero   metav1.Time      `json:"zero,omitempty,omitzero"`
	Hidden string           `json:"-"`
}

/*
Old words.
*/
type Port struct{}

type Source struct {
	Path *string `json:"path"` // where
}
"#;
    const META: &str = "
type TypeMeta struct {
	Kind string `json:\"kind,omitempty\"`
}

type ObjectMeta struct {
}

type Time struct {
	time.Time
}
";

    #[test]
    fn tags_say_what_becomes_of_zeros() {
        let mut sources = Sources::default();
        for (package, text) in [
            ("k8s.io/api/core/v1", CORE),
            ("k8s.io/apimachinery/pkg/apis/meta/v1", META),
        ] {
            sources.packages.insert(package.to_owned(), parse(text));
        }
        let fields = "data labels metadata name path phase ports since zero kind";
        let fields: Map<String, Value> = fields
            .split(' ')
            .map(|name| (name.to_owned(), json!({})))
            .collect();
        let types = json!({"io.k8s.api.core.v1.Pod": {"fields": fields}, "io.k8s.api.core.v1.Port": {"fields": {}}});
        let zeros = sources.zeros(types.as_object().unwrap()).unwrap();
        assert_eq!(
            Value::Object(zeros),
            json!({"io.k8s.api.core.v1.Pod": {
                "null": ["path", "ports"],
                "omits": ["data", "phase"],
                "zero": ["metadata", "name", "since"],
            }})
        );
    }
}
