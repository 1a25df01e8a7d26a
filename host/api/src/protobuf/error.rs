//! Why a protobuf body is refused. The texts go to the client and begin as those of Go's library.

use k3s_base::error::Sentence;

/// A body that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProtobufError {
    /// The body does not start with [`super::MAGIC`].
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    Prefix,
    /// A compressed or otherwise encoded envelope.
    #[error("encoded protobuf bodies are not supported")]
    Encoded,
    /// `apiVersion` is malformed.
    #[error(transparent)]
    ApiVersion(#[from] Sentence),
    /// The envelope names a type that has no schema here.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind { kind: String, api_version: String },
    #[error("proto: unexpected EOF or malformed field")]
    Malformed,
    #[error("proto: illegal wireType {0}")]
    IllegalWireType(u64),
    /// The field's number and the schema disagree about its form.
    #[error("proto: wrong wireType for {0}")]
    WrongWireType(&'static str),
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: invalid UTF-8 in a string")]
    NotUtf8,
    #[error("proto: message nests too deep")]
    TooDeep,
    #[error("proto: a map inside a list or map is not supported")]
    NestedMap,
    /// The generated schema lacks a type that it names.
    #[error("proto: type without definition")]
    NoDefinition,
    #[error("proto: time out of range")]
    TimeOutOfRange,
    /// A type whose protobuf form is not known here.
    #[error("proto: fields of type {0} are not supported; send JSON")]
    UnsupportedType(String),
    /// A tree that travels as JSON inside protobuf.
    #[error("proto: embedded JSON")]
    EmbeddedJson(#[source] serde_json::Error),
}

/// The result of reading a part of a body.
pub(super) type Result<T> = std::result::Result<T, ProtobufError>;
