//! One JSON Patch operation, with the messages of the library upstream uses.

use super::{MAX_COPY_BYTES, MAX_STEPS, PatchError};
use crate::tree;
use json_patch::PatchOperation;
use serde_json::{Map, Value};

/// What the operations of one patch have cost so far, which is bounded: each is short, and may copy or move much.
#[derive(Debug, Default)]
pub(super) struct Spent {
    copied_bytes: usize,
    steps: usize,
}

impl Spent {
    /// Performs one operation.
    pub(super) fn apply(
        &mut self,
        doc: &mut Value,
        operation: &PatchOperation,
    ) -> Result<(), PatchError> {
        if let PatchOperation::Copy(copy) = operation {
            self.copy(doc, copy.from.as_str())?;
        }
        self.place(doc, operation)?;
        self.shift(doc, operation)?;
        if let PatchOperation::Test(test) = operation
            && test.value.is_null()
            && doc.pointer(test.path.as_str()).is_none()
            && parent(doc, test.path.as_str()).is_some()
        {
            return Ok(());
        }
        if let PatchOperation::Replace(replace) = operation
            && let Some(missing) = missing_member(doc, replace.path.as_str())
        {
            // To upstream's library, replacing what a map does not have is setting it.
            let (map, name) = missing;
            map.insert(name, replace.value.clone());
            return Ok(());
        }
        match json_patch::patch_unsafe(doc, std::slice::from_ref(operation)) {
            Ok(()) => Ok(()),
            Err(_) => Err(PatchError::DoesNotApply(explain(doc, operation))),
        }
    }

    fn copy(&mut self, doc: &Value, from: &str) -> Result<(), PatchError> {
        let Some(source) = doc.pointer(from) else {
            return Ok(());
        };
        // Serialised size, as upstream counts.
        self.copied_bytes += source.to_string().len();
        if self.copied_bytes <= MAX_COPY_BYTES {
            return Ok(());
        }
        let copied_bytes = self.copied_bytes;
        Err(PatchError::TooLarge(format!(
            "Unable to complete the copy, the accumulated size increase of copy is {copied_bytes}, exceeding the limit {MAX_COPY_BYTES}"
        )))
    }

    /// An operation that puts a value below itself doubles the depth of the document. A parser's limit does not
    /// see it, and a tree that is too deep overflows the stack of whoever walks or drops it.
    fn place(&mut self, doc: &Value, operation: &PatchOperation) -> Result<(), PatchError> {
        let placed = match operation {
            PatchOperation::Add(add) => Some(&add.value),
            PatchOperation::Replace(replace) => Some(&replace.value),
            PatchOperation::Copy(copy) => doc.pointer(copy.from.as_str()),
            PatchOperation::Move(r#move) => doc.pointer(r#move.from.as_str()),
            PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
        };
        let Some(value) = placed else {
            return Ok(());
        };
        let level = operation.path().as_str().matches('/').count();
        let (depth, values) = extent(value);
        self.step(values)?;
        if level + depth <= tree::MAX_DEPTH {
            return Ok(());
        }
        let max = tree::MAX_DEPTH;
        Err(PatchError::TooLarge(format!(
            "the patched object would nest deeper than {max} levels"
        )))
    }

    /// What a list holds moves when a member comes or goes.
    fn shift(&mut self, doc: &Value, operation: &PatchOperation) -> Result<(), PatchError> {
        let from = match operation {
            PatchOperation::Move(r#move) => Some(r#move.from.as_str()),
            PatchOperation::Replace(_) | PatchOperation::Test(_) => return Ok(()),
            _ => None,
        };
        for path in from.into_iter().chain([operation.path().as_str()]) {
            let list = parent(doc, path).and_then(Value::as_array);
            self.step(list.map_or(0, Vec::len))?;
        }
        Ok(())
    }

    fn step(&mut self, count: usize) -> Result<(), PatchError> {
        self.steps = self.steps.saturating_add(count);
        if self.steps <= MAX_STEPS {
            return Ok(());
        }
        Err(PatchError::TooLarge(format!(
            "the operations of the patch move more than {MAX_STEPS} values"
        )))
    }
}

/// Levels of maps and lists in a value, as [`tree::depth`] counts them, and the number of values.
fn extent(value: &Value) -> (usize, usize) {
    let add = |(deepest, count): (usize, usize), below: &Value| {
        let (depth, values) = extent(below);
        (deepest.max(depth), count + values)
    };
    let (below, values) = match value {
        Value::Object(map) => map.values().fold((0, 1), add),
        Value::Array(list) => list.iter().fold((0, 1), add),
        _ => return (0, 1),
    };
    (below + 1, values)
}

/// The map that a path leads to, and the name in it, if it has no such member.
fn missing_member<'a>(
    doc: &'a mut Value,
    path: &str,
) -> Option<(&'a mut Map<String, Value>, String)> {
    let (parent, name) = path.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    let map = doc.pointer_mut(parent)?.as_object_mut()?;
    (!map.contains_key(&name)).then_some((map, name))
}

fn parent<'a>(doc: &'a Value, path: &str) -> Option<&'a Value> {
    let (parent, _) = path.rsplit_once('/')?;
    doc.pointer(parent)
}

fn explain(doc: &Value, operation: &PatchOperation) -> String {
    let path = operation.path().as_str();
    let has_parent = parent(doc, path).is_some_and(|p| p.is_object() || p.is_array());
    let key = path.rsplit_once('/').map_or("", |(_, key)| key);
    match (operation, has_parent) {
        (PatchOperation::Test(_), true) => format!("testing value {path} failed: test failed"),
        (PatchOperation::Test(_), false) => {
            format!("test operation does not apply: is missing path: {path}: missing value")
        }
        (PatchOperation::Remove(_), true) => {
            format!(
                "error in remove for path: '{path}': Unable to remove nonexistent key: {key}: missing value"
            )
        }
        (PatchOperation::Remove(_), false) => {
            format!(
                "remove operation does not apply: doc is missing path: \"{path}\": missing value"
            )
        }
        (PatchOperation::Replace(_), true) => {
            format!("replace operation does not apply: doc is missing key: {path}: missing value")
        }
        (PatchOperation::Replace(_), false) => {
            format!("replace operation does not apply: doc is missing path: {path}: missing value")
        }
        (PatchOperation::Add(_), true) => {
            format!(
                "error in add for path: '{path}': Unable to access invalid index: {key}: invalid index referenced"
            )
        }
        (PatchOperation::Add(_), false) => {
            format!("add operation does not apply: doc is missing path: \"{path}\": missing value")
        }
        (PatchOperation::Move(op), _) => from_or_destination("move", doc, op.from.as_str(), path),
        (PatchOperation::Copy(op), _) => from_or_destination("copy", doc, op.from.as_str(), path),
    }
}

fn from_or_destination(verb: &str, doc: &Value, from: &str, path: &str) -> String {
    if doc.pointer(from).is_none() {
        format!("{verb} operation does not apply: doc is missing from path: {from}: missing value")
    } else {
        format!(
            "{verb} operation does not apply: doc is missing destination path: {path}: missing value"
        )
    }
}
