//! `kubectl get certificatesigningrequests`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::AGE,
    Column::text(
        "SignerName",
        "signerName indicates the requested signer, and is a qualified name.",
    ),
    Column::text(
        "Requestor",
        "request contains an x509 certificate signing request encoded in a \"CERTIFICATE REQUEST\" PEM block. When serialized as JSON or YAML, the data is additionally base64-encoded.",
    ),
    Column::text(
        "RequestedDuration",
        "expirationSeconds is the requested duration of validity of the issued certificate. The certificate signer may issue a certificate with a different validity duration so a client must check the delta between the notBefore and and notAfter fields in the issued certificate to determine the actual duration.",
    ),
    Column::text(
        "Condition",
        "conditions applied to the request. Known conditions are \"Approved\", \"Denied\", and \"Failed\".",
    ),
];

pub(super) fn cells(request: &Value, now: Timestamp) -> Vec<Value> {
    let duration = tree::int(request, "spec.expirationSeconds")
        .map_or_else(|| print::NONE.to_owned(), print::human_duration);
    vec![
        print::name(request),
        print::age(request, now),
        print::or_none(tree::text(request, "spec.signerName")),
        tree::text(request, "spec.username").into(),
        duration.into(),
        condition(request).into(),
    ]
}

fn condition(request: &Value) -> String {
    let has = |kind: &str| {
        tree::list(request, "status.conditions")
            .iter()
            .any(|it| tree::text(it, "type") == kind)
    };
    let mut text = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        text.push_str(",Failed");
    }
    if tree::has(request, "status.certificate") {
        text.push_str(",Issued");
    }
    text
}
