//! What a function may be: its size, and the form of its errors.

use anyhow::Result;
use k3s_tidy::source::{Function, functions, production};

/// Most tokens in a function's body. The format has no say in it, as it has in lines.
const LARGEST_FUNCTION: usize = 450;
/// Most tokens in one statement without a block of its own.
const LARGEST_STATEMENT: usize = 130;

/// Functions that may be larger, each with its reason.
const LARGER: &[(&str, &str)] = &[];

/// Functions whose error is a sentence as a plain string, each with its reason.
const STRINGS: &[(&str, &str)] = &[];

fn all() -> Result<Vec<Function>> {
    Ok(production()?.iter().flat_map(functions).collect())
}

/// `path:line name`, without the line, which changes with every edit above it.
fn key(function: &Function) -> String {
    let path = function.place.split(':').next().unwrap_or_default();
    format!("{path} {}", function.name)
}

fn is_listed(function: &Function, list: &[(&str, &str)]) -> bool {
    let key = key(function);
    list.iter().any(|(listed, _)| *listed == key)
}

#[test]
fn a_function_fits_on_a_screen() -> Result<()> {
    let mut large = all()?;
    large.retain(|it| it.tokens > LARGEST_FUNCTION && !is_listed(it, LARGER));
    let found: Vec<String> = large
        .iter()
        .map(|it| format!("{} {}: {} tokens", it.place, it.name, it.tokens))
        .collect();
    assert!(
        found.is_empty(),
        "split by concern what is larger than {LARGEST_FUNCTION} tokens: {found:#?}"
    );
    Ok(())
}

#[test]
fn a_statement_says_one_thing() -> Result<()> {
    let mut large = all()?;
    large.retain(|it| it.longest_statement > LARGEST_STATEMENT && !is_listed(it, LARGER));
    let found: Vec<String> = large
        .iter()
        .map(|it| format!("{} {}: {} tokens", it.place, it.name, it.longest_statement))
        .collect();
    assert!(
        found.is_empty(),
        "name the parts of what is larger than {LARGEST_STATEMENT} tokens: {found:#?}"
    );
    Ok(())
}

#[test]
fn an_error_is_a_type() -> Result<()> {
    let mut strings = all()?;
    strings.retain(|it| it.error.as_deref() == Some("String") && !is_listed(it, STRINGS));
    let found: Vec<String> = strings
        .iter()
        .map(|it| format!("{} {}", it.place, it.name))
        .collect();
    assert!(
        found.is_empty(),
        "return an enum, or k3s_base::error::Sentence where a parser says one sentence: {found:#?}"
    );
    Ok(())
}

#[test]
fn exceptions_are_needed() -> Result<()> {
    let all = all()?;
    let is_large =
        |it: &&Function| it.tokens > LARGEST_FUNCTION || it.longest_statement > LARGEST_STATEMENT;
    let large: Vec<String> = all.iter().filter(is_large).map(key).collect();
    let is_string = |it: &&Function| it.error.as_deref() == Some("String");
    let strings: Vec<String> = all.iter().filter(is_string).map(key).collect();
    let stale = |list: &[(&'static str, &str)], real: &[String]| -> Vec<&'static str> {
        let names = list.iter().map(|(name, _)| *name);
        names
            .filter(|name| !real.iter().any(|it| it == name))
            .collect()
    };
    let found = [stale(LARGER, &large), stale(STRINGS, &strings)].concat();
    assert!(found.is_empty(), "no longer needed: {found:#?}");
    Ok(())
}
