//! Persistent volumes.

mod columns;
pub(crate) mod defaults;
pub(crate) mod validation;

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::context::Context;
use crate::delete::DeletePolicy;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    prepare_create: |object, context| {
        let status = json!({"phase": "Pending", "lastPhaseTransitionTime": context.time_stamp()});
        tree::set(object, "status", status);
    },
    prepare_status_update: phase_time,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    delete: DeletePolicy::RETURNS_OBJECT,
    warnings: validation::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};

/// Notes when the phase changed, unless the client says so itself.
fn phase_time(new: &mut Value, old: &Value, context: &Context<'_>) {
    let [phase, time] = ["status.phase", "status.lastPhaseTransitionTime"];
    let same_phase = tree::text(new, phase) == tree::text(old, phase);
    let own = tree::get(new, time).filter(|own| Some(*own) != tree::get(old, time));
    if own.is_some() {
        return;
    }
    if same_phase {
        tree::copy(new, old, time);
    } else {
        tree::set(new, time, context.time_stamp());
    }
}

#[cfg(test)]
mod tests {
    use k3s_meta::UserInfo;

    use super::*;

    #[test]
    fn the_time_of_the_last_phase_is_noted() {
        let user = UserInfo::default();
        let context = Context::at_epoch(&user);
        let time = |value: &Value| tree::text(value, "status.lastPhaseTransitionTime").to_owned();
        let mut made = json!({});
        (RULES.prepare_create)(&mut made, &context);
        assert_eq!(time(&made), "1970-01-01T00:00:00Z");
        let old = json!({"status": {"phase": "Pending", "lastPhaseTransitionTime": "2020-01-01T00:00:00Z"}});
        for (status, noted) in [
            (json!({"phase": "Pending"}), "2020-01-01T00:00:00Z"),
            (json!({"phase": "Bound"}), "1970-01-01T00:00:00Z"),
            (
                json!({"phase": "Bound", "lastPhaseTransitionTime": "2021-01-01T00:00:00Z"}),
                "2021-01-01T00:00:00Z",
            ),
        ] {
            let mut new = json!({"status": status});
            phase_time(&mut new, &old, &context);
            assert_eq!(time(&new), noted);
        }
    }
}
