//! The errors of one validation.

use super::FieldError;
use std::collections::HashSet;
use std::fmt;

/// Errors that are kept of one validation: an object can have hundreds of thousands, each with a copy of where
/// it stands and what stands there.
const MAX_ERRORS: usize = 256;
/// Bytes of text that are kept. A long key or value is part of each error below it.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Errors in the order they were found: the first ones, so that an answer is no multiple of what was asked, and
/// the number of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorList {
    errors: Vec<FieldError>,
    text_bytes: usize,
    omitted: usize,
}

impl ErrorList {
    /// No errors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, error: FieldError) {
        if self.is_full() {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        self.text_bytes = self.text_bytes.saturating_add(error.text_bytes());
        self.errors.push(error);
    }

    /// Whether further errors are only counted. A validation that is costly may end here.
    pub fn is_full(&self) -> bool {
        self.errors.len() >= MAX_ERRORS || self.text_bytes >= MAX_TEXT_BYTES
    }

    /// Adds all of another validation.
    pub fn append(&mut self, other: ErrorList) {
        let omitted = other.omitted;
        self.extend(other);
        self.omitted = self.omitted.saturating_add(omitted);
    }

    /// Whether the object is valid.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// How many errors are kept.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// The errors that are kept, in order.
    pub fn as_slice(&self) -> &[FieldError] {
        &self.errors
    }

    /// The same, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.errors.iter()
    }
}

impl IntoIterator for ErrorList {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;
    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl Extend<FieldError> for ErrorList {
    fn extend<T: IntoIterator<Item = FieldError>>(&mut self, iter: T) {
        iter.into_iter().for_each(|error| self.push(error));
    }
}

impl FromIterator<FieldError> for ErrorList {
    fn from_iter<T: IntoIterator<Item = FieldError>>(iter: T) -> Self {
        let mut list = Self::new();
        list.extend(iter);
        list
    }
}

impl From<FieldError> for ErrorList {
    fn from(error: FieldError) -> Self {
        Self::from_iter([error])
    }
}

/// Prints as upstream's aggregate: one message bare, several in brackets, repeated ones once.
impl fmt::Display for ErrorList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seen = HashSet::new();
        let mut texts: Vec<String> = self
            .errors
            .iter()
            .map(ToString::to_string)
            .filter(|text| seen.insert(text.clone()))
            .collect();
        if self.omitted > 0 {
            texts.push(format!("and {} more errors", self.omitted));
        }
        match texts.as_slice() {
            [one] => f.write_str(one),
            many => write!(f, "[{}]", many.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Path, invalid};

    #[test]
    fn a_list_keeps_the_first_errors_and_counts_the_others() {
        let error = |at: usize| invalid(&Path::new("spec").index(at), at, "bad");
        let mut list: ErrorList = (0..300_000).map(error).collect();
        assert_eq!(list.len(), 256);
        list.append((0..10).map(error).collect());
        assert_eq!(list.len(), 256);
        let text = list.to_string();
        assert!(
            text.starts_with("[spec[0]: Invalid value: 0: bad, spec[1]"),
            "{text}"
        );
        assert!(
            text.ends_with("spec[255]: Invalid value: 255: bad, and 299754 more errors]"),
            "{text}"
        );
    }

    #[test]
    fn long_texts_fill_a_list_sooner_but_one_error_is_always_shown() {
        let path = Path::new("labels").key(&"k".repeat(MAX_TEXT_BYTES));
        let list: ErrorList = (0..5).map(|_| invalid(&path, "x", "bad")).collect();
        assert_eq!(list.len(), 1);
        assert!(list.to_string().len() < MAX_TEXT_BYTES + 100);
    }
}
