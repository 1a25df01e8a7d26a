//! Types and fields of built-in kinds, read from the generated tables.

use crate::generated::{fields, names, types};
use k3s_meta::patch::{Child, PatchField, PatchSchema, Strategy};

/// Index of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(crate) u16);

/// How values of a type are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A map of the type's fields.
    Struct,
    /// A string or number.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// RFC 3339 with whole seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// Any tree.
    Any,
}

/// A named type: `io.k8s.api.apps.v1.Deployment`.
#[derive(Debug)]
pub struct Type {
    name: u16,
    first_field: u16,
    field_count: u16,
    /// How values are written.
    pub shape: Shape,
    /// Server-side apply treats values as one.
    pub atomic: bool,
}

/// A field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// Text.
    String,
    /// Base64 in JSON.
    Bytes,
    /// True or false.
    Bool,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Floating point.
    Double,
    /// A named type.
    Named(u16),
    /// A list; the index leads to the item's type.
    List(u16),
    /// A map from strings; the index leads to the value's type.
    Map(u16),
}

/// What a list is to server-side apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// Not said: atomic.
    Unset,
    /// One value.
    Atomic,
    /// A set of scalars.
    Set,
    /// Items identified by [`Field::list_keys`].
    Map,
}

/// What a map is to server-side apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapType {
    /// Not said: granular.
    Unset,
    /// One value.
    Atomic,
    /// Entries have owners of their own.
    Granular,
}

/// A field of a struct type.
#[derive(Debug)]
pub struct Field {
    name: u16,
    value_type: u16,
    flags: u16,
    keys: u16,
    merge_key: u16,
    embedded_tag: u8,
    tag: u16,
}

/// A discriminated union: type, discriminator field, members with their discriminator values.
pub(crate) type UnionRow = (u16, &'static str, &'static [(&'static str, &'static str)]);

pub(crate) const fn type_row(name: u16, first_field: u16, field_count: u16, shape: Shape, atomic: bool) -> Type {
    Type { name, first_field, field_count, shape, atomic }
}

pub(crate) const fn field(
    name: u16,
    value_type: u16,
    flags: u16,
    keys: u16,
    merge_key: u16,
    embedded_tag: u8,
    tag: u16,
) -> Field {
    Field { name, value_type, flags, keys, merge_key, embedded_tag, tag }
}

fn name(id: u16) -> &'static str {
    let at = usize::from(id);
    let range = names::AT.get(at).zip(names::AT.get(at + 1));
    range.and_then(|(from, to)| names::TEXT.get(*from as usize..*to as usize)).unwrap_or("")
}

/// The type at an index of the tables. Indices come from the tables only, so there always is one.
fn type_at(id: u16) -> &'static Type {
    types::TYPES.get(usize::from(id)).unwrap_or(&UNKNOWN)
}

static UNKNOWN: Type = type_row(0, 0, 0, Shape::Any, false);

fn value_type(id: u16) -> ValueType {
    fields::VALUE_TYPES.get(usize::from(id)).copied().unwrap_or(ValueType::String)
}

/// All types with their ids, sorted by name.
pub fn types() -> impl Iterator<Item = (TypeId, &'static Type)> {
    (0_u16..).map(TypeId).zip(types::TYPES.iter())
}

/// The type of a definition name.
pub fn by_name(definition: &str) -> Option<TypeId> {
    let at = types::TYPES.binary_search_by(|t| t.name().cmp(definition)).ok()?;
    u16::try_from(at).ok().map(TypeId)
}

/// The type of a kind, also of lists and of the bodies of subresources.
pub fn by_gvk(group: &str, version: &str, kind: &str) -> Option<TypeId> {
    let found = types::GVKS.iter().find(|(_, g, v, k)| name(*k) == kind && name(*v) == version && name(*g) == group);
    found.map(|(id, ..)| TypeId(*id))
}

/// The discriminated unions of a type: discriminator, and members with their discriminator values.
pub fn unions(id: TypeId) -> impl Iterator<Item = (&'static str, &'static [(&'static str, &'static str)])> {
    types::UNIONS.iter().filter(move |(t, ..)| *t == id.0).map(|(_, discriminator, members)| (*discriminator, *members))
}

