//! Why a body does not fit its kind's schema, in the words of upstream's decoder.

use super::scalar::json_kind;
use k3s_meta::Status;
use k3s_meta::quantity::QuantityError;
use k3s_meta::quote::quote;
use serde_json::Value;

/// A body that the schema cannot hold. The text is the whole message of upstream's answer, cause included.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} in version \"{version}\" cannot be handled as a {kind}: {cause}")]
pub struct DecodeError {
    pub(super) kind: String,
    pub(super) version: String,
    pub(super) cause: Misfit,
}

impl DecodeError {
    /// The answer of the API: 400.
    pub fn to_status(&self) -> Status {
        Status::bad_request(self.to_string())
    }
}

/// The first value of a body that does not fit. Worded as Go's `encoding/json` and `time`, and
/// upstream's decoders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    /// A value of the wrong JSON type, with its field. Go names the innermost struct
    /// and the fields that lead there, without indices and map keys.
    #[error("json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {wanted}")]
    Field {
        /// `string`, `number 1.5`.
        found: String,
        /// `DeploymentSpec`
        owner: &'static str,
        /// `spec.replicas`
        path: String,
        /// `int32`
        wanted: String,
    },
    /// A value of the wrong JSON type, where types have a decoder of their own, which does not know the
    /// field.
    #[error("json: cannot unmarshal {found} into Go value of type {wanted}")]
    Value {
        /// `bool`, `number 1.5`.
        found: String,
        /// `v1.Deployment`
        wanted: &'static str,
    },
    /// A quantity that cannot be read.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// A time that is not RFC 3339.
    #[error("parsing time {text} as {layout:?}: cannot parse {text} as \"2006\"", text = quote(.text))]
    Time {
        /// The text.
        text: String,
        /// Go's notation of the form that is wanted.
        layout: &'static str,
    },
    /// Bytes that are not padded standard base64.
    #[error("illegal base64 data at input byte {at}")]
    Base64 {
        /// Index of the first byte that does not fit; the length if padding is missing.
        at: usize,
    },
}

impl Misfit {
    /// A value of another JSON type than a decoder that does not know its field wants.
    pub(super) fn value(found: &Value, wanted: &'static str) -> Self {
        Self::Value {
            found: json_kind(found).to_owned(),
            wanted,
        }
    }
}
