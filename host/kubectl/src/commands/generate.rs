//! Objects made from words instead of files: `kubectl create deployment`, `kubectl run`,
//! `kubectl expose`.

use clap::Args;
use http::Method;
use k3s_meta::{object, tree};
use serde_json::{Map, Value, json};

use super::create::create;
use super::named::{self, Selection};
use super::write::{Options, place};
use crate::cli::Writing;
use crate::error::Failure;
use crate::session::Session;

/// Create a deployment with the specified name
#[derive(Debug, Args)]
pub(crate) struct CreateDeployment {
    name: String,
    /// Image to run; repeatable
    #[arg(long, required = true)]
    image: Vec<String>,
    /// Number of replicas
    #[arg(short = 'r', long, default_value_t = 1)]
    replicas: u32,
    /// The port that the container exposes
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    pub(super) writing: Writing,
    /// A command instead of the image's own, after --
    #[arg(last = true)]
    command: Vec<String>,
}

/// Create and run a particular image in a pod
#[derive(Debug, Args)]
pub(crate) struct Run {
    name: String,
    /// The image to run
    #[arg(long)]
    image: String,
    /// Environment variable NAME=VALUE; repeatable
    #[arg(short = 'e', long)]
    env: Vec<String>,
    /// Labels, KEY=VALUE,...
    #[arg(short = 'l', long, value_delimiter = ',')]
    labels: Vec<String>,
    /// The port that the container exposes
    #[arg(long)]
    port: Option<u16>,
    /// Always, OnFailure or Never
    #[arg(long, default_value = "Always")]
    restart: String,
    /// Take the words after -- as the command instead of its arguments
    #[arg(long)]
    command: bool,
    #[command(flatten)]
    writing: Writing,
    /// Arguments, after --
    #[arg(last = true)]
    args: Vec<String>,
}

/// Take a deployment, replica set, pod or service and expose it as a new service
#[derive(Debug, Args)]
pub(crate) struct Expose {
    /// TYPE NAME or TYPE/NAME
    #[arg(required = true)]
    what: Vec<String>,
    /// The name of the new service
    #[arg(long)]
    name: Option<String>,
    /// The port that the service serves on
    #[arg(long)]
    port: Option<u16>,
    /// Port or port's name on the container
    #[arg(long)]
    target_port: Option<String>,
    /// TCP, UDP or SCTP
    #[arg(long, default_value = "TCP")]
    protocol: String,
    /// ClusterIP, NodePort, LoadBalancer or ExternalName
    #[arg(long = "type", default_value = "ClusterIP")]
    kind: String,
    #[command(flatten)]
    writing: Writing,
}

impl CreateDeployment {
    pub(super) fn manifest(&self) -> Value {
        let labels = json!({"app": self.name});
        let containers: Vec<Value> = self
            .image
            .iter()
            .map(|image| self.container(image))
            .collect();
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
        })
    }

    fn container(&self, image: &str) -> Value {
        let mut container = json!({"name": container_name(image), "image": image});
        if let Some(port) = self.port {
            tree::set(&mut container, "ports", json!([{"containerPort": port}]));
        }
        if !self.command.is_empty() {
            tree::set(&mut container, "command", json!(self.command));
        }
        container
    }
}

/// The image's last path element without tag and digest (kubectl `create_deployment.go`).
fn container_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let bare = last.split(['@', ':']).next().unwrap_or(last);
    bare.to_lowercase().replace(['_', '.'], "-")
}

impl Run {
    fn manifest(&self) -> Result<Value, Failure> {
        let mut labels = pairs(&self.labels, "--labels")?;
        if labels.is_empty() {
            labels.insert("run".into(), self.name.clone().into());
        }
        let mut container = json!({"name": self.name, "image": self.image});
        if !self.args.is_empty() {
            let field = if self.command { "command" } else { "args" };
            tree::set(&mut container, field, json!(self.args));
        }
        let env: Vec<Value> = pairs(&self.env, "--env")?
            .into_iter()
            .map(|(k, v)| json!({"name": k, "value": v}))
            .collect();
        if !env.is_empty() {
            tree::set(&mut container, "env", env);
        }
        if let Some(port) = self.port {
            tree::set(&mut container, "ports", json!([{"containerPort": port}]));
        }
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {"containers": [container], "restartPolicy": self.restart},
        }))
    }
}

