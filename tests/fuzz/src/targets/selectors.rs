//! Selectors as they stand in queries and in objects.

use k3s_meta::{FieldSelector, LabelSelector};
use serde_json::Value;

/// A label selector: a text, or an object as JSON.
pub fn label_selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(object @ Value::Object(_)) = serde_json::from_str::<Value>(text) {
        let Ok(selector) = LabelSelector::from_value(&object) else {
            return;
        };
        let read = LabelSelector::parse(&selector.to_string()).unwrap();
        assert_eq!(read.requirements().len(), selector.requirements().len());
        return agree(&selector, &read);
    }
    let Ok(selector) = LabelSelector::parse(text) else {
        return;
    };
    let read = LabelSelector::parse(&selector.to_string()).unwrap();
    assert_eq!(read, selector);
    agree(&selector, &read);
}

/// Both choose the same among labels that have to do with them.
fn agree(one: &LabelSelector, other: &LabelSelector) {
    let values = one.requirements().iter().flat_map(|it| it.values());
    let values: Vec<&str> = values
        .map(String::as_str)
        .take(8)
        .chain(["", "1"])
        .collect();
    assert_eq!(one.matches(|_| None), other.matches(|_| None));
    for value in values {
        assert_eq!(one.matches(|_| Some(value)), other.matches(|_| Some(value)));
    }
}

/// A field selector.
pub fn field_selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(selector) = FieldSelector::parse(text) else {
        return;
    };
    let read = FieldSelector::parse(&selector.to_string()).unwrap();
    // Terms are in the order of their texts, which `a==b` and `a=b` differ in.
    let sorted = |selector: &FieldSelector| {
        let mut terms: Vec<String> = selector
            .requirements()
            .iter()
            .map(|term| format!("{term:?}"))
            .collect();
        terms.sort();
        terms
    };
    assert_eq!(sorted(&read), sorted(&selector));
    for requirement in selector.requirements() {
        let value = requirement.value.as_str();
        assert_eq!(
            selector.matches(|_| Some(value)),
            read.matches(|_| Some(value))
        );
    }
}
