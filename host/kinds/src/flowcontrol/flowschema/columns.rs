//! `kubectl get flowschemas`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "PriorityLevel",
        "`name` is the name of the priority level configuration being referenced Required.",
    ),
    Column::text(
        "MatchingPrecedence",
        "`matchingPrecedence` is used to choose among the FlowSchemas that match a given request. The chosen FlowSchema is among those with the numerically lowest (which we take to be logically highest) MatchingPrecedence.  Each MatchingPrecedence value must be ranged in [1,10000]. Note that if the precedence is not specified, it will be set to 1000 as default.",
    ),
    Column::text(
        "DistinguisherMethod",
        "`distinguisherMethod` defines how to compute the flow distinguisher for requests that match this schema. `nil` specifies that the distinguisher is disabled and thus will always be the empty string.",
    ),
    Column::AGE,
    Column::text(
        "MissingPL",
        "references a broken or non-existent PriorityLevelConfiguration",
    ),
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let dangling = tree::list(object, "status.conditions")
        .iter()
        .find(|condition| tree::text(condition, "type") == "Dangling");
    let dangling = dangling.map_or("?", |condition| tree::text(condition, "status"));
    vec![
        print::name(object),
        tree::text(object, "spec.priorityLevelConfiguration.name").into(),
        print::integer(object, "spec.matchingPrecedence"),
        print::or_none(tree::text(object, "spec.distinguisherMethod.type")),
        print::age(object, now),
        dangling.into(),
    ]
}
