//! Names as offsets into one string, and how generated files are laid out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Names as offsets into one string.
#[derive(Default)]
pub(super) struct Names {
    ids: BTreeMap<String, usize>,
    order: Vec<String>,
}

impl Names {
    pub(super) fn id(&mut self, name: &str) -> usize {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        self.ids.insert(name.to_owned(), self.order.len());
        self.order.push(name.to_owned());
        self.order.len() - 1
    }

    pub(super) fn file(&self) -> String {
        let mut out = header("Names of types and fields.");
        let mut text = String::new();
        let mut at = vec![0];
        for name in &self.order {
            text.push_str(name);
            at.push(text.len());
        }
        let _ = write!(out, "#[rustfmt::skip]\npub(crate) static TEXT: &str = \"");
        for chunk in text.as_bytes().chunks(110) {
            let _ = write!(out, "\\\n{}", String::from_utf8_lossy(chunk));
        }
        let _ = write!(
            out,
            "\";\n\n#[rustfmt::skip]\npub(crate) static AT: [u32; {}] = [\n",
            at.len()
        );
        wrap(&mut out, at.iter().map(usize::to_string));
        out.push_str("];\n");
        out
    }
}

pub(super) fn wrap(out: &mut String, items: impl Iterator<Item = String>) {
    let mut column = 0;
    for item in items {
        if column + item.len() > 110 {
            out.push('\n');
            column = 0;
        }
        column += item.len() + 1;
        out.push_str(&item);
        out.push(',');
    }
    out.push('\n');
}

pub(super) fn header(what: &str) -> String {
    format!(
        "//! {what}\n//! Generated from `gen-source/` by `host/xtask/src/gen_api`; do not edit.\n\n"
    )
}