fn pairs(words: &[String], flag: &str) -> Result<Map<String, Value>, Failure> {
    let pair = |word: &String| {
        let (key, value) = word
            .split_once('=')
            .ok_or_else(|| Failure::local(format!("{flag}: expected KEY=VALUE, got \"{word}\"")))?;
        Ok((key.to_owned(), Value::from(value)))
    };
    words.iter().map(pair).collect()
}

pub(crate) async fn run(session: &Session, args: &Run) -> Result<(), Failure> {
    one(
        session,
        &args.writing,
        "kubectl-run",
        args.manifest()?,
        "created",
    )
    .await
}

/// POST of one generated manifest.
pub(super) async fn one(
    session: &Session,
    writing: &Writing,
    manager: &'static str,
    mut manifest: Value,
    verb: &str,
) -> Result<(), Failure> {
    let options = Options::parse(writing, manager)?;
    let discovery = session.discovery().await?;
    let served = place(session, &discovery, &mut manifest)?;
    let created = create(session, &options, served, &manifest).await?;
    options.report(served, &created, verb)
}

pub(crate) async fn expose(session: &Session, args: &Expose) -> Result<(), Failure> {
    let discovery = session.discovery().await?;
    for target in named::select(session, &discovery, &args.what, &Selection::default()).await? {
        let path = target.path(session, None);
        let live = session
            .json(Method::GET, &path, "application/json", None)
            .await?;
        let service = service(args, &live)?;
        one(session, &args.writing, "kubectl-expose", service, "exposed").await?;
    }
    Ok(())
}

fn service(args: &Expose, live: &Value) -> Result<Value, Failure> {
    let selector = match (
        tree::get(live, "spec.selector.matchLabels"),
        object::kind(live),
    ) {
        (Some(labels), _) => labels.clone(),
        (None, "Pod") => tree::get(live, "metadata.labels")
            .cloned()
            .unwrap_or(Value::Null),
        (None, "Service" | "ReplicationController") => tree::get(live, "spec.selector")
            .cloned()
            .unwrap_or(Value::Null),
        (None, kind) => return Err(Failure::local(format!("cannot expose a {kind}"))),
    };
    if selector.as_object().is_none_or(Map::is_empty) {
        return Err(Failure::local(
            "couldn't retrieve selectors via --selector flag or introspection: it has none",
        ));
    }
    let port = args
        .port
        .map(i64::from)
        .or_else(|| first_port(live))
        .ok_or_else(|| Failure::local("couldn't find port via --port flag or introspection"))?;
    let target_port = match &args.target_port {
        None => json!(port),
        Some(text) => text
            .parse::<u16>()
            .map_or_else(|_| json!(text), |n| json!(n)),
    };
    let name = args
        .name
        .clone()
        .unwrap_or_else(|| object::name(live).to_owned());
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "type": args.kind,
            "selector": selector,
            "ports": [{"port": port, "protocol": args.protocol, "targetPort": target_port}],
        },
    });
    if let Some(labels) = tree::get(live, "metadata.labels") {
        tree::set(&mut service, "metadata.labels", labels.clone());
    }
    Ok(service)
}

/// The first port of an object's containers, or of a Service.
fn first_port(live: &Value) -> Option<i64> {
    if let Some(port) = tree::list(live, "spec.ports").first() {
        return tree::int(port, "port");
    }
    let spec = tree::get(live, "spec.template.spec").or_else(|| live.get("spec"))?;
    let containers = tree::list(spec, "containers");
    let port = containers
        .iter()
        .find_map(|c| tree::list(c, "ports").first())?;
    tree::int(port, "containerPort")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_named_after_images() {
        assert_eq!(
            container_name("registry.test:5000/team/My_App.web:1.2"),
            "my-app-web"
        );
        assert_eq!(container_name("nginx@sha256:00"), "nginx");
    }
}
