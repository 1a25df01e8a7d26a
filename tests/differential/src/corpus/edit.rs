//! A change of one place in an object.

use std::fmt;

use serde_json::{Map, Value, json};

/// Stands for the second of two equal keys, until the object is text.
const TWIN_KEY: &str = "~twin~";

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Of a map.
    Key(String),
    /// Of a list.
    Index(usize),
}

/// Where a value stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(pub Vec<Segment>);

/// What is done there.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Nothing.
    Keep,
    /// The value becomes this one.
    Set(Value),
    /// The value is taken out.
    Remove,
    /// The map gets one more entry.
    Insert(String, Value),
    /// The key stands twice, the second time with this value.
    RepeatKey(Value),
    /// The first member of the list stands twice.
    RepeatMember,
}

/// A change at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Where.
    pub place: Place,
    /// What.
    pub change: Change,
}

impl Place {
    pub(crate) fn key(&self, key: &str) -> Self {
        let mut path = self.0.clone();
        path.push(Segment::Key(key.into()));
        Self(path)
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        let mut path = self.0.clone();
        path.push(Segment::Index(index));
        Self(path)
    }

    /// As JSON patch writes it.
    pub(crate) fn pointer(&self) -> String {
        let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
        let steps = self.0.iter().map(|segment| match segment {
            Segment::Key(key) => format!("/{}", escape(key)),
            Segment::Index(index) => format!("/{index}"),
        });
        steps.collect()
    }

    /// The value with only what leads to this place: the form of a merge patch. Lists on the way have one
    /// member, which also gets the entries of `identity` from `whole` (a merge key).
    pub(crate) fn nest(&self, leaf: Value, whole: &Value, identity: &[&str]) -> Value {
        let mut below = leaf;
        for at in (0..self.0.len()).rev() {
            below = match &self.0[at] {
                Segment::Key(key) => {
                    let mut map = Map::new();
                    map.insert(key.clone(), below);
                    Value::Object(map)
                }
                Segment::Index(_) => {
                    let member = Place(self.0[..=at].to_vec());
                    let own = member.find(whole).cloned().unwrap_or(Value::Null);
                    if let Value::Object(map) = &mut below {
                        let known = identity.iter().filter_map(|k| Some((*k, own.get(*k)?)));
                        for (key, value) in known {
                            map.entry(key).or_insert_with(|| value.clone());
                        }
                    }
                    json!([below])
                }
            };
        }
        below
    }

