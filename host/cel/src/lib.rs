//! Expressions of the Common Expression Language: parsed, and their names and simple types checked.
//!
//! Admission policies, match conditions of webhooks and selectors of devices hold expressions, which a server
//! refuses when they do not compile. This crate says why, in the words of cel-go, whose messages clients show.
//! It has no dependencies and does not evaluate.
//!
//! - [`compile`] is the only entry. Grammar: `parser/gen/CEL.g4` of cel-go 0.26; after the first syntax error
//!   that has no repair by one token, nothing further is reported.
//! - Types are known as far as they are plain: literals, comparisons, fields of declared objects. What is not
//!   known is never refused for its type.
//! - Depth and length of an expression are bounded as upstream bounds them, so that recursion here ends.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod check;
mod functions;
mod issue;
mod lexer;
mod parser;
mod syntax;
mod token;
mod types;

pub use types::{Environment, Type};

use issue::Issue;

/// Longest expression in characters.
const MAX_CHARACTERS: usize = 100_000;

/// Compiles `source` in `environment`. `results` are the types that it may have, each by the name that
/// messages give it (`bool`, `string`); none for any.
///
/// # Errors
/// Why upstream refuses the expression: `compilation failed: ...`, or `must evaluate to ...`.
pub fn compile(source: &str, environment: &Environment, results: &[&str]) -> Result<Type, Refusal> {
    let characters: Vec<char> = source.chars().collect();
    if characters.len() > MAX_CHARACTERS {
        let length = characters.len();
        let text = format!(
            "expression code point size exceeds limit: size: {length}, limit {MAX_CHARACTERS}"
        );
        return Err(failed(&[Issue::nowhere(text)], &characters));
    }
    let (tokens, mut issues) = lexer::tokens(&characters);
    let expression = parser::parse(&characters, &tokens, &mut issues);
    let (Some(expression), true) = (expression, issues.is_empty()) else {
        return Err(failed(&issues, &characters));
    };
    let (found, issues) = check::check(&expression, environment);
    if !issues.is_empty() {
        return Err(failed(&issues, &characters));
    }
    match found.name() {
        Some(name) if !results.is_empty() && !results.contains(&name) => {
            Err(Refusal(wrong_result(name, results)))
        }
        _ => Ok(found),
    }
}

fn failed(issues: &[Issue], source: &[char]) -> Refusal {
    Refusal(format!(
        "compilation failed: {}",
        issue::display(issues, source)
    ))
}

fn wrong_result(found: &str, results: &[&str]) -> String {
    match results {
        [one] => format!("must evaluate to {one} but got {found}"),
        several => format!(
            "must evaluate to one of [{}] but got {found}",
            several.join(" ")
        ),
    }
}

/// Why an expression is refused, as upstream says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests;
