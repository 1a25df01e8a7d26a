//! How Go names what the schema does not: named types of plain values, lists and maps, and structs that are embedded.
//! Only messages need it, so that it is looked up in text.

use super::{Field, Type, ValueType};

static GO: &str = include_str!("../../gen-source/go.txt");

/// What `gen-source/go.txt` says of a field: its Go types from the outermost inwards, and the embedded structs.
fn row(owner: &Type, field: &str) -> Option<(&'static str, &'static str)> {
    let of_owner = GO.lines().skip_while(|line| *line != owner.name()).skip(1);
    let mut rows = of_owner.take_while(|line| line.starts_with(' '));
    rows.find_map(|row| {
        let mut words = row.split_whitespace();
        let is_field = words.next() == Some(field);
        is_field.then(|| words.next().zip(words.next())).flatten()
    })
}

impl Type {
    /// A type of the field or, for a list or map, of what it holds, as Go prints it: `v1.RestartPolicy`.
    pub(crate) fn go_text_in(&self, field: &Field, wanted: ValueType) -> String {
        let mut levels = std::iter::successors(Some(field.value_type()), |level| level.element());
        let named = levels.position(|level| level == wanted).and_then(|level| {
            let (types, _) = row(self, field.name())?;
            types.split('|').nth(level).filter(|text| *text != "-")
        });
        named.map_or_else(|| wanted.go_text(), str::to_owned)
    }

    /// The embedded structs through which Go reaches the field: `RuleWithOperations.Rule`.
    pub(crate) fn go_embedded(&self, field: &Field) -> Option<&'static str> {
        let (_, embedded) = row(self, field.name())?;
        Some(embedded).filter(|embedded| *embedded != "-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::by_name;

    #[test]
    fn every_row_is_of_a_field() {
        let mut owner = None;
        let mut rows = 0;
        for line in GO.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with(' ') {
                let words: Vec<&str> = line.split_whitespace().collect();
                let [field, types, embedded] = words.as_slice() else {
                    panic!("{line}")
                };
                let owner: &Type = owner.unwrap();
                let field = owner
                    .field(field)
                    .unwrap_or_else(|| panic!("no field {}.{field}", owner.name()));
                assert_eq!(*embedded != "-", field.embedded_in() != 0, "{line}");
                assert!(*types != "-" || *embedded != "-", "{line}");
                rows += 1;
            } else {
                owner = by_name(line).map(|id| id.get());
                assert!(owner.is_some(), "no type {line}");
            }
        }
        assert!(rows > 300, "{rows}");
    }

    #[test]
    fn types_and_embedded_structs_are_named_as_in_go() {
        let of = |definition: &str| by_name(definition).unwrap().get();
        let rule = of("io.k8s.api.admissionregistration.v1.NamedRuleWithOperations");
        let operations = rule.field("operations").unwrap();
        let list = operations.value_type();
        assert_eq!(rule.go_text_in(operations, list), "[]v1.OperationType");
        let item = list.element().unwrap();
        assert_eq!(rule.go_text_in(operations, item), "v1.OperationType");
        assert_eq!(rule.go_embedded(operations), Some("RuleWithOperations"));
        let groups = rule.field("apiGroups").unwrap();
        assert_eq!(rule.go_text_in(groups, groups.value_type()), "[]string");
        let embedded = rule.go_embedded(groups);
        assert_eq!(embedded, Some("RuleWithOperations.Rule"));
        let pod = of("io.k8s.api.core.v1.PodSpec");
        let overhead = pod.field("overhead").unwrap();
        let text = pod.go_text_in(overhead, overhead.value_type());
        assert_eq!(
            (text.as_str(), pod.go_embedded(overhead)),
            ("v1.ResourceList", None)
        );
    }
}