    /// The value here.
    pub(crate) fn find<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.0
            .iter()
            .try_fold(root, |value, segment| match segment {
                Segment::Key(key) => value.get(key),
                Segment::Index(index) => value.get(*index),
            })
    }

    fn find_mut<'a>(&self, root: &'a mut Value) -> Option<&'a mut Value> {
        self.0
            .iter()
            .try_fold(root, |value, segment| match segment {
                Segment::Key(key) => value.get_mut(key),
                Segment::Index(index) => value.get_mut(*index),
            })
    }

    fn parent(&self) -> Option<(Self, &Segment)> {
        let (last, rest) = self.0.split_last()?;
        Some((Self(rest.to_vec()), last))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if key.contains('.') => write!(f, "[{key}]")?,
                Segment::Key(key) if at == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match &self.change {
            Change::Keep => f.write_str("as it is"),
            Change::Set(value) => write!(f, "{place} = {}", short(value)),
            Change::Remove => write!(f, "without {place}"),
            Change::Insert(key, value) => write!(f, "{place} with {key:?}: {}", short(value)),
            Change::RepeatKey(value) => write!(f, "{place} again as {}", short(value)),
            Change::RepeatMember => write!(f, "{place} with its first member twice"),
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 {
        text
    } else {
        text.chars().take(80).chain("…".chars()).collect()
    }
}

impl Edit {
    /// No change.
    pub(crate) fn none() -> Self {
        Self {
            place: Place::default(),
            change: Change::Keep,
        }
    }

    /// The changed object, as text. Where the place does not exist, nothing changes.
    #[must_use]
    pub fn text(&self, object: &Value) -> String {
        let text = self.apply(object).to_string();
        match (&self.change, self.place.0.last()) {
            (Change::RepeatKey(_), Some(Segment::Key(key))) => text.replace(
                &format!("\"{TWIN_KEY}\""),
                &Value::from(key.as_str()).to_string(),
            ),
            _ => text,
        }
    }

    pub(crate) fn apply(&self, object: &Value) -> Value {
        let mut changed = object.clone();
        match &self.change {
            Change::Keep => {}
            Change::Set(value) => self.write(&mut changed, None, value),
            Change::RepeatKey(value) => self.write(&mut changed, Some(TWIN_KEY), value),
            Change::Remove => self.remove(&mut changed),
            Change::Insert(key, value) => {
                if let Some(Value::Object(map)) = self.place.find_mut(&mut changed) {
                    map.insert(key.clone(), value.clone());
                }
            }
            Change::RepeatMember => {
                if let Some(Value::Array(list)) = self.place.find_mut(&mut changed)
                    && let Some(first) = list.first().cloned()
                {
                    list.push(first);
                }
            }
        }
        changed
    }

    /// Sets the value here, or beside it under `key`.
    fn write(&self, object: &mut Value, key: Option<&str>, value: &Value) {
        let Some((parent, last)) = self.place.parent() else {
            *object = value.clone();
            return;
        };
        match (parent.find_mut(object), last) {
            (Some(Value::Object(map)), Segment::Key(own)) => {
                map.insert(key.unwrap_or(own).to_owned(), value.clone());
            }
            (Some(Value::Array(list)), Segment::Index(index)) => {
                if let Some(member) = list.get_mut(*index) {
                    *member = value.clone();
                }
            }
            _ => {}
        }
    }

    fn remove(&self, object: &mut Value) {
        let Some((parent, last)) = self.place.parent() else {
            return;
        };
        match (parent.find_mut(object), last) {
            (Some(Value::Object(map)), Segment::Key(key)) => {
                map.remove(key);
            }
            (Some(Value::Array(list)), Segment::Index(index)) if *index < list.len() => {
                list.remove(*index);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(keys: &[&str]) -> Place {
        keys.iter()
            .fold(Place::default(), |place, key| place.key(key))
    }

    #[test]
    fn a_change_is_made_at_its_place_only() {
        let object = json!({"a": {"b": 1, "c": [1, 2]}});
        let edit = |place, change| Edit { place, change }.text(&object);
        assert_eq!(
            edit(at(&["a", "b"]), Change::Set(json!("x"))),
            r#"{"a":{"b":"x","c":[1,2]}}"#
        );
        assert_eq!(
            edit(at(&["a", "b"]), Change::Remove),
            r#"{"a":{"c":[1,2]}}"#
        );
        assert_eq!(
            edit(at(&["a", "c"]).index(0), Change::Remove),
            r#"{"a":{"b":1,"c":[2]}}"#
        );
        assert_eq!(
            edit(at(&["a", "c"]), Change::RepeatMember),
            r#"{"a":{"b":1,"c":[1,2,1]}}"#
        );
        assert_eq!(
            edit(at(&["a"]), Change::Insert("d".into(), json!(3))),
            r#"{"a":{"b":1,"c":[1,2],"d":3}}"#
        );
        assert_eq!(
            edit(at(&["x", "y"]), Change::Set(json!(1))),
            object.to_string()
        );
    }

    #[test]
    fn a_repeated_key_stands_twice_in_the_text() {
        let edit = Edit {
            place: at(&["a"]),
            change: Change::RepeatKey(json!(2)),
        };
        assert_eq!(edit.text(&json!({"a": 1})), r#"{"a":1,"a":2}"#);
    }

    #[test]
    fn a_merge_patch_leads_to_its_place_with_the_merge_key() {
        let whole = json!({"spec": {"containers": [{"name": "c", "image": "i"}]}});
        let place = at(&["spec", "containers"]).index(0).key("image");
        let patch = place.nest(json!("j"), &whole, &["name"]);
        assert_eq!(
            patch,
            json!({"spec": {"containers": [{"image": "j", "name": "c"}]}})
        );
        assert_eq!(place.pointer(), "/spec/containers/0/image");
    }
}
