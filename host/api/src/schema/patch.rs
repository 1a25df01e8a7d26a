//! Types as strategic merge patches see them.

use super::{Field, Shape, Type, ValueType};
use k3s_meta::patch::{Child, ListKey, MAX_LIST_KEYS, PatchField, PatchSchema};

fn child(value: ValueType) -> Child<'static> {
    let as_struct = |v: ValueType| v.named().filter(|t| t.shape == Shape::Struct);
    match value {
        ValueType::Named(_) => as_struct(value).map_or(Child::Opaque, |t| Child::Object(t)),
        ValueType::List(_) => value
            .element()
            .and_then(as_struct)
            .map_or(Child::Opaque, |t| Child::List(t)),
        ValueType::Map(_) => value
            .element()
            .and_then(as_struct)
            .map_or(Child::Opaque, |t| Child::Map(t)),
        _ => Child::Opaque,
    }
}

/// The keys of a list, and the one default among them that upstream's schemas have (`protocol` of ports).
fn list_keys(field: &Field) -> [Option<ListKey<'static>>; MAX_LIST_KEYS] {
    let mut keys = field.list_keys().map(|name| ListKey {
        name,
        default: (name == "protocol").then_some("TCP"),
    });
    std::array::from_fn(|_| keys.next())
}

impl PatchSchema for Type {
    fn field(&self, name: &str) -> Option<PatchField<'_>> {
        let field = Type::field(self, name)?;
        let child = child(field.value_type());
        Some(PatchField {
            strategy: field.strategy(),
            merge_key: field.merge_key(),
            list_keys: list_keys(field),
            child,
        })
    }
}
