//! Why a configuration was refused: one sentence each, naming the flag or the file.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line did not parse, or help was asked for: the library's own text, and whether
    /// it is an error.
    #[error("{text}")]
    Usage {
        /// What to print.
        text: String,
        /// False for `--help` and `--version`.
        is_error: bool,
    },
    /// A configuration file cannot be read.
    #[error("failed to read config file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A configuration file is not a YAML map of flags.
    #[error("failed to parse config file {path}: {reason}")]
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

    pub(crate) fn unsupported(flag: &str, reason: impl ToString) -> Self {
        Self::Unsupported {
            flag: flag.into(),
            reason: reason.to_string(),
        }
    }
}
