//! Persistent volume claims.

mod columns;
pub(crate) mod defaults;
pub(crate) mod validation;

use k3s_meta::tree;
use serde_json::json;

use crate::delete::DeletePolicy;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    prepare_create: |object, _| tree::set(object, "status", json!({"phase": "Pending"})),
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    delete: DeletePolicy::RETURNS_OBJECT,
    warnings: validation::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
