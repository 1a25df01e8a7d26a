//! Machine-readable reasons.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! reasons {
    ($($name:ident),+ $(,)?) => {
        /// Why a request failed. `Other` keeps what a newer server or a webhook says.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Reason {
            #[default]
            Unknown,
            $($name,)+
            Other(String),
        }

        impl Reason {
            /// The reason as it stands in JSON; empty when unknown.
            pub fn as_str(&self) -> &str {
                match self {
                    Self::Unknown => "",
                    $(Self::$name => stringify!($name),)+
                    Self::Other(text) => text,
                }
            }

            /// Reads a reason.
            pub fn parse(text: &str) -> Self {
                match text {
                    "" => Self::Unknown,
                    $(stringify!($name) => Self::$name,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

reasons!(
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    StoreReadError,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
);

impl Reason {
    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}
