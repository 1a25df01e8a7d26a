//! Field numbers of `openapi.v2`.

use super::message::{Field, Kind, Message, encode as write};
use Kind::{Any, Anys, Bool, Double, Int, Many, Named, One, Text, Texts};
use serde_json::Value;

/// The document as an `openapi.v2.Document`.
pub(in crate::openapi) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&DOCUMENT, document, &mut out);
    out
}

static DOCUMENT: Message = Message::Fields(
    &[
        ("swagger", 1, Text),
        ("info", 2, One(&INFO)),
        ("paths", 8, One(&PATHS)),
        ("definitions", 9, One(&DEFINITIONS)),
    ],
    16,
);
static INFO: Message = Message::Fields(
    &[
        ("title", 1, Text),
        ("version", 2, Text),
        ("description", 3, Text),
    ],
    7,
);
static DEFINITIONS: Message = Message::Fields(&[("*", 1, Named(&SCHEMA))], 0);
static ITEMS: Message = Message::Wrapped(&[1], &SCHEMA);
static ADDITIONAL_PROPERTIES: Message = Message::BoolOr(&SCHEMA);
static TYPE: Message = Message::OneText;

static SCHEMA_FIELDS: [Field; 25] = [
    ("$ref", 1, Text),
    ("format", 2, Text),
    ("title", 3, Text),
    ("description", 4, Text),
    ("default", 5, Any),
    ("multipleOf", 6, Double),
    ("maximum", 7, Double),
    ("exclusiveMaximum", 8, Bool),
    ("minimum", 9, Double),
    ("exclusiveMinimum", 10, Bool),
    ("maxLength", 11, Int),
    ("minLength", 12, Int),
    ("pattern", 13, Text),
    ("maxItems", 14, Int),
    ("minItems", 15, Int),
    ("uniqueItems", 16, Bool),
    ("maxProperties", 17, Int),
    ("minProperties", 18, Int),
    ("required", 19, Texts),
    ("enum", 20, Anys),
    ("additionalProperties", 21, One(&ADDITIONAL_PROPERTIES)),
    ("type", 22, One(&TYPE)),
    ("items", 23, One(&ITEMS)),
    ("allOf", 24, Many(&SCHEMA)),
    ("properties", 25, One(&DEFINITIONS)),
];
static SCHEMA: Message = Message::Fields(&SCHEMA_FIELDS, 31);

static PATHS: Message = Message::Fields(&[("*", 2, Named(&PATH_ITEM))], 1);
static PATH_ITEM: Message = Message::Fields(
    &[
        ("get", 2, One(&OPERATION)),
        ("put", 3, One(&OPERATION)),
        ("post", 4, One(&OPERATION)),
        ("delete", 5, One(&OPERATION)),
        ("options", 6, One(&OPERATION)),
        ("head", 7, One(&OPERATION)),
        ("patch", 8, One(&OPERATION)),
        ("parameters", 9, Many(&PARAMETERS_ITEM)),
    ],
    10,
);
static OPERATION: Message = Message::Fields(
    &[
        ("tags", 1, Texts),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Many(&PARAMETERS_ITEM)),
        ("responses", 9, One(&RESPONSES)),
        ("schemes", 10, Texts),
        ("deprecated", 11, Bool),
    ],
    13,
);

/// `ParametersItem { Parameter { BodyParameter | NonBodyParameter { Query.. | Path.. } } }`
static PARAMETERS_ITEM: Message =
    Message::Choice("in", &[("body", &BODY), ("query", &QUERY), ("path", &PATH)]);
static BODY: Message = Message::Wrapped(&[1, 1], &BODY_PARAMETER);
static QUERY: Message = Message::Wrapped(&[1, 2, 3], &QUERY_PARAMETER);
static PATH: Message = Message::Wrapped(&[1, 2, 4], &PATH_PARAMETER);
static BODY_PARAMETER: Message = Message::Fields(
    &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Bool),
        ("schema", 5, One(&SCHEMA)),
    ],
    6,
);
static QUERY_PARAMETER: Message = Message::Fields(
    &[
        ("required", 1, Bool),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 6, Text),
        ("format", 7, Text),
        ("uniqueItems", 20, Bool),
    ],
    23,
);
static PATH_PARAMETER: Message = Message::Fields(
    &[
        ("required", 1, Bool),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("format", 6, Text),
        ("uniqueItems", 19, Bool),
    ],
    22,
);
static RESPONSES: Message = Message::Fields(&[("*", 1, Named(&RESPONSE_VALUE))], 2);
static RESPONSE_VALUE: Message = Message::RefOr(&RESPONSE, &REFERENCE);
static REFERENCE: Message = Message::Fields(&[("$ref", 1, Text)], 0);
static RESPONSE: Message = Message::Fields(
    &[("description", 1, Text), ("schema", 2, One(&SCHEMA_ITEM))],
    5,
);
static SCHEMA_ITEM: Message = Message::Wrapped(&[1], &SCHEMA);
