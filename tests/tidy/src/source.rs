//! Reading Rust sources as syntax: functions with their size in tokens, fallible results, public
//! items and the identifiers that use them. Figures in tokens do not depend on the formatting.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::{files, root};

/// A parsed source file.
pub struct Source {
    /// Path below the root of the checkout.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
    /// Its syntax.
    pub syntax: syn::File,
}

impl Source {
    /// Reads and parses one file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not Rust.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let syntax = syn::parse_file(&text).with_context(|| path.display().to_string())?;
        let path = path.strip_prefix(root()).unwrap_or(path).to_path_buf();
        Ok(Self { path, text, syntax })
    }

    /// Whether the whole file is test code.
    #[must_use]
    pub fn is_test(&self) -> bool {
        let path = self.path.to_string_lossy();
        path.starts_with("tests/")
            || path.contains("/tests/")
            || path.ends_with("tests.rs")
            || path.contains("/benches/")
            || path.contains("/examples/")
            || path.contains("/contract/")
    }
}

/// Every hand-written source file of the product (`host/`, `plugins/`) that is no test.
///
/// # Errors
///
/// A file cannot be read or parsed.
pub fn production() -> Result<Vec<Source>> {
    let mut sources = everything()?;
    sources.retain(|source| !source.is_test());
    Ok(sources)
}

/// Every hand-written source file, tests included. Generated tables (`gen/`) are left out.
///
/// # Errors
///
/// A file cannot be read or parsed.
pub fn everything() -> Result<Vec<Source>> {
    let is_generated = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "gen");
    ["host", "plugins", "tests"]
        .iter()
        .flat_map(|folder| files(&root().join(folder), &["rs"]))
        .filter(|path| !is_generated(path))
        .map(|path| Source::read(&path))
        .collect()
}

/// A function with a body.
#[derive(Debug)]
pub struct Function {
    /// File and line of its name.
    pub place: String,
    /// Its name.
    pub name: String,
    /// Tokens of the body.
    pub tokens: usize,
    /// Lines of the body, braces included, that hold code.
    pub lines: usize,
    /// Tokens of its longest statement that contains no block of its own. What stands in braces or
    /// brackets (the fields of a literal, a list, a macro's table) is read line by line and does not count.
    pub longest_statement: usize,
    /// Whether it returns a `Result` of any form.
    pub is_fallible: bool,
    /// The type in `Result<_, E>` of its return type, if it names one.
    pub error: Option<String>,
}

/// The functions of `source` outside of test modules.
#[must_use]
pub fn functions(source: &Source) -> Vec<Function> {
    let mut collector = Functions {
        source,
        lines: source.text.lines().collect(),
        found: Vec::new(),
    };
    collector.visit_file(&source.syntax);
    collector.found
}

struct Functions<'a> {
    source: &'a Source,
    lines: Vec<&'a str>,
    found: Vec<Function>,
}

impl Functions<'_> {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let result = result_of(&signature.output);
        self.found.push(Function {
            place: format!(
                "{}:{}",
                self.source.path.display(),
                signature.ident.span().start().line
            ),
            name: signature.ident.to_string(),
            tokens: block.stmts.iter().map(|s| count(s.to_token_stream())).sum(),
            lines: self.code_lines(block),
            longest_statement: longest_statement(block),
            is_fallible: result.is_some(),
            error: result.flatten(),
        });
    }

    /// Lines from brace to brace that are neither blank nor only a comment.
    fn code_lines(&self, block: &syn::Block) -> usize {
        let (first, last) = (block.span().start().line, block.span().end().line);
        let inner = first.saturating_sub(1)..last;
        let holds_code = |at: &usize| {
            self.lines
                .get(*at)
                .map(|line| line.trim())
                .is_some_and(|line| !line.is_empty() && !line.starts_with("//"))
        };
        inner.filter(holds_code).count()
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_for_tests(&function.attrs) {
            self.add(&function.sig, &function.block);
            syn::visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            self.add(&function.sig, &function.block);
            syn::visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

/// Whether `#[cfg(test)]` or `#[test]` stands above an item.
#[must_use]
pub fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path.segments.last().is_some_and(|s| s.ident == "test"),
        syn::Meta::List(list) => {
            let is_cfg = list.path.is_ident("cfg");
            let names_test = identifiers(list.tokens.clone()).any(|word| word == "test");
            is_cfg && names_test && !list.tokens.to_string().contains("not")
        }
        syn::Meta::NameValue(_) => false,
    })
}

/// The error type of a `Result` in a return type; `None` inside for an alias that fixes it.
fn result_of(output: &syn::ReturnType) -> Option<Option<String>> {
    let syn::ReturnType::Type(_, kind) = output else {
        return None;
    };
    let syn::Type::Path(path) = kind.as_ref() else {
        return None;
    };
    let last = path.path.segments.last()?;
    if last.ident != "Result" {
        return None;
    }
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return Some(None);
    };
    let error = arguments.args.iter().nth(1).map(text_of);
    Some(error)
}

