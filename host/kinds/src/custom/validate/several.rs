//! `allOf`, `anyOf`, `oneOf` and `not`.
//!
//! Their own errors stand at no field, which upstream prints as `<nil>`.

use k3s_meta::field::{BadValue, ErrorList, ErrorType, FieldError, Path};
use serde_json::Value;

use super::Walk;
use crate::custom::schema::Schema;

impl Walk {
    pub(super) fn several(&mut self, schema: &Schema, value: &Value, old: Option<&Value>) {
        let checks = &schema.checks;
        if !checks.any_of.is_empty() {
            let tries = self.tries(&checks.any_of, value, old);
            if !tries.iter().any(ErrorList::is_empty) {
                self.composite("must validate at least one schema (anyOf)");
                self.closest(tries);
            }
        }
        if !checks.one_of.is_empty() {
            let tries = self.tries(&checks.one_of, value, old);
            match tries.iter().filter(|errors| errors.is_empty()).count() {
                1 => {}
                0 => {
                    self.composite("must validate one and only one schema (oneOf). Found none valid");
                    self.closest(tries);
                }
                count => self.composite(&format!(
                    "must validate one and only one schema (oneOf). Found {count} valid alternatives"
                )),
            }
        }
        if !checks.all_of.is_empty() {
            let tries = self.tries(&checks.all_of, value, old);
            let (bad, all) = (
                tries.iter().filter(|errors| !errors.is_empty()).count(),
                tries.len(),
            );
            if bad > 0 {
                let none = if bad == all { ". None validated" } else { "" };
                self.composite(&format!("must validate all the schemas (allOf){none}"));
            }
            tries
                .into_iter()
                .for_each(|errors| self.errors.append(errors));
        }
        if let Some(not) = &checks.not
            && self
                .tries(std::slice::from_ref(not), value, old)
                .iter()
                .all(ErrorList::is_empty)
        {
            self.composite("must not validate the schema (not)");
        }
    }

    /// The errors of each alternative.
    fn tries<S: std::borrow::Borrow<Schema>>(
        &self,
        schemas: &[S],
        value: &Value,
        old: Option<&Value>,
    ) -> Vec<ErrorList> {
        let one = |schema: &S| {
            let mut walk = Walk {
                path: self.path.clone(),
                errors: ErrorList::new(),
            };
            walk.node(schema.borrow(), value, old);
            walk.errors
        };
        schemas.iter().map(one).collect()
    }

    /// The alternative that came nearest says what it missed.
    fn closest(&mut self, tries: Vec<ErrorList>) {
        if let Some(errors) = tries.into_iter().min_by_key(ErrorList::len) {
            self.errors.append(errors);
        }
    }

    fn composite(&mut self, what: &str) {
        let message = format!("{} {what}", k3s_meta::quote::quote(&self.path));
        self.errors.push(FieldError::new(
            ErrorType::Invalid,
            &Path::root(),
            BadValue::Text(String::new()),
            message,
        ));
    }
}
