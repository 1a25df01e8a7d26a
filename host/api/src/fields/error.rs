//! Why a body does not fit its kind's schema, in the words of upstream's decoder.

use super::time::TimeError;
use k3s_meta::Status;
use k3s_meta::json_syntax::type_name;
use k3s_meta::quantity::QuantityError;
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
    /// Why, without the kind: what upstream says where the kind stands elsewhere.
    pub fn reason(&self) -> String {
        self.cause.to_string()
    }

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
    /// A value of the wrong JSON type, where no field is known.
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
    #[error(transparent)]
    Time(#[from] TimeError),
    /// A value that a patched tree cannot put into the Go type of its field. Worded as apimachinery's
    /// `runtime.FromUnstructured`, which knows no fields.
    #[error("{0}")]
    Unconverted(String),
    /// Bytes that are not padded standard base64.
    #[error("illegal base64 data at input byte {at}")]
    Base64 {
        /// Index of the first byte that does not fit.
        at: usize,
    },
}

impl Misfit {
    /// A value of another JSON type than a decoder that does not know its field wants.
    pub(super) fn value(found: &Value, wanted: &'static str) -> Self {
        Self::Value {
            found: type_name(found).to_owned(),
            wanted,
        }
    }
}
