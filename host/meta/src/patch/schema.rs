//! What a strategic merge patch needs to know about fields. The tables are the API crate's.

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
    /// What lies below.
    pub child: Child<'a>,
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
            child: Child::Object(self.0),
        })
    }
}

/// Strategy, merge key and what lies below of a field, whether known or not.
pub(super) fn look_up<'a>(schema: &'a dyn PatchSchema, name: &str) -> PatchField<'a> {
    schema.field(name).unwrap_or(PatchField {
        strategy: Strategy::default(),
        merge_key: None,
        child: Child::Opaque,
    })
}

impl PatchField<'_> {
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
