//! Types and fields of built-in kinds, read from the generated tables.

mod field;
mod go;
mod patch;
mod value;

pub(crate) use field::field;
pub use field::{Field, ListType, MapType};
pub use value::ValueType;

use crate::generated::{fields, names, types};

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

/// A discriminated union: type, discriminator field, members with their discriminator values.
pub(crate) type UnionRow = (u16, &'static str, &'static [(&'static str, &'static str)]);

pub(crate) const fn type_row(
    name: u16,
    first_field: u16,
    field_count: u16,
    shape: Shape,
    atomic: bool,
) -> Type {
    Type {
        name,
        first_field,
        field_count,
        shape,
        atomic,
    }
}

fn name(id: u16) -> &'static str {
    let at = usize::from(id);
    let range = names::AT.get(at).zip(names::AT.get(at + 1));
    range
        .and_then(|(from, to)| names::TEXT.get(*from as usize..*to as usize))
        .unwrap_or("")
}

/// The type at an index of the tables. Indices come from the tables only, so there always is one.
fn type_at(id: u16) -> &'static Type {
    types::TYPES.get(usize::from(id)).unwrap_or(&UNKNOWN)
}

static UNKNOWN: Type = type_row(0, 0, 0, Shape::Any, false);

/// All types with their ids, sorted by name.
pub fn types() -> impl Iterator<Item = (TypeId, &'static Type)> {
    (0_u16..).map(TypeId).zip(types::TYPES.iter())
}

/// The type of a definition name.
pub fn by_name(definition: &str) -> Option<TypeId> {
    let at = types::TYPES
        .binary_search_by(|t| t.name().cmp(definition))
        .ok()?;
    u16::try_from(at).ok().map(TypeId)
}

/// The type of a kind, also of lists and of the bodies of subresources.
pub fn by_gvk(group: &str, version: &str, kind: &str) -> Option<TypeId> {
    let found = types::GVKS
        .iter()
        .find(|(_, g, v, k)| name(*k) == kind && name(*v) == version && name(*g) == group);
    found.map(|(id, ..)| TypeId(*id))
}

/// The discriminated unions of a type: discriminator, and members with their discriminator values.
pub fn unions(
    id: TypeId,
) -> impl Iterator<Item = (&'static str, &'static [(&'static str, &'static str)])> {
    types::UNIONS
        .iter()
        .filter(move |(t, ..)| *t == id.0)
        .map(|(_, discriminator, members)| (*discriminator, *members))
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
        types::GVKS
            .iter()
            .filter(move |(id, ..)| *id == self.0)
            .map(|(_, g, v, k)| (name(*g), name(*v), name(*k)))
    }
}

impl Type {
    /// The OpenAPI definition name.
    pub fn name(&self) -> &'static str {
        name(self.name)
    }

    /// The Go name: `DeploymentSpec`.
    pub fn go_name(&self) -> &'static str {
        self.name()
            .rsplit_once('.')
            .map_or(self.name(), |(_, last)| last)
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
        fields::FIELDS
            .get(from..from + usize::from(self.field_count))
            .unwrap_or_default()
    }

    /// The field of a JSON name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        let all = self.fields();
        all.get(all.binary_search_by(|f| f.name().cmp(name)).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k3s_meta::patch::{Child, PatchSchema};

    fn of(kind: (&str, &str, &str)) -> &'static Type {
        by_gvk(kind.0, kind.1, kind.2).unwrap().get()
    }

    #[test]
    fn tables_are_sorted_and_complete() {
        assert!(types().map(|(_, t)| t.name()).is_sorted());
        for (id, t) in types() {
            assert_eq!(by_name(t.name()), Some(id));
            assert!(
                t.fields().iter().map(Field::name).is_sorted(),
                "{}",
                t.name()
            );
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
        let spec = deployment
            .field("spec")
            .unwrap()
            .value_type()
            .named()
            .unwrap();
        assert_eq!(spec.go_qualified(), "v1.DeploymentSpec");
        assert!(spec.field("strategy").unwrap().strategy().retain_keys);
        assert!(spec.field("template").unwrap().required());
        let container = by_name("io.k8s.api.core.v1.Container").unwrap().get();
        let ports = container.field("ports").unwrap();
        assert_eq!(ports.merge_key(), Some("containerPort"));
        assert_eq!(
            ports.list_keys().collect::<Vec<_>>(),
            ["containerPort", "protocol"]
        );
        assert_eq!(ports.value_type().go_text(), "[]v1.ContainerPort");
        assert_eq!((ports.tag(), ports.embedded_in()), (6, 0));
        let volume = by_name("io.k8s.api.core.v1.Volume").unwrap().get();
        let empty_dir = volume.field("emptyDir").unwrap();
        assert_eq!((empty_dir.embedded_in(), empty_dir.tag()), (2, 2));
        assert!(volume.field("nothing").is_none());
        let rule = "io.k8s.api.admissionregistration.v1.NamedRuleWithOperations";
        let scope = by_name(rule).unwrap().get().field("scope").unwrap();
        assert_eq!((scope.embedded_in(), scope.tag()), (0x22, 4));
        assert!(scope.is_embedded_in(0x22) && scope.is_embedded_in(2));
    }

    #[test]
    fn patch_schema_leads_down() {
        let pod: &dyn PatchSchema = of(("", "v1", "Pod"));
        let Child::Object(spec) = pod.field("spec").unwrap().child else {
            panic!("spec is an object")
        };
        let containers = spec.field("containers").unwrap();
        assert_eq!(containers.merge_key, Some("name"));
        let Child::List(container) = containers.child else {
            panic!("containers are a list")
        };
        assert!(container.field("env").unwrap().strategy.merge);
        assert!(!container.field("args").unwrap().strategy.merge);
    }
}