impl TypeId {
    /// The type.
    pub fn get(self) -> &'static Type {
        type_at(self.0)
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Group, version and kind of the objects of this type, when it is a kind of its own.
    pub fn gvks(self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        types::GVKS.iter().filter(move |(id, ..)| *id == self.0).map(|(_, g, v, k)| (name(*g), name(*v), name(*k)))
    }
}

impl Type {
    /// The OpenAPI definition name.
    pub fn name(&self) -> &'static str {
        name(self.name)
    }

    /// The Go name: `DeploymentSpec`.
    pub fn go_name(&self) -> &'static str {
        self.name().rsplit_once('.').map_or(self.name(), |(_, last)| last)
    }

    /// The Go name with its package: `v1.DeploymentSpec`.
    pub fn go_qualified(&self) -> &'static str {
        let full = self.name();
        let mut dots = full.rmatch_indices('.').skip(1).map(|(i, _)| i + 1);
        dots.next().and_then(|i| full.get(i..)).unwrap_or(full)
    }

    pub(crate) fn first_field(&self) -> usize {
        usize::from(self.first_field)
    }

    /// Fields sorted by name.
    pub fn fields(&self) -> &'static [Field] {
        let from = usize::from(self.first_field);
        fields::FIELDS.get(from..from + usize::from(self.field_count)).unwrap_or_default()
    }

    /// The field of a JSON name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        let all = self.fields();
        all.get(all.binary_search_by(|f| f.name().cmp(name)).ok()?)
    }
}

impl Field {
    /// The JSON name.
    pub fn name(&self) -> &'static str {
        name(self.name)
    }

    /// The type of the value.
    pub fn value_type(&self) -> ValueType {
        value_type(self.value_type)
    }

    /// Whether the schema demands the field.
    pub fn required(&self) -> bool {
        self.flags & 1 != 0
    }

    /// What a list is to server-side apply.
    pub fn list_type(&self) -> ListType {
        match self.flags >> 1 & 3 {
            0 => ListType::Unset,
            1 => ListType::Atomic,
            2 => ListType::Set,
            _ => ListType::Map,
        }
    }

    /// What a map is to server-side apply.
    pub fn map_type(&self) -> MapType {
        match self.flags >> 3 & 3 {
            0 => MapType::Unset,
            1 => MapType::Atomic,
            _ => MapType::Granular,
        }
    }

    /// Keys that identify items of a [`ListType::Map`].
    pub fn list_keys(&self) -> impl Iterator<Item = &'static str> {
        fields::KEY_SETS.get(usize::from(self.keys)).copied().unwrap_or_default().iter().map(|id| name(*id))
    }

    /// How a strategic merge patch treats the field.
    pub fn strategy(&self) -> Strategy {
        let bit = |at: u16| self.flags >> at & 1 != 0;
        Strategy { merge: bit(5), replace: bit(6), retain_keys: bit(7) }
    }

    /// Whether Go's encoder leaves the field out when it is zero, empty or false. Known for the fields
    /// where it shows; others keep their zero, which is harmless.
    pub fn omits_zero(&self) -> bool {
        self.flags >> 8 & 1 != 0
    }

    /// Whether Go's encoder writes the field even when it is zero.
    pub fn always_written(&self) -> bool {
        self.flags >> 9 & 1 != 0
    }

    /// The key by which a strategic merge patch matches items.
    pub fn merge_key(&self) -> Option<&'static str> {
        Some(name(self.merge_key)).filter(|key| !key.is_empty())
    }

    /// The protobuf field number; 0 for what protobuf does not carry (`kind`, `apiVersion`).
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// The number of the message that embeds the field in protobuf; 0 when it is not embedded.
    pub fn embedded_tag(&self) -> u8 {
        self.embedded_tag
    }
}

impl ValueType {
    /// The type of a list's items or a map's values.
    pub fn element(self) -> Option<ValueType> {
        match self {
            Self::List(id) | Self::Map(id) => Some(value_type(id)),
            _ => None,
        }
    }

