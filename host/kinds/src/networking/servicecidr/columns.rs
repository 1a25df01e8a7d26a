//! `kubectl get servicecidrs`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "CIDRs",
        "CIDRs defines the IP blocks in CIDR notation (e.g. '192.168.0.0/24' or '2001:db8::/64') from which to assign service cluster IPs. Max of two CIDRs is allowed, one of each IP family. This field is immutable.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        tree::texts(object, "spec.cidrs").join(",").into(),
        print::age(object, now),
    ]
}
