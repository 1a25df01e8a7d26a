//! Public items and who names them. The compiler cannot see an unused `pub` across crates, since
//! somebody outside the workspace might use it; here the workspace is all there is.

use std::collections::HashMap;

use anyhow::Result;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::Visit;

use crate::source::{Source, identifiers, is_for_tests, production};

/// A public item.
#[derive(Debug)]
pub struct PublicItem {
    /// File and line.
    pub place: String,
    /// Its name.
    pub name: String,
}

/// Public items of `host/*` that production code names nowhere but at their definition and in
/// re-exports. A name that several items share counts as used if any is: the rule has no false alarm.
///
/// # Errors
///
/// A file cannot be read or parsed.
pub fn unused() -> Result<Vec<PublicItem>> {
    let sources = production()?;
    let mut mentions: HashMap<String, usize> = HashMap::new();
    for source in &sources {
        for word in words(source) {
            *mentions.entry(word).or_default() += 1;
        }
    }
    let mut items: Vec<PublicItem> = sources.iter().flat_map(public_items).collect();
    let mut definitions: HashMap<String, usize> = HashMap::new();
    for item in &items {
        *definitions.entry(item.name.clone()).or_default() += 1;
    }
    items.retain(|item| {
        item.place.starts_with("host/") && mentions.get(&item.name) == definitions.get(&item.name)
    });
    Ok(items)
}

/// Every identifier of production code outside of `use` declarations, macros' bodies included.
fn words(source: &Source) -> Vec<String> {
    let mut stripped = Stripped(Vec::new());
    stripped.visit_file(&source.syntax);
    stripped.0
}

struct Stripped(Vec<String>);

impl Stripped {
    fn add(&mut self, stream: TokenStream) {
        self.0.extend(identifiers(stream));
    }
}

impl<'ast> Visit<'ast> for Stripped {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Use(_) => {}
            syn::Item::Mod(module) if is_for_tests(&module.attrs) => {}
            syn::Item::Mod(module) if module.content.is_some() => {
                syn::visit::visit_item_mod(self, module);
            }
            syn::Item::Fn(function) if is_for_tests(&function.attrs) => {}
            other => self.add(other.to_token_stream()),
        }
    }
}

fn public_items(source: &Source) -> Vec<PublicItem> {
    let mut collector = Items {
        source,
        found: Vec::new(),
    };
    collector.visit_file(&source.syntax);
    collector.found
}

struct Items<'a> {
    source: &'a Source,
    found: Vec<PublicItem>,
}

impl Items<'_> {
    fn add(&mut self, visibility: &syn::Visibility, name: &syn::Ident) {
        if !matches!(visibility, syn::Visibility::Public(_)) {
            return;
        }
        self.found.push(PublicItem {
            place: format!(
                "{}:{}",
                self.source.path.display(),
                name.span().start().line
            ),
            name: name.to_string(),
        });
    }
}

impl<'ast> Visit<'ast> for Items<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Mod(module) if is_for_tests(&module.attrs) => return,
            syn::Item::Fn(item) => self.add(&item.vis, &item.sig.ident),
            syn::Item::Struct(item) => self.add(&item.vis, &item.ident),
            syn::Item::Enum(item) => self.add(&item.vis, &item.ident),
            syn::Item::Trait(item) => self.add(&item.vis, &item.ident),
            syn::Item::Type(item) => self.add(&item.vis, &item.ident),
            syn::Item::Const(item) => self.add(&item.vis, &item.ident),
            syn::Item::Static(item) => self.add(&item.vis, &item.ident),
            _ => {}
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.vis, &function.sig.ident);
    }

    fn visit_impl_item_const(&mut self, constant: &'ast syn::ImplItemConst) {
        self.add(&constant.vis, &constant.ident);
    }
}
