//! Documents as protobuf messages of gnostic (`OpenAPIv2.proto`, `OpenAPIv3.proto`), written from the
//! JSON tree by tables of field numbers.

mod message;
mod v2;
mod v3;

pub(super) use v2::encode as v2;
pub(super) use v3::encode as v3;
