//! The order of complaints about a JSON body: upstream notes them while it reads, so that they stand in the order of
//! the document, and notes nothing below a field that it does not know.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt::{self, Write};

/// Orders `unknown field "a"` and `duplicate field "b"` about the body as they occur in it.
#[must_use]
pub fn in_document_order(raw: &[u8], complaints: Vec<String>) -> Vec<String> {
    if complaints.len() < 2 {
        return complaints;
    }
    let mut state = State {
        path: String::new(),
        wanted: complaints.clone(),
        found: Vec::new(),
    };
    let mut json = serde_json::Deserializer::from_slice(raw);
    // A body that cannot be read was refused before.
    let read = Node(&mut state).deserialize(&mut json);
    if read.is_ok() {
        state.found
    } else {
        complaints
    }
}

struct State {
    path: String,
    wanted: Vec<String>,
    found: Vec<String>,
}

impl State {
    /// Whether a complaint is about the field at the path. Compared from the end, where the paths of the fields of one
    /// map differ: their beginning may be as long as the body.
    fn is_here(&self, complaint: &str, what: &str) -> bool {
        let path = complaint.strip_prefix(what);
        let path = path.and_then(|rest| rest.strip_prefix(" field \"")?.strip_suffix('"'));
        path.is_some_and(|path| path.bytes().rev().eq(self.path.bytes().rev()))
    }

    /// Takes the complaint about the field at the path, if there is one.
    fn take(&mut self, what: &str) -> bool {
        let place = self.wanted.iter().position(|it| self.is_here(it, what));
        let taken = place.map(|place| self.wanted.remove(place));
        let is_taken = taken.is_some();
        self.found.extend(taken);
        is_taken
    }

    fn is_found(&self, what: &str) -> bool {
        self.found.iter().any(|it| self.is_here(it, what))
    }
}

struct Node<'s>(&'s mut State);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.0.path.len();
        for at in 0_usize.. {
            // Writing to a String cannot fail.
            let _ = write!(self.0.path, "[{at}]");
            let item = seq.next_element_seed(Node(self.0))?;
            self.0.path.truncate(depth);
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let depth = self.0.path.len();
        let mut seen = HashSet::new();
        while let Some(key) = access.next_key::<String>()? {
            if depth > 0 {
                self.0.path.push('.');
            }
            self.0.path.push_str(&key);
            if !seen.insert(key) {
                self.0.take("duplicate");
            }
            if self.0.take("unknown") || self.0.is_found("unknown") {
                access.next_value::<IgnoredAny>()?;
            } else {
                access.next_value_seed(Node(self.0))?;
            }
            self.0.path.truncate(depth);
        }
        Ok(())
    }
}
