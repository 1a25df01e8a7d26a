//! What the operator asked for: flags, `config.yaml` with its drop-ins, and `K3S_*` variables,
//! merged into one resolved settings value.
//!
//! Every flag of K3s is a row in [`flags`], in one of three classes: it acts; it is known but does
//! nothing here, which is said by name in a warning; or going on without it would be unsafe or a
//! surprise, which is fatal. A flag that is in no row is an error. Nothing is parsed and ignored.
//!
//! Order of strength, as in K3s, where the file's values are injected as arguments: command line,
//! then file, then environment, then default. A list given on the command line replaces the file's
//! list whole.

mod command;
mod error;
mod file;
pub mod flags;
mod plugin;
mod quantity;
mod settings;

pub use command::{Parsed, parse_server, server_command};
pub use error::ConfigError;
pub use plugin::{GRANTS as PLUGIN_GRANTS, KINDS as PLUGIN_KINDS, PluginRef, PluginSource};
pub use settings::{ServerSettings, Warnings};
