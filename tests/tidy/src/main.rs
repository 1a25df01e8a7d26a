//! `cargo run -p k3s-tidy`: the figures of the sources that the house rules are about.
#![allow(
    clippy::print_stdout,
    reason = "a command line tool speaks on its terminal"
)]

use anyhow::Result;
use k3s_tidy::source::{Function, functions, production};
use k3s_tidy::{public, root};

fn main() -> Result<()> {
    let sources = production()?;
    let functions: Vec<Function> = sources.iter().flat_map(functions).collect();
    let tokens: Vec<usize> = functions.iter().map(|f| f.tokens).collect();
    let lines: Vec<usize> = functions.iter().map(|f| f.lines).collect();
    let statements: Vec<usize> = functions.iter().map(|f| f.longest_statement).collect();
    let words = functions.iter().filter(|f| !f.name.contains('_')).count();
    let fallible = functions.iter().filter(|f| f.is_fallible).count();
    let strings: Vec<&Function> = functions
        .iter()
        .filter(|f| f.error.as_deref() == Some("String"))
        .collect();
    println!("production files            {}", sources.len());
    println!("functions                   {}", functions.len());
    println!("tokens per function         {}", quantiles(tokens.clone()));
    println!("lines per function          {}", quantiles(lines.clone()));
    println!("longest statement, tokens   {}", quantiles(statements));
    println!(
        "tokens per body line        {:.2}",
        ratio(tokens.iter().sum(), lines.iter().sum())
    );
    println!(
        "one-word function names     {:.0} %",
        100.0 * ratio(words, functions.len())
    );
    println!(
        "Result<_, String>           {} of {fallible} ({:.1} %)",
        strings.len(),
        100.0 * ratio(strings.len(), fallible)
    );
    println!("unused public items         {}", public::unused()?.len());
    println!("lines of kinds/*/*/mod.rs   {}", lines_of_kind_modules());
    println!("\nlongest functions, tokens");
    list(&functions, |function| function.tokens);
    println!("\nlongest statements, tokens");
    list(&functions, |function| function.longest_statement);
    println!("\nResult<_, String>");
    for function in strings {
        println!("  {} {}", function.place, function.name);
    }
    println!("\nunused public items");
    for item in public::unused()? {
        println!("  {} {}", item.place, item.name);
    }
    Ok(())
}

/// The forty functions with the largest figure.
fn list(functions: &[Function], figure: impl Fn(&Function) -> usize) {
    let mut order: Vec<&Function> = functions.iter().collect();
    order.sort_by_key(|function| std::cmp::Reverse(figure(function)));
    for function in order.into_iter().take(40) {
        println!(
            "  {:5} {} {}",
            figure(function),
            function.place,
            function.name
        );
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    let float = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    float(part) / float(whole.max(1))
}

/// `p50 / p90 / p99 / max`.
fn quantiles(mut values: Vec<usize>) -> String {
    values.sort_unstable();
    let at = |percent: usize| {
        let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
        values.get(index).copied().unwrap_or_default()
    };
    format!("{} / {} / {} / {}", at(50), at(90), at(99), at(100))
}

fn lines_of_kind_modules() -> usize {
    let depth = |path: &std::path::Path| {
        path.strip_prefix(root().join("host/kinds/src"))
            .map_or(0, |rest| rest.components().count())
    };
    k3s_tidy::files(&root().join("host/kinds/src"), &["rs"])
        .into_iter()
        .filter(|path| path.ends_with("mod.rs") && depth(path) == 3)
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.lines().count())
        .sum()
}
