//! What a strategic merge patch needs to know about fields. The tables are the API crate's.

use serde_json::Value;

/// How a list or map is patched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strategy {
    /// Lists merge by key (or as sets, for scalars) instead of being replaced.
    pub merge: bool,
    /// The map is replaced instead of merged.
    pub replace: bool,
    /// A patch names the keys that stay.
    pub retain_keys: bool,
}

/// What lies below a field.
#[derive(Clone, Copy)]
pub enum Child<'a> {
    /// A scalar, or a tree without known fields.
    Opaque,
    /// One object.
    Object(&'a dyn PatchSchema),
    /// A list of objects.
    List(&'a dyn PatchSchema),
    /// A map from names to objects.
    Map(&'a dyn PatchSchema),
}

/// One field.
#[derive(Clone, Copy)]
pub struct PatchField<'a> {
    /// How it is patched.
    pub strategy: Strategy,
    /// The key by which list items are matched.
    pub merge_key: Option<&'a str>,
    /// All keys that tell the items of a list apart, as server-side apply sees it; unused places are none.
    pub list_keys: [Option<ListKey<'a>>; MAX_LIST_KEYS],
    /// What lies below.
    pub child: Child<'a>,
}

/// Most keys of one list.
pub const MAX_LIST_KEYS: usize = 4;

/// One of the keys that tell the items of a list apart.
#[derive(Clone, Copy, Debug)]
pub struct ListKey<'a> {
    /// The JSON name of the field.
    pub name: &'a str,
    /// The value of items without the field.
    pub default: Option<&'a str>,
}

/// A type's fields.
pub trait PatchSchema {
    /// The field of this JSON name; None when the type has no such field.
    fn field(&self, name: &str) -> Option<PatchField<'_>>;
}

/// A type without known fields: maps merge, lists are replaced.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NoSchema;

impl PatchSchema for NoSchema {
    fn field(&self, _: &str) -> Option<PatchField<'_>> {
        None
    }
}

/// A map from names to objects, seen as a type all of whose fields have the same type.
pub(super) struct MapOf<'a>(pub(super) &'a dyn PatchSchema);

impl PatchSchema for MapOf<'_> {
    fn field(&self, _: &str) -> Option<PatchField<'_>> {
        Some(PatchField {
            strategy: Strategy::default(),
            merge_key: None,
            list_keys: [None; MAX_LIST_KEYS],
            child: Child::Object(self.0),
        })
    }
}

/// Strategy, merge key and what lies below of a field, whether known or not.
pub(super) fn look_up<'a>(schema: &'a dyn PatchSchema, name: &str) -> PatchField<'a> {
    schema.field(name).unwrap_or(PatchField {
        strategy: Strategy::default(),
        merge_key: None,
        list_keys: [None; MAX_LIST_KEYS],
        child: Child::Opaque,
    })
}

impl PatchField<'_> {
    /// Whether items of the list are told apart by more than the merge key.
    pub(super) fn is_keyed(&self) -> bool {
        self.strategy.merge && self.list_keys.iter().flatten().count() > 1
    }

    /// The identity of an item of a keyed list.
    pub(super) fn key_of(&self, item: &Value) -> String {
        let keys = self.list_keys.iter().flatten().map(|key| {
            let default = || key.default.map_or(Value::Null, Value::from);
            item.get(key.name).cloned().unwrap_or_else(default)
        });
        Value::Array(keys.collect()).to_string()
    }

    /// Runs `f` with the schema of the map that is this field's value.
    pub(super) fn with_map<R>(&self, f: impl FnOnce(&dyn PatchSchema) -> R) -> R {
        match self.child {
            Child::Object(schema) => f(schema),
            Child::Map(values) => f(&MapOf(values)),
            Child::List(_) | Child::Opaque => f(&NoSchema),
        }
    }

    /// The schema of the items of the list that is this field's value.
    pub(super) fn items(&self) -> &dyn PatchSchema {
        match self.child {
            Child::List(schema) => schema,
            _ => &NoSchema,
        }
    }
}
