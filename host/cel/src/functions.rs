//! The functions and macros that a server declares (`apiserver/pkg/cel/environment/base.go`).

use crate::types::Type;

/// Functions and methods by their names.
const KNOWN: &[&str] = &[
    // The language.
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
    // Optional values.
    "first",
    "hasValue",
    "last",
    "optional.none",
    "optional.of",
    "optional.ofNonZeroValue",
    "optional.unwrap",
    "or",
    "orValue",
    "unwrapOpt",
    "value",
    // Texts.
    "charAt",
    "format",
    "indexOf",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "replace",
    "reverse",
    "split",
    "strings.quote",
    "substring",
    "trim",
    "upperAscii",
    // Sets and lists.
    "distinct",
    "flatten",
    "includes",
    "isSorted",
    "lists.range",
    "max",
    "min",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "slice",
    "sort",
    "sum",
    // Regular expressions and URLs.
    "find",
    "findAll",
    "getEscapedPath",
    "getHost",
    "getHostname",
    "getPort",
    "getQuery",
    "getScheme",
    "isURL",
    "url",
    // Authorization.
    "allowed",
    "check",
    "error",
    "errored",
    "fieldSelector",
    "group",
    "labelSelector",
    "name",
    "namespace",
    "path",
    "reason",
    "resource",
    "serviceAccount",
    "subresource",
    // Quantities and versions.
    "add",
    "asApproximateFloat",
    "asInteger",
    "compareTo",
    "isGreaterThan",
    "isInteger",
    "isLessThan",
    "isQuantity",
    "isSemver",
    "major",
    "minor",
    "patch",
    "quantity",
    "semver",
    "sign",
    "sub",
    // Addresses.
    "cidr",
    "containsCIDR",
    "containsIP",
    "family",
    "ip",
    "ip.isCanonical",
    "isCIDR",
    "isGlobalUnicast",
    "isIP",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isLoopback",
    "isUnspecified",
    "masked",
    "prefixLength",
    // Formats.
    "format.byte",
    "format.date",
    "format.datetime",
    "format.dns1035Label",
    "format.dns1035LabelPrefix",
    "format.dns1123Label",
    "format.dns1123LabelPrefix",
    "format.dns1123Subdomain",
    "format.dns1123SubdomainPrefix",
    "format.labelValue",
    "format.named",
    "format.qualifiedName",
    "format.uri",
    "format.uuid",
    "validate",
];

/// The functions of patches (`library/jsonpatch.go`).
const PATCHES: &[&str] = &["jsonpatch.escapeKey"];

/// Whether a function of this name is declared.
pub(crate) fn is_known(name: &str, patches: bool) -> bool {
    KNOWN.contains(&name) || (patches && PATCHES.contains(&name))
}

/// The type of the results of a function, where all its forms have one.
pub(crate) fn result(name: &str) -> Type {
    Type::Plain(match name {
        "all" | "allowed" | "bool" | "contains" | "endsWith" | "errored" | "exists"
        | "existsOne" | "exists_one" | "has" | "hasValue" | "isCIDR" | "isIP" | "isQuantity"
        | "isSemver" | "isSorted" | "isURL" | "matches" | "startsWith" => "bool",
        "double" | "asApproximateFloat" => "double",
        "asInteger" | "compareTo" | "int" | "size" => "int",
        "charAt" | "join" | "lowerAscii" | "replace" | "string" | "strings.quote" | "substring"
        | "trim" | "upperAscii" => "string",
        "bytes" => "bytes",
        "uint" => "uint",
        _ => return Type::Unknown,
    })
}

/// How many of the arguments of a macro with a receiver are the names of variables; `None` where it is no macro.
pub(crate) fn bound(name: &str, arguments: usize) -> Option<usize> {
    match (name, arguments) {
        ("all" | "exists" | "existsOne" | "exists_one" | "filter" | "map", 2)
        | ("optMap" | "optFlatMap" | "sortBy", 2)
        | ("map", 3) => Some(1),
        ("all" | "exists" | "existsOne" | "exists_one", 3)
        | ("transformList" | "transformMap" | "transformMapEntry", 3 | 4) => Some(2),
        _ => None,
    }
}

/// Types that are values too.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "google.protobuf.Duration",
    "google.protobuf.Timestamp",
    "int",
    "list",
    "map",
    "net.CIDR",
    "net.IP",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
];

/// Whether a type of this name is declared, so that it is a value.
pub(crate) fn is_type(name: &str) -> bool {
    TYPES.contains(&name) || name.starts_with("kubernetes.")
}

/// Whether a message of this name can be made.
pub(crate) fn is_message(name: &str, patches: bool) -> bool {
    let of_patches = name == "JSONPatch" || name == "Object" || name.starts_with("Object.");
    name.starts_with("google.protobuf.")
        || name.starts_with("kubernetes.")
        || (patches && of_patches)
}
