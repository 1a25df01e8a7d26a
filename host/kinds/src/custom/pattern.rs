//! Regular expressions of schemas, which are Go's (RE2), on the `regex` crate.
//!
//! The two share their syntax but for two things: Go's classes `\d`, `\w` and `\s` are ASCII, and inside
//! brackets `[`, `&&`, `--` and `~~` mean themselves in Go. Patterns are rewritten accordingly.

use std::fmt::Write as _;
use std::sync::OnceLock;

use k3s_base::error::Sentence;
use regex::Regex;

/// A pattern, compiled when the first value meets it: most of a large schema's are never used.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            compiled: OnceLock::new(),
        }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pattern is found in `value`. A pattern that cannot be compiled matches nothing; the
    /// definition that brings one is refused.
    pub(crate) fn is_match(&self, value: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| compile(&self.text).ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(value))
    }
}

/// Compiles a Go regular expression.
///
/// # Errors
/// What is wrong with it, on one line.
pub(crate) fn compile(text: &str) -> Result<Regex, Sentence> {
    Regex::new(&translate(text)).map_err(|error| {
        // The library draws a picture of the place; the last line says what it is.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        last.trim_start_matches("error: ").into()
    })
}

fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_class = false;
    let mut class_start = false;
    while let Some(c) = chars.next() {
        let at_start = std::mem::take(&mut class_start);
        match c {
            '\\' => escape(chars.next(), &mut out),
            '[' if !in_class => {
                in_class = true;
                class_start = true;
                out.push('[');
            }
            '[' if chars.peek() == Some(&':') => posix(&mut chars, &mut out),
            '[' => out.push_str("\\["),
            '^' if at_start => {
                class_start = true;
                out.push('^');
            }
            // A bracket that comes first means itself.
            ']' if in_class && at_start => out.push_str("\\]"),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            // A range from or to a dash.
            '-' if in_class && chars.peek() == Some(&'-') => {
                chars.next();
                out.push_str(if at_start { "\\--" } else { "-\\-" });
            }
            other => out.push(other),
        }
    }
    out
}

fn escape(next: Option<char>, out: &mut String) {
    let replaced = match next {
        Some('d') => "[0-9]",
        Some('D') => "[^0-9]",
        Some('w') => "[0-9A-Za-z_]",
        Some('W') => "[^0-9A-Za-z_]",
        Some('s') => "[\\t\\n\\f\\r ]",
        Some('S') => "[^\\t\\n\\f\\r ]",
        Some('b') => "(?-u:\\b)",
        Some('B') => "(?-u:\\B)",
        Some('z') => "\\z",
        Some(other) => {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\{other}");
            return;
        }
        None => "\\",
    };
    out.push_str(replaced);
}

/// `[:alpha:]`, copied as it is.
fn posix(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    out.push('[');
    for c in chars.by_ref() {
        out.push(c);
        if c == ']' {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let table = [
            (r"^\d+$", "12", true),
            (r"^\d+$", "\u{661}\u{662}", false),
            (r"^[\w-]+$", "a-b_1", true),
            (r"^[a-z[]+$", "a[", true),
            (r"^[&&a]+$", "&a", true),
            (r"^[+--]+$", "+,-", true),
            (r"^[--/]+$", "-./", true),
            (r"^[^]]+$", "a]", false),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^([0-9]+(ns|us|µs|ms|s|m|h)?)+$", "1m30s", true),
            ("b", "abc", true),
        ];
        for (pattern, value, want) in table {
            assert_eq!(
                Pattern::new(pattern).is_match(value),
                want,
                "{pattern} {value}"
            );
        }
        let refused = compile("a(").unwrap_err().to_string();
        assert!(refused.contains("unclosed group"), "{refused}");
        assert!(compile("(?!a)").is_err());
    }
}
