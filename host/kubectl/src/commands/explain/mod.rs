//! `kubectl explain`: the documentation of a kind or field, from the server's OpenAPI v3.

mod print;
mod schema;

use clap::Args;
use http::Method;
use k3s_meta::tree;
use serde_json::Value;

use self::schema::Schemas;
use crate::error::Failure;
use crate::session::Session;

/// Get documentation for a resource
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// RESOURCE or RESOURCE.FIELD.FIELD...
    field: String,
    /// Print all fields below, without descriptions
    #[arg(long)]
    recursive: bool,
    /// Another version than the preferred one, such as apps/v1
    #[arg(long)]
    api_version: Option<String>,
}

pub(crate) async fn run(session: &Session, args: &Explain) -> Result<(), Failure> {
    let (word, path) = args.field.split_once('.').unwrap_or((&args.field, ""));
    let discovery = session.discovery().await?;
    let preferred = discovery.resource(word)?;
    let resource = match &args.api_version {
        None => &preferred.resource,
        Some(version) => &discovery.kind(version, &preferred.resource.kind)?.resource,
    };
    let place = if resource.group.is_empty() {
        "api"
    } else {
        "apis"
    };
    let document = format!("/openapi/v3/{place}/{}", resource.api_version());
    let document = session
        .json(Method::GET, &document, "application/json", None)
        .await?;
    let schemas = Schemas::new(tree::get(&document, "components.schemas").unwrap_or(&Value::Null));
    let mut at = schemas
        .of_kind(&resource.group, &resource.version, &resource.kind)
        .ok_or_else(|| {
            Failure::local(format!(
                "couldn't find resource for \"{}, Kind={}\"",
                resource.api_version(),
                resource.kind
            ))
        })?;
    let mut field = None;
    for name in path.split('.').filter(|name| !name.is_empty()) {
        at = schemas
            .field(at, name)
            .ok_or_else(|| Failure::local(format!("field \"{name}\" does not exist")))?;
        field = Some(name);
    }
    if !resource.group.is_empty() {
        println!("GROUP:      {}", resource.group);
    }
    println!(
        "KIND:       {}\nVERSION:    {}\n",
        resource.kind, resource.version
    );
    if let Some(name) = field {
        println!("FIELD: {name} <{}>\n\n", schemas.type_name(at));
    }
    print!("{}", print::documentation(&schemas, at, args.recursive));
    Ok(())
}
