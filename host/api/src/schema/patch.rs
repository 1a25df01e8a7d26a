//! Types as strategic merge patches see them.

use super::{Shape, Type, ValueType};
use k3s_meta::patch::{Child, PatchField, PatchSchema};

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

impl PatchSchema for Type {
    fn field(&self, name: &str) -> Option<PatchField<'_>> {
        let field = Type::field(self, name)?;
        let child = child(field.value_type());
        Some(PatchField {
            strategy: field.strategy(),
            merge_key: field.merge_key(),
            child,
        })
    }
}
