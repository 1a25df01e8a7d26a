//! Field numbers of `openapi.v3`.

use super::message::{Field, Kind, Message, encode as write};
use Kind::{Any, Anys, Bool, Double, Int, Many, Named, One, Text, Texts};
use serde_json::Value;

/// The document as an `openapi.v3.Document`.
pub(in crate::openapi) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&DOCUMENT, document, &mut out);
    out
}

static DOCUMENT: Message = Message::Fields(
    &[
        ("openapi", 1, Text),
        ("info", 2, One(&INFO)),
        ("paths", 4, One(&PATHS)),
        ("components", 5, One(&COMPONENTS)),
    ],
    9,
);
static INFO: Message = Message::Fields(
    &[
        ("title", 1, Text),
        ("description", 2, Text),
        ("version", 6, Text),
    ],
    7,
);
static COMPONENTS: Message = Message::Fields(&[("schemas", 1, One(&SCHEMAS))], 10);
static SCHEMAS: Message = Message::Fields(&[("*", 1, Named(&SCHEMA_OR_REFERENCE))], 0);
static REFERENCE: Message = Message::Fields(&[("$ref", 1, Text)], 0);
static SCHEMA_OR_REFERENCE: Message = Message::RefOr(&SCHEMA, &REFERENCE);
static ITEMS: Message = Message::Wrapped(&[1], &SCHEMA_OR_REFERENCE);
static ADDITIONAL_PROPERTIES: Message = Message::BoolOr(&SCHEMA_OR_REFERENCE);

static SCHEMA_FIELDS: [Field; 29] = [
    ("nullable", 1, Bool),
    ("readOnly", 3, Bool),
    ("example", 7, Any),
    ("title", 9, Text),
    ("multipleOf", 10, Double),
    ("maximum", 11, Double),
    ("exclusiveMaximum", 12, Bool),
    ("minimum", 13, Double),
    ("exclusiveMinimum", 14, Bool),
    ("maxLength", 15, Int),
    ("minLength", 16, Int),
    ("pattern", 17, Text),
    ("maxItems", 18, Int),
    ("minItems", 19, Int),
    ("uniqueItems", 20, Bool),
    ("maxProperties", 21, Int),
    ("minProperties", 22, Int),
    ("required", 23, Texts),
    ("enum", 24, Anys),
    ("type", 25, Text),
    ("allOf", 26, Many(&SCHEMA_OR_REFERENCE)),
    ("oneOf", 27, Many(&SCHEMA_OR_REFERENCE)),
    ("anyOf", 28, Many(&SCHEMA_OR_REFERENCE)),
    ("not", 29, One(&SCHEMA)),
    ("items", 30, One(&ITEMS)),
    ("properties", 31, One(&SCHEMAS)),
    ("additionalProperties", 32, One(&ADDITIONAL_PROPERTIES)),
    ("description", 34, Text),
    ("format", 35, Text),
];
static SCHEMA: Message = Message::Fields(&SCHEMA_FIELDS, 36);

static PATHS: Message = Message::Fields(&[("*", 1, Named(&PATH_ITEM))], 2);
static PATH_ITEM: Message = Message::Fields(
    &[
        ("get", 4, One(&OPERATION)),
        ("put", 5, One(&OPERATION)),
        ("post", 6, One(&OPERATION)),
        ("delete", 7, One(&OPERATION)),
        ("options", 8, One(&OPERATION)),
        ("head", 9, One(&OPERATION)),
        ("patch", 10, One(&OPERATION)),
        ("parameters", 13, Many(&PARAMETER_OR_REFERENCE)),
    ],
    14,
);
static OPERATION: Message = Message::Fields(
    &[
        ("tags", 1, Texts),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("parameters", 6, Many(&PARAMETER_OR_REFERENCE)),
        ("requestBody", 7, One(&BODY_OR_REFERENCE)),
        ("responses", 8, One(&RESPONSES)),
        ("deprecated", 10, Bool),
    ],
    13,
);
static PARAMETER_OR_REFERENCE: Message = Message::RefOr(&PARAMETER, &REFERENCE);
static PARAMETER: Message = Message::Fields(
    &[
        ("name", 1, Text),
        ("in", 2, Text),
        ("description", 3, Text),
        ("required", 4, Bool),
        ("schema", 10, One(&SCHEMA_OR_REFERENCE)),
    ],
    14,
);
static BODY_OR_REFERENCE: Message = Message::RefOr(&BODY, &REFERENCE);
static BODY: Message = Message::Fields(
    &[
        ("description", 1, Text),
        ("content", 2, One(&MEDIA_TYPES)),
        ("required", 3, Bool),
    ],
    4,
);
static MEDIA_TYPES: Message = Message::Fields(&[("*", 1, Named(&MEDIA_TYPE))], 0);
static MEDIA_TYPE: Message = Message::Fields(&[("schema", 1, One(&SCHEMA_OR_REFERENCE))], 5);
static RESPONSES: Message = Message::Fields(
    &[
        ("default", 1, One(&RESPONSE_OR_REFERENCE)),
        ("*", 2, Named(&RESPONSE_OR_REFERENCE)),
    ],
    3,
);
static RESPONSE_OR_REFERENCE: Message = Message::RefOr(&RESPONSE, &REFERENCE);
static RESPONSE: Message = Message::Fields(
    &[("description", 1, Text), ("content", 3, One(&MEDIA_TYPES))],
    5,
);
