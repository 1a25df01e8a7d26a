//! `kubectl auth can-i` and `kubectl auth whoami`.

use clap::{Args, Subcommand};
use http::Method;
use k3s_meta::tree;
use serde_json::{Value, json};

use crate::error::Failure;
use crate::print::Columns;
use crate::session::Session;

const JSON: &str = "application/json";

/// Inspect authorization
#[derive(Debug, Subcommand)]
pub(crate) enum Auth {
    /// Check whether an action is allowed
    #[command(name = "can-i")]
    CanI(CanI),
    /// Who the server takes you for
    Whoami,
}

#[derive(Debug, Args)]
pub(crate) struct CanI {
    /// VERB [TYPE | TYPE/NAME | NONRESOURCEURL]
    #[arg(required_unless_present = "list")]
    what: Vec<String>,
    /// Print everything that is allowed
    #[arg(long)]
    list: bool,
    /// A subresource
    #[arg(long)]
    subresource: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// No output, only the exit code
    #[arg(short = 'q', long)]
    quiet: bool,
}

pub(crate) async fn run(session: &Session, auth: &Auth) -> Result<(), Failure> {
    match auth {
        Auth::CanI(args) if args.list => list(session).await,
        Auth::CanI(args) => can_i(session, args).await,
        Auth::Whoami => whoami(session).await,
    }
}

async fn review(
    session: &Session,
    group: &str,
    plural: &str,
    kind: &str,
    spec: Value,
) -> Result<Value, Failure> {
    let mut body = json!({"apiVersion": format!("{group}/v1"), "kind": kind});
    if !spec.is_null() {
        tree::set(&mut body, "spec", spec);
    }
    session
        .json(
            Method::POST,
            &format!("/apis/{group}/v1/{plural}"),
            JSON,
            Some((JSON, &body)),
        )
        .await
}

async fn can_i(session: &Session, args: &CanI) -> Result<(), Failure> {
    let spec = match args.what.as_slice() {
        [verb, path] if path.starts_with('/') => {
            json!({"nonResourceAttributes": {"verb": verb, "path": path}})
        }
        [verb, resource] => {
            json!({"resourceAttributes": attributes(session, args, verb, resource).await?})
        }
        _ => {
            return Err(Failure::local(
                "you must specify two arguments: verb resource or verb resource/resourceName",
            ));
        }
    };
    let answer = review(
        session,
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        spec,
    )
    .await?;
    let allowed = tree::get(&answer, "status.allowed")
        .and_then(Value::as_bool)
        .unwrap_or_default();
    if !args.quiet {
        println!("{}", if allowed { "yes" } else { "no" });
    }
    if allowed {
        Ok(())
    } else {
        Err(Failure::Silent)
    }
}

async fn attributes(
    session: &Session,
    args: &CanI,
    verb: &str,
    resource: &str,
) -> Result<Value, Failure> {
    let (kind, name) = resource
        .split_once('/')
        .map_or((resource, None), |(kind, name)| (kind, Some(name)));
    let discovery = session.discovery().await?;
    let namespace = if args.all_namespaces {
        ""
    } else {
        session.namespace.as_str()
    };
    let mut attributes = json!({"verb": verb, "resource": kind, "namespace": namespace});
    let mut set = |field: &str, value: &str| tree::set(&mut attributes, field, value);
    if kind != "*" {
        match discovery.resource(kind) {
            Ok(served) => {
                set("group", &served.resource.group);
                set("version", &served.resource.version);
                set("resource", &served.resource.plural);
                if !served.resource.namespaced {
                    set("namespace", "");
                }
            }
            Err(_) => eprintln!("Warning: the server doesn't have a resource type '{kind}'"),
        }
    } else {
        set("group", "*");
    }
    set("name", name.unwrap_or_default());
    set(
        "subresource",
        args.subresource.as_deref().unwrap_or_default(),
    );
    Ok(attributes)
}

async fn list(session: &Session) -> Result<(), Failure> {
    let spec = json!({"namespace": session.namespace});
    let answer = review(
        session,
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        spec,
    )
    .await?;
    let header = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(resource_rows(tree::list(&answer, "status.resourceRules")));
    rows.extend(path_rows(tree::list(&answer, "status.nonResourceRules")));
    print!("{}", Columns::default().layout(&rows));
    Ok(())
}

/// One row for each group and resource of the rules, sorted by both.
fn resource_rows(rules: &[Value]) -> impl Iterator<Item = Vec<String>> {
    let mut found = Vec::new();
    for rule in rules {
        let groups = tree::texts(rule, "apiGroups").into_iter();
        let resources = tree::texts(rule, "resources");
        for (group, resource) in groups.flat_map(|g| resources.iter().map(move |r| (g, *r))) {
            let qualified = if group.is_empty() {
                resource.to_owned()
            } else {
                format!("{resource}.{group}")
            };
            let names = bracketed(&tree::texts(rule, "resourceNames"));
            let verbs = bracketed(&tree::texts(rule, "verbs"));
            let row = vec![qualified, "[]".to_owned(), names, verbs];
            found.push((group, resource, row));
        }
    }
    found.sort();
    found.into_iter().map(|(.., row)| row)
}

/// One row for each path of the rules, sorted.
fn path_rows(rules: &[Value]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for rule in rules {
        let verbs = bracketed(&tree::texts(rule, "verbs"));
        for path in tree::texts(rule, "nonResourceURLs") {
            let path = bracketed(&[path]);
            rows.push(vec![String::new(), path, "[]".to_owned(), verbs.clone()]);
        }
    }
    rows.sort();
    rows
}

/// As Go prints a slice.
fn bracketed(words: &[&str]) -> String {
    format!("[{}]", words.join(" "))
}

async fn whoami(session: &Session) -> Result<(), Failure> {
    let answer = review(
        session,
        "authentication.k8s.io",
        "selfsubjectreviews",
        "SelfSubjectReview",
        Value::Null,
    )
    .await?;
    let user = tree::get(&answer, "status.userInfo").unwrap_or(&Value::Null);
    let mut rows = vec![["ATTRIBUTE", "VALUE"].map(str::to_owned).to_vec()];
    let mut row = |name: String, value: String| rows.push(vec![name, value]);
    row("Username".into(), tree::text(user, "username").to_owned());
    let uid = tree::text(user, "uid");
    if !uid.is_empty() {
        row("UID".into(), uid.to_owned());
    }
    row("Groups".into(), bracketed(&tree::texts(user, "groups")));
    for (key, value) in tree::map(user, "extra") {
        let words: Vec<&str> = value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        row(format!("Extra: {key}"), bracketed(&words));
    }
    print!("{}", Columns::default().layout(&rows));
    Ok(())
}
