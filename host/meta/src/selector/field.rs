//! Field selectors: `metadata.name=x,status.phase!=Running`. Which fields a kind has is the kind's
//! matter; here is only the grammar, including the escapes `\\`, `\,` and `\=` in values.

use std::fmt;

use k3s_base::error::Sentence;

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldRequirement {
    /// `status.phase`
    pub field: String,
    /// `=` when true, `!=` when false.
    pub equals: bool,
    /// The value compared with.
    pub value: String,
}

/// All requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector(Vec<FieldRequirement>);

impl FieldSelector {
    /// Matches everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Reads the query form.
    ///
    /// # Errors
    ///
    /// Names, in upstream's words, a term without an operator or a wrong escape sequence.
    pub fn parse(text: &str) -> Result<Self, Sentence> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|t| !t.is_empty()) {
            let (field, equals, value) = split_term(term)
                .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{term}'"))?;
            let value = unescape(value)?;
            // Upstream drops what selects nothing by nothing.
            if field.is_empty() && value.is_empty() {
                continue;
            }
            requirements.push(FieldRequirement {
                field: field.to_owned(),
                equals,
                value,
            });
        }
        Ok(Self(requirements))
    }

    /// A selector of one equality.
    pub fn equals(field: &str, value: &str) -> Self {
        Self(vec![FieldRequirement {
            field: field.to_owned(),
            equals: true,
            value: value.to_owned(),
        }])
    }

    /// The requirements.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.0
    }

    /// Whether nothing is restricted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the fields behind `lookup` match; a field that is not there reads as empty.
    pub fn matches<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0
            .iter()
            .all(|r| (lookup(&r.field).unwrap_or("") == r.value) == r.equals)
    }

    /// The one value a field must have, if the selector says so.
    pub fn exact_match(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|r| r.equals && r.field == field)
            .map(|r| r.value.as_str())
    }
}

/// Splits at commas that are not escaped.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(text.get(start..i).unwrap_or(""));
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(text.get(start..).unwrap_or(""));
    terms
}

/// Splits at the first operator.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    for (i, _) in term.char_indices() {
        let rest = term.get(i..)?;
        for (operator, equals) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((term.get(..i)?, equals, value));
            }
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, Sentence> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => {
                    return Err(invalid(format_args!("invalid escape sequence: \\{c}")));
                }
                None => return Err(invalid(format_args!("invalid escape sequence: \\"))),
            },
            ',' | '=' => {
                return Err(invalid(format_args!("unescaped character in value: {c}")));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn invalid(why: fmt::Arguments<'_>) -> Sentence {
    format!("invalid field selector: {why}").into()
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace(',', "\\,")
        .replace('=', "\\=")
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let term = |r: &FieldRequirement| {
            format!(
                "{}{}{}",
                r.field,
                if r.equals { "=" } else { "!=" },
                escape(&r.value)
            )
        };
        f.write_str(&self.0.iter().map(term).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_matches() {
        let fields = |key: &str| match key {
            "metadata.name" => Some("a"),
            "x" => Some("b,c=d"),
            _ => None,
        };
        for (text, want) in [
            ("", true),
            ("metadata.name=a", true),
            ("metadata.name==a", true),
            ("metadata.name!=a", false),
            ("metadata.name=b", false),
            ("metadata.name=a,y=", true),
            ("y!=", false),
            ("x=b\\,c\\=d", true),
            ("=", true),
            ("!=,metadata.name=a", true),
        ] {
            let selector = FieldSelector::parse(text).unwrap();
            assert_eq!(selector.matches(fields), want, "{text}");
            assert_eq!(
                FieldSelector::parse(&selector.to_string()).unwrap(),
                selector
            );
        }
    }

    #[test]
    fn refuses() {
        let error = FieldSelector::parse("abc").unwrap_err();
        let text = "invalid selector: 'abc'; can't understand 'abc'";
        assert_eq!(error, text.into());
        assert!(FieldSelector::parse("a=b=c").is_err());
        assert!(FieldSelector::parse("a=b\\c").is_err());
    }
}
