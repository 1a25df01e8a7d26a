//! Tables the server made (`meta.k8s.io/v1.Table`), printed as kubectl prints them.

use k3s_meta::{object, tree};
use serde_json::Value;

use super::Columns;

/// How tables are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableStyle {
    pub(crate) wide: bool,
    pub(crate) with_namespace: bool,
    pub(crate) show_labels: bool,
    pub(crate) no_headers: bool,
    /// `deployment.apps` before each name, where several resources are listed.
    pub(crate) prefix: Option<String>,
}

/// Prints tables in one style; later ones stay aligned with the first.
#[derive(Debug, Default)]
pub(crate) struct TablePrinter {
    style: TableStyle,
    columns: Columns,
    headers: Vec<(usize, String)>,
}

impl TablePrinter {
    pub(crate) fn new(style: TableStyle) -> Self {
        Self {
            style,
            ..Self::default()
        }
    }

    /// A table as text; the first call prints the headers.
    pub(crate) fn print(&mut self, table: &Value) -> String {
        let mut rows = Vec::new();
        let definitions = tree::list(table, "columnDefinitions");
        // A watch sends the definitions with its first event only.
        if self.headers.is_empty() && !definitions.is_empty() {
            self.headers = self.shown(definitions);
            if !self.style.no_headers {
                rows.push(self.header());
            }
        }
        rows.extend(tree::list(table, "rows").iter().map(|row| self.row(row)));
        self.columns.layout(&rows)
    }

    fn shown(&self, definitions: &[Value]) -> Vec<(usize, String)> {
        let is_shown =
            |d: &Value| self.style.wide || tree::int(d, "priority").unwrap_or_default() == 0;
        let name = |d: &Value| tree::text(d, "name").to_uppercase();
        definitions
            .iter()
            .enumerate()
            .filter(|(_, d)| is_shown(d))
            .map(|(at, d)| (at, name(d)))
            .collect()
    }

    fn header(&self) -> Vec<String> {
        let mut row: Vec<String> = self
            .style
            .with_namespace
            .then(|| "NAMESPACE".to_owned())
            .into_iter()
            .collect();
        row.extend(self.headers.iter().map(|(_, name)| name.clone()));
        row.extend(self.style.show_labels.then(|| "LABELS".to_owned()));
        row
    }

    fn row(&self, row: &Value) -> Vec<String> {
        let meta = row.get("object").unwrap_or(&Value::Null);
        let cells = tree::list(row, "cells");
        let mut out: Vec<String> = self
            .style
            .with_namespace
            .then(|| object::namespace(meta).to_owned())
            .into_iter()
            .collect();
        for (at, name) in &self.headers {
            let text = cells.get(*at).map(cell).unwrap_or_default();
            match &self.style.prefix {
                Some(prefix) if name == "NAME" => out.push(format!("{prefix}/{text}")),
                _ => out.push(text),
            }
        }
        if self.style.show_labels {
            out.push(labels(meta));
        }
        out
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".into(),
        Value::String(text) => text.lines().next().unwrap_or_default().to_owned(),
        other => other.to_string(),
    }
}

fn labels(meta: &Value) -> String {
    let all: Vec<String> = object::labels(meta)
        .into_iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    if all.is_empty() {
        "<none>".into()
    } else {
        all.join(",")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wide_columns_namespaces_and_prefixes() {
        let table = json!({
            "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Ready", "priority": 0}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["web", "1/1", "10.42.0.5"], "object": {"metadata": {"namespace": "default", "labels": {"a": "b"}}}}],
        });
        assert_eq!(
            TablePrinter::default().print(&table),
            "NAME   READY\nweb    1/1\n"
        );
        let mut printer = TablePrinter::new(TableStyle {
            wide: true,
            with_namespace: true,
            show_labels: true,
            no_headers: false,
            prefix: Some("pod".into()),
        });
        assert_eq!(
            printer.print(&table),
            "NAMESPACE   NAME      READY   IP          LABELS\ndefault     pod/web   1/1     10.42.0.5   a=b\n"
        );
        assert_eq!(
            printer.print(&table),
            "default     pod/web   1/1     10.42.0.5   a=b\n"
        );
    }
}