fn text_of(argument: &syn::GenericArgument) -> String {
    match argument {
        syn::GenericArgument::Type(syn::Type::Path(path)) => path
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string())
            .unwrap_or_default(),
        _ => String::new(),
    }
}

fn longest_statement(block: &syn::Block) -> usize {
    struct Longest(usize);
    impl<'ast> Visit<'ast> for Longest {
        fn visit_stmt(&mut self, statement: &'ast syn::Stmt) {
            let mut blocks = Blocks(false);
            blocks.visit_stmt(statement);
            if !blocks.0 {
                self.0 = self.0.max(count_outside_lists(statement.to_token_stream()));
            }
            syn::visit::visit_stmt(self, statement);
        }
    }
    struct Blocks(bool);
    impl<'ast> Visit<'ast> for Blocks {
        fn visit_block(&mut self, _: &'ast syn::Block) {
            self.0 = true;
        }
        fn visit_expr_match(&mut self, _: &'ast syn::ExprMatch) {
            self.0 = true;
        }
    }
    let mut longest = Longest(0);
    longest.visit_block(block);
    longest.0
}

/// Tokens in a stream as a reader sees them: a group counts its two delimiters, `::` is one.
fn count(stream: TokenStream) -> usize {
    stream
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) => 2 + count(group.stream()),
            TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint => 0,
            _ => 1,
        })
        .sum()
}

fn count_outside_lists(stream: TokenStream) -> usize {
    stream
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) if group.delimiter() != Delimiter::Parenthesis => 2,
            TokenTree::Group(group) => 2 + count_outside_lists(group.stream()),
            TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint => 0,
            _ => 1,
        })
        .sum()
}

/// All identifiers in a stream, at any depth.
pub fn identifiers(stream: TokenStream) -> Box<dyn Iterator<Item = String>> {
    Box::new(stream.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) => identifiers(group.stream()),
        TokenTree::Ident(word) => Box::new(std::iter::once(word.to_string())),
        _ => Box::new(std::iter::empty()) as Box<dyn Iterator<Item = String>>,
    }))
}

/// The values of all string literals of `source` outside of test modules, in macros too.
#[must_use]
pub fn string_literals(source: &Source) -> Vec<String> {
    let is_test = |item: &&syn::Item| matches!(item, syn::Item::Mod(it) if is_for_tests(&it.attrs));
    let items = source.syntax.items.iter().filter(|item| !is_test(item));
    let mut found = Vec::new();
    for item in items {
        add_literals(item.to_token_stream(), &mut found);
    }
    found
}

/// A pair of names with `::` between them, such as `Instant::now`.
#[derive(Debug)]
pub struct QualifiedName {
    /// File and line.
    pub place: String,
    /// The last name with its qualifier.
    pub name: String,
}

/// Every qualified name of `source` outside of test items, in macros too. `a::b::c` gives `a::b` and `b::c`.
#[must_use]
pub fn qualified_names(source: &Source) -> Vec<QualifiedName> {
    let mut collector = QualifiedNames {
        source,
        found: Vec::new(),
    };
    collector.visit_file(&source.syntax);
    collector.found
}

struct QualifiedNames<'a> {
    source: &'a Source,
    found: Vec<QualifiedName>,
}

impl QualifiedNames<'_> {
    fn add(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        for token in &tokens {
            if let TokenTree::Group(group) = token {
                self.add(group.stream());
            }
        }
        for window in tokens.windows(4) {
            if let [
                TokenTree::Ident(qualifier),
                TokenTree::Punct(first),
                TokenTree::Punct(second),
                TokenTree::Ident(last),
            ] = window
                && first.as_char() == ':'
                && second.as_char() == ':'
            {
                let line = qualifier.span().start().line;
                self.found.push(QualifiedName {
                    place: format!("{}:{line}", self.source.path.display()),
                    name: format!("{qualifier}::{last}"),
                });
            }
        }
    }
}

impl<'ast> Visit<'ast> for QualifiedNames<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Mod(module) if is_for_tests(&module.attrs) => {}
            syn::Item::Mod(module) if module.content.is_some() => {
                syn::visit::visit_item_mod(self, module);
            }
            syn::Item::Fn(function) if is_for_tests(&function.attrs) => {}
            syn::Item::Impl(item) if is_for_tests(&item.attrs) => {}
            other => self.add(other.to_token_stream()),
        }
    }
}

fn add_literals(stream: TokenStream, found: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Group(group) => add_literals(group.stream(), found),
            TokenTree::Literal(literal) => {
                if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                    found.push(text.value());
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}
