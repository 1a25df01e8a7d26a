//! Standard output: tables, YAML, JSON, names.

mod columns;
mod table;

use serde_json::{Value, json};

use crate::error::Failure;

pub(crate) use columns::Columns;
pub(crate) use table::{TablePrinter, TableStyle};

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Table { wide: bool },
    Json,
    Yaml,
    Name,
}

impl Format {
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Failure> {
        match text {
            None | Some("") => Ok(Self::Table { wide: false }),
            Some("wide") => Ok(Self::Table { wide: true }),
            Some("json") => Ok(Self::Json),
            Some("yaml") => Ok(Self::Yaml),
            Some("name") => Ok(Self::Name),
            Some(other) => Err(Failure::local(format!(
                "unable to match a printer suitable for the output format \"{other}\", allowed formats are: json,name,wide,yaml"
            ))),
        }
    }
}

/// An object as text; JSON is indented by four as kubectl does.
pub(crate) fn object(value: &Value, format: Format) -> Result<String, Failure> {
    if format == Format::Json {
        let mut out = Vec::new();
        let style = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, style);
        serde::Serialize::serialize(value, &mut serializer).map_err(Failure::ToJson)?;
        out.push(b'\n');
        // JSON is UTF-8, so nothing is replaced.
        return Ok(String::from_utf8_lossy(&out).into_owned());
    }
    let text = serde_saphyr::to_string(value).map_err(Failure::ToYaml)?;
    Ok(if text.ends_with('\n') {
        text
    } else {
        text + "\n"
    })
}

/// Several objects as one `List`.
pub(crate) fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}})
}
