//! Events.

pub(crate) mod columns;
mod defaults;
pub(crate) mod fields;
pub(crate) mod names;
pub(crate) mod validation;

use std::time::Duration;

use crate::delete::DeletePolicy;
use crate::object_meta::NameRule;
use crate::rules::Rules;

/// How long an event is kept after its last write: the default of `--event-ttl`.
pub(crate) const TTL: Duration = Duration::from_secs(3600);

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    // Clients of this version may name events as they like.
    name: NameRule::PathSegment,
    create_on_update: true,
    fields: fields::FIELDS,
    validate: validation::validate,
    ttl: Some(TTL),
    delete: DeletePolicy::NO_DEPENDENTS,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
