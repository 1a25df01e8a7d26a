//! Persistent volume claims.

mod columns;
mod data_source;
pub(crate) mod defaults;
mod status_validation;
pub(crate) mod validation;

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::delete::DeletePolicy;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    prepare_create: |object, _| {
        tree::set(object, "status", json!({"phase": "Pending"}));
        data_source::prepare(object, &Value::Null);
    },
    prepare_update: |new, old, _| data_source::prepare(new, old),
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: status_validation::validate_status_update,
    delete: DeletePolicy::RETURNS_OBJECT,
    warnings: validation::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
