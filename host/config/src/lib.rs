//! The operator's configuration: flags, `config.yaml` with its drop-ins, and `K3S_*` variables,
//! merged into resolved settings.
//!
//! Every flag of K3s is a row in [`flags`], in one of three classes: it acts; it is known but has
//! no effect here, and a warning names it; or continuing without it would be unsafe or a surprise, which
//! is fatal. A flag that is in no row is an error. Nothing is parsed and ignored.
//!
//! Order of precedence, as in K3s, where the file's values are injected as arguments: command line,
//! then file, then environment, then default. A list given on the command line replaces the file's
//! list whole.

mod command;
mod component;
pub mod datastore;
mod error;
mod file;
pub mod flags;
mod kubelet_args;
mod node_args;
mod plugin;
mod settings;

pub use command::{Parsed, data_dir_from, parse_server};
pub use component::{Disabled, PackagedComponent};
pub use error::{ConfigError, Refusal};
pub use flags::runtime::DEFAULT_REGISTRIES;
pub use kubelet_args::KubeletArguments;
pub use node_args::node_annotations;
pub use plugin::{PluginRef, PluginSource};
pub use settings::{ClusterSettings, FlannelBackend, NodeSettings, ServerSettings, Warnings};
