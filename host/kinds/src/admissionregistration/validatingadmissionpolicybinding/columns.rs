//! `kubectl get validatingadmissionpolicybindings`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::admissionregistration::shared;
use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "PolicyName",
        "PolicyName indicates the policy definition which the policy binding binded to",
    ),
    Column::text(
        "ParamRef",
        "ParamRef indicates the param resource which sets the configration param",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        tree::text(object, "spec.policyName").into(),
        shared::parameters(object).into(),
        print::age(object, now),
    ]
}
