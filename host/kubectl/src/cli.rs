//! The words kubectl understands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::auth::Auth;
use crate::commands::explain::Explain;
use crate::commands::generate::{CreateDeployment, Expose, Run};
use crate::commands::label::Label;
use crate::commands::patch::Patch;
use crate::commands::rollout::Rollout;
use crate::commands::scale::Scale;
use crate::commands::set::Set;
use crate::commands::wait::Wait;

/// kubectl controls the Kubernetes cluster manager.
#[derive(Debug, Parser)]
#[command(name = "kubectl", disable_version_flag = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Globals {
    /// Path to the kubeconfig file
    #[arg(long, global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig context to use
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
    /// The namespace scope of this request
    #[arg(short = 'n', long, global = true)]
    pub(crate) namespace: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true)]
    pub(crate) as_user: Option<String>,
    /// Group to impersonate, repeatable
    #[arg(long = "as-group", global = true)]
    pub(crate) as_groups: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Display one or many resources
    Get(Get),
    /// Apply a configuration to a resource by file name or stdin
    Apply(Apply),
    /// Create a resource from a file or from stdin
    Create(Create),
    /// Delete resources by file names, stdin, resources and names, or by resources and label selector
    Delete(Delete),
    /// Print the logs for a container in a pod
    Logs(Logs),
    /// Execute a command in a container
    Exec(Exec),
    #[command(subcommand)]
    Rollout(Rollout),
    Scale(Scale),
    #[command(subcommand)]
    Set(Set),
    Patch(Patch),
    /// Update the labels on a resource
    Label(Label),
    /// Update the annotations on a resource
    Annotate(Label),
    Wait(Wait),
    Run(Run),
    Expose(Expose),
    Explain(Explain),
    #[command(subcommand)]
    Auth(Auth),
    /// Print the supported API resources on the server
    #[command(name = "api-resources")]
    ApiResources(ApiResources),
    /// Print the client and server version information
    Version(Version),
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// TYPE[,TYPE...] [NAME...] or TYPE/NAME...
    pub(crate) what: Vec<String>,
    /// Output format: json, yaml, name or wide
    #[arg(short = 'o', long)]
    pub(crate) output: Option<String>,
    /// If present, list the requested objects across all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    /// Selector (field query) to filter on
    #[arg(long)]
    pub(crate) field_selector: Option<String>,
    /// After listing the requested objects, watch for changes
    #[arg(short = 'w', long)]
    pub(crate) watch: bool,
    /// Watch for changes without listing first
    #[arg(long)]
    pub(crate) watch_only: bool,
    /// Don't print headers
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// Show all labels as the last column
    #[arg(long)]
    pub(crate) show_labels: bool,
    /// Ignore objects that are not found
    #[arg(long)]
    pub(crate) ignore_not_found: bool,
    /// Raw URI to request from the server
    #[arg(long)]
    pub(crate) raw: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Files {
    /// Files or folders with manifests; - for standard input
    #[arg(short = 'f', long = "filename", value_delimiter = ',')]
    pub(crate) files: Vec<String>,
    /// Process folders recursively
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Writing {
    #[command(flatten)]
    pub(crate) files: Files,
    /// none, server or client
    #[arg(long, default_value = "none", default_missing_value = "client", num_args = 0..=1, require_equals = true)]
    pub(crate) dry_run: String,
    /// strict (or true), warn, or ignore (or false)
    #[arg(long, default_value = "strict", default_missing_value = "strict", num_args = 0..=1, require_equals = true)]
    pub(crate) validate: String,
    /// Output format: json, yaml or name
    #[arg(short = 'o', long)]
    pub(crate) output: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Create {
    #[command(subcommand)]
    pub(crate) what: Option<CreateWhat>,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CreateWhat {
    /// Create a namespace with the specified name
    #[command(alias = "ns")]
    Namespace(CreateNamespace),
    #[command(alias = "deploy")]
    Deployment(CreateDeployment),
}

#[derive(Debug, Args)]
pub(crate) struct CreateNamespace {
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// TYPE NAME... or TYPE/NAME...
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    /// Delete all resources of the type in the namespace
    #[arg(long)]
    pub(crate) all: bool,
    /// Seconds given to terminate gracefully
    #[arg(long)]
    pub(crate) grace_period: Option<i64>,
    /// Signal for immediate shutdown (same as --grace-period=1)
    #[arg(long)]
    pub(crate) now: bool,
    /// Delete at once, without grace
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not fail when nothing is found
    #[arg(long)]
    pub(crate) ignore_not_found: bool,
    /// Wait for resources to be deleted
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub(crate) wait: String,
    /// How long to wait for each to be deleted, such as 30s; 0 means without limit
    #[arg(long, default_value = "0")]
    pub(crate) timeout: String,
    /// background, orphan or foreground
    #[arg(long, default_value = "background")]
    pub(crate) cascade: String,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// POD or TYPE/NAME, then optionally the container
    pub(crate) what: Vec<String>,
    /// Container
    #[arg(short = 'c', long)]
    pub(crate) container: Option<String>,
    /// Stream the logs
    #[arg(short = 'f', long)]
    pub(crate) follow: bool,
    /// The previous instance of the container
    #[arg(short = 'p', long)]
    pub(crate) previous: bool,
    /// Lines of recent log to display; -1 for all
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) tail: Option<i64>,
    /// Only logs newer than a duration like 5s, 2m, or 3h
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// Include time stamps on each line
    #[arg(long)]
    pub(crate) timestamps: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// POD or TYPE/NAME
    pub(crate) pod: String,
    /// Container
    #[arg(short = 'c', long)]
    pub(crate) container: Option<String>,
    /// Pass stdin to the container
    #[arg(short = 'i', long)]
    pub(crate) stdin: bool,
    /// Stdin is a terminal
    #[arg(short = 't', long)]
    pub(crate) tty: bool,
    /// The command, after --
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ApiResources {
    /// Limit to resources in the API group
    #[arg(long)]
    pub(crate) api_group: Option<String>,
    /// Only namespaced (true) or only cluster-scoped (false) resources
    #[arg(long)]
    pub(crate) namespaced: Option<bool>,
    /// Limit to resources that support the verbs
    #[arg(long, value_delimiter = ',')]
    pub(crate) verbs: Vec<String>,
    /// Don't print headers
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// name or wide
    #[arg(short = 'o', long)]
    pub(crate) output: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Version {
    /// Only the client's
    #[arg(long)]
    pub(crate) client: bool,
    /// json or yaml
    #[arg(short = 'o', long)]
    pub(crate) output: Option<String>,
}
