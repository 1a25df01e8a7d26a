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
        wanted: complaints.iter().map(String::as_str).collect(),
        found: Vec::new(),
    };
    let mut json = serde_json::Deserializer::from_slice(raw);
    // A body that cannot be read was refused before.
    let read = Node(&mut state).deserialize(&mut json);
    let State { wanted, found, .. } = state;
    drop(wanted);
    if read.is_ok() { found } else { complaints }
}

struct State<'c> {
    path: String,
    wanted: HashSet<&'c str>,
    found: Vec<String>,
}

impl State<'_> {
    /// Takes the complaint about the field at the path, if there is one.
    fn take(&mut self, what: &str) -> bool {
        let text = format!("{what} field \"{}\"", self.path);
        let is_wanted = self.wanted.remove(text.as_str());
        if is_wanted {
            self.found.push(text);
        }
        is_wanted
    }
}

struct Node<'s, 'c>(&'s mut State<'c>);

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
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
            let unknown = format!("unknown field \"{}\"", self.0.path);
            if self.0.take("unknown") || self.0.found.contains(&unknown) {
                access.next_value::<IgnoredAny>()?;
            } else {
                access.next_value_seed(Node(self.0))?;
            }
            self.0.path.truncate(depth);
        }
        Ok(())
    }
}
