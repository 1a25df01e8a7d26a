//! `$(NAME)` expansion in commands, arguments and environment values, as
//! `third_party/forked/golang/expansion` of Kubernetes does it.

use std::cell::RefCell;

use super::error::ConfigError;

/// Replaces `$(NAME)` by what `lookup` gives; an unknown name stays as it is, `$$` is one `$`.
pub(crate) fn expand(input: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = rest.find('$') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let tail = tail.strip_prefix('$').unwrap_or(tail);
        if let Some(after) = tail.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = tail.strip_prefix('(').and_then(|t| t.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
            rest = tail;
        }
    }
    out.push_str(rest);
    out
}

/// The same, but a name that `lookup` does not know is an error: `subPathExpr` refuses it.
pub(crate) fn expand_strict(
    input: &str,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<String, ConfigError> {
    let missing = RefCell::new(None);
    let out = expand(input, |name| {
        let value = lookup(name);
        if value.is_none() {
            *missing.borrow_mut() = Some(name.to_owned());
        }
        value
    });
    match missing.into_inner() {
        Some(name) => Err(ConfigError::MissingValue(name)),
        None => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_escapes_and_leftovers() {
        let lookup = |name: &str| (name == "A").then(|| "x".to_owned());
        for (input, want) in [
            ("$(A)-$(B)", "x-$(B)"),
            ("$$(A)", "$(A)"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
            ("a$$$(A)", "a$x"),
        ] {
            assert_eq!(expand(input, lookup), want, "{input}");
        }
        assert_eq!(
            expand_strict("$(B)", lookup).unwrap_err().to_string(),
            "missing value for \"B\""
        );
    }
}
