//! The text of `kubectl explain` (kubectl `pkg/explain/v2`, template `plaintext`).

use std::fmt::Write;

use serde_json::Value;

use super::schema::Schemas;

const WIDTH: usize = 80;
/// Schemas of schemas refer to themselves.
const DEEPEST: usize = 12;

/// Description and fields of a schema.
pub(super) fn documentation(schemas: &Schemas<'_>, schema: &Value, recursive: bool) -> String {
    let mut out = String::from("DESCRIPTION:\n");
    let descriptions = schemas.descriptions(schema);
    if descriptions.is_empty() {
        out.push_str("    <empty>\n");
    }
    descriptions
        .iter()
        .for_each(|text| indent(&mut out, text, 4));
    out.push_str("    \n");
    if schemas.fields(schema).is_some() {
        out.push_str("FIELDS:\n");
        fields(&mut out, schemas, schema, 2, recursive, 0);
    }
    out.push('\n');
    out
}

fn fields(
    out: &mut String,
    schemas: &Schemas<'_>,
    schema: &Value,
    margin: usize,
    recursive: bool,
    depth: usize,
) {
    for (name, field) in schemas.fields(schema).into_iter().flatten() {
        let required = if schemas.is_required(schema, name) {
            " -required-"
        } else {
            ""
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:margin$}{name}\t<{}>{required}",
            "",
            schemas.type_name(field)
        );
        if !recursive {
            let own = field.get("description").and_then(Value::as_str);
            indent(out, own.unwrap_or("<no description>"), margin + 2);
            out.push('\n');
        } else if depth < DEEPEST {
            fields(out, schemas, field, margin + 2, recursive, depth + 1);
        }
    }
}

/// Wraps at words; a word longer than a line has one of its own.
fn indent(out: &mut String, text: &str, margin: usize) {
    for paragraph in text.trim_end().split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && margin + line.chars().count() + 1 + word.chars().count() > WIDTH
            {
                let _ = writeln!(out, "{:margin$}{}", "", line.trim_end());
                line.clear();
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        let _ = writeln!(out, "{:margin$}{line}", "");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_wrapped_and_paragraphs_kept() {
        let mut out = String::new();
        indent(
            &mut out,
            &format!("{} end\n\nnext", "word ".repeat(15).trim_end()),
            4,
        );
        let first = format!("    {}", "word ".repeat(15).trim_end());
        assert_eq!(out, format!("{first}\n    end\n    \n    next\n"));
    }

    #[test]
    fn required_fields_are_marked() {
        let none = json!({});
        let schema = json!({"description": "D.", "properties": {"a": {"type": "string", "description": "A."}}, "required": ["a"]});
        let text = documentation(&Schemas::new(&none), &schema, false);
        assert_eq!(
            text,
            "DESCRIPTION:\n    D.\n    \nFIELDS:\n  a\t<string> -required-\n    A.\n\n\n"
        );
    }
}