    /// The named type, if it is one.
    pub fn named(self) -> Option<&'static Type> {
        match self {
            Self::Named(id) => Some(type_at(id)),
            _ => None,
        }
    }

    /// The id of the named type, if it is one.
    pub fn type_id(self) -> Option<TypeId> {
        match self {
            Self::Named(id) => Some(TypeId(id)),
            _ => None,
        }
    }

    /// The type as Go prints it: `int32`, `[]v1.Container`, `map[string]string`.
    pub fn go_text(self) -> String {
        match self {
            Self::String => "string".to_owned(),
            Self::Bytes => "[]uint8".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int32 => "int32".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Double => "float64".to_owned(),
            Self::Named(id) => type_at(id).go_qualified().to_owned(),
            Self::List(id) => format!("[]{}", value_type(id).go_text()),
            Self::Map(id) => format!("map[string]{}", value_type(id).go_text()),
        }
    }
}

fn child(value: ValueType) -> Child<'static> {
    let as_struct = |v: ValueType| v.named().filter(|t| t.shape == Shape::Struct);
    match value {
        ValueType::Named(_) => as_struct(value).map_or(Child::Opaque, |t| Child::Object(t)),
        ValueType::List(_) => value.element().and_then(as_struct).map_or(Child::Opaque, |t| Child::List(t)),
        ValueType::Map(_) => value.element().and_then(as_struct).map_or(Child::Opaque, |t| Child::Map(t)),
        _ => Child::Opaque,
    }
}

impl PatchSchema for Type {
    fn field(&self, name: &str) -> Option<PatchField<'_>> {
        let field = Type::field(self, name)?;
        let child = child(field.value_type());
        Some(PatchField { strategy: field.strategy(), merge_key: field.merge_key(), child })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: (&str, &str, &str)) -> &'static Type {
        by_gvk(kind.0, kind.1, kind.2).unwrap().get()
    }

    #[test]
    fn tables_are_sorted_and_complete() {
        assert!(types().map(|(_, t)| t.name()).is_sorted());
        for (id, t) in types() {
            assert_eq!(by_name(t.name()), Some(id));
            assert!(t.fields().iter().map(Field::name).is_sorted(), "{}", t.name());
            for field in t.fields() {
                assert!(!field.name().is_empty());
                assert_eq!(
                    field.list_type() == ListType::Map,
                    field.list_keys().count() > 0,
                    "{}.{}",
                    t.name(),
                    field.name()
                );
                if field.merge_key().is_some() {
                    assert!(field.strategy().merge, "{}.{}", t.name(), field.name());
                }
            }
        }
    }

    #[test]
    fn known_fields() {
        let deployment = of(("apps", "v1", "Deployment"));
        let spec = deployment.field("spec").unwrap().value_type().named().unwrap();
        assert_eq!(spec.go_qualified(), "v1.DeploymentSpec");
        assert!(spec.field("strategy").unwrap().strategy().retain_keys);
        assert!(spec.field("template").unwrap().required());
        let container = by_name("io.k8s.api.core.v1.Container").unwrap().get();
        let ports = container.field("ports").unwrap();
        assert_eq!(ports.merge_key(), Some("containerPort"));
        assert_eq!(ports.list_keys().collect::<Vec<_>>(), ["containerPort", "protocol"]);
        assert_eq!(ports.value_type().go_text(), "[]v1.ContainerPort");
        assert_eq!((ports.tag(), ports.embedded_tag()), (6, 0));
        let volume = by_name("io.k8s.api.core.v1.Volume").unwrap().get();
        let empty_dir = volume.field("emptyDir").unwrap();
        assert_eq!((empty_dir.embedded_tag(), empty_dir.tag()), (2, 2));
        assert!(volume.field("nothing").is_none());
    }

    #[test]
    fn patch_schema_leads_down() {
        let pod: &dyn PatchSchema = of(("", "v1", "Pod"));
        let Child::Object(spec) = pod.field("spec").unwrap().child else { panic!("spec is an object") };
        let containers = spec.field("containers").unwrap();
        assert_eq!(containers.merge_key, Some("name"));
        let Child::List(container) = containers.child else { panic!("containers are a list") };
        assert!(container.field("env").unwrap().strategy.merge);
        assert!(!container.field("args").unwrap().strategy.merge);
    }
}
