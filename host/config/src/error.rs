//! Why a configuration is refused: one sentence each, naming the flag or the file.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line does not parse, or help was asked for: the library's own text, and whether
    /// it is an error.
    #[error("{text}")]
    Usage {
        /// What to print.
        text: String,
        /// False for `--help` and `--version`.
        is_error: bool,
    },
    /// A configuration file cannot be read.
    #[error("failed to read config file {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A configuration file is not YAML.
    #[error("failed to parse config file {}", .path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// The parser's answer, which names the place.
        #[source]
        source: serde_saphyr::Error,
    },
    /// A configuration file is not a map of flags.
    #[error("failed to parse config file {}: {reason}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A flag's value has a wrong form.
    #[error("invalid value {value:?} for --{flag}: {reason}")]
    Value {
        /// The flag's long name.
        flag: String,
        /// What was given.
        value: String,
        /// What was expected.
        reason: String,
    },
    /// A datastore endpoint is malformed or not supported. The endpoint holds a password and is not
    /// repeated.
    #[error("invalid --{flag}: {reason}")]
    Endpoint {
        /// The flag's long name.
        flag: String,
        /// What is wrong.
        reason: String,
    },
    /// A flag that this build cannot honour and must not ignore.
    #[error("--{flag} is not supported: {reason}")]
    Unsupported {
        /// The flag's long name.
        flag: String,
        /// Why, and what to do instead.
        reason: String,
    },
}

impl ConfigError {
    pub(crate) fn value(flag: &str, value: &str, reason: impl ToString) -> Self {
        Self::Value {
            flag: flag.into(),
            value: value.into(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn unsupported(flag: impl Into<String>, reason: impl ToString) -> Self {
        Self::Unsupported {
            flag: flag.into(),
            reason: reason.to_string(),
        }
    }

    /// The refusal of `value` by the parser of `flag`.
    pub(crate) fn refused(flag: &str, value: &str, refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(reason) => Self::value(flag, value, reason),
            Refusal::Unsupported(reason) => Self::unsupported(format!("{flag}={value}"), reason),
        }
    }
}

/// One sentence on why a value is refused. The parser of a value does not know which flag it belongs
/// to, so its caller adds the name.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The value has a wrong form; the sentence says what is expected.
    Malformed(Cow<'static, str>),
    /// The value is understood and cannot be honoured; the sentence says why.
    Unsupported(Cow<'static, str>),
}

impl Refusal {
    /// A value of a wrong form.
    pub(crate) fn malformed(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed(reason.into())
    }

    /// A value that cannot be honoured.
    pub(crate) fn unsupported(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Unsupported(reason.into())
    }
}

impl From<&'static str> for Refusal {
    fn from(reason: &'static str) -> Self {
        Self::malformed(reason)
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::malformed(reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) | Self::Unsupported(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Refusal {}
