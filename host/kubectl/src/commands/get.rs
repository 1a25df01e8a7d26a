//! `kubectl get`.

use std::collections::BTreeMap;

use bytes::BytesMut;
use futures_util::StreamExt;
use http::header::ACCEPT;
use http::{Method, Request};
use http_body_util::{BodyExt, BodyStream};
use k3s_client::empty;
use k3s_meta::{object, tree};
use serde_json::Value;

use super::target::{self, Target};
use crate::Failure;
use crate::cli::Get;
use crate::discovery::Served;
use crate::print::{self, Format, TablePrinter, TableStyle};
use crate::session::Session;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const JSON: &str = "application/json";

pub(crate) async fn run(session: &Session, args: &Get) -> Result<(), Failure> {
    if let Some(path) = &args.raw {
        return raw(session, path).await;
    }
    let format = Format::parse(args.output.as_deref())?;
    let discovery = session.discovery().await?;
    let targets = target::parse(&discovery, &args.what)?;
    if let Format::Table { wide } = format {
        return tables(session, args, &targets, wide).await;
    }
    if args.watch || args.watch_only {
        return Err(Failure::local("watching is only possible as a table here"));
    }
    objects(session, args, &targets, format).await
}

async fn raw(session: &Session, path: &str) -> Result<(), Failure> {
    let request = Request::get(path)
        .body(empty())
        .map_err(|e| Failure::local(e.to_string()))?;
    let body = session.open_stream(request, path).await?.into_body();
    let mut frames = BodyStream::new(body);
    let mut out = tokio::io::stdout();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|e| Failure::local(e.to_string()))?;
        if let Ok(data) = frame.into_data() {
            tokio::io::AsyncWriteExt::write_all(&mut out, &data).await?;
        }
    }
    Ok(tokio::io::AsyncWriteExt::flush(&mut out).await?)
}

/// The path of a collection or object, with the selectors of the command.
fn path(session: &Session, args: &Get, served: &Served, name: Option<&str>) -> String {
    let namespace = (!args.all_namespaces).then_some(session.namespace.as_str());
    let mut query = BTreeMap::new();
    if name.is_none() {
        query.extend(args.selector.as_deref().map(|s| ("labelSelector", s)));
        query.extend(args.field_selector.as_deref().map(|s| ("fieldSelector", s)));
    }
    with_query(&served.resource.path(namespace, name, None), &query)
}

/// Adds a query, percent-encoded.
pub(super) fn with_query(path: &str, query: &BTreeMap<&str, &str>) -> String {
    let escape = |text: &str| -> String {
        let keep = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
        text.bytes()
            .map(|b| {
                if keep(b) {
                    char::from(b).to_string()
                } else {
                    format!("%{b:02X}")
                }
            })
            .collect()
    };
    let pairs: Vec<String> = query
        .iter()
        .map(|(k, v)| format!("{k}={}", escape(v)))
        .collect();
    if pairs.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", pairs.join("&"))
    }
}

async fn tables(
    session: &Session,
    args: &Get,
    targets: &[Target<'_>],
    wide: bool,
) -> Result<(), Failure> {
    let several = targets.len() > 1;
    let mut printed = false;
    for target in targets {
        let served = target.served;
        let prefix = several.then(|| served.qualified("").trim_end_matches('/').to_owned());
        let mut printer = TablePrinter::new(TableStyle {
            wide,
            prefix,
            with_namespace: args.all_namespaces && served.resource.namespaced,
            show_labels: args.show_labels,
            no_headers: args.no_headers,
        });
        let mut version = String::new();
        for table in fetch(session, args, target, TABLE).await? {
            version = tree::text(&table, "metadata.resourceVersion").to_owned();
            if args.watch_only || tree::list(&table, "rows").is_empty() {
                continue;
            }
            if printed && several {
                println!()
            }
            print!("{}", printer.print(&table));
            printed = true;
        }
        if args.watch || args.watch_only {
            if several {
                return Err(Failure::local(
                    "you may only specify a single resource type",
                ));
            }
            return watch(session, args, target, &mut printer, &version).await;
        }
    }
    if !printed && !args.ignore_not_found && targets.iter().all(|t| t.names.is_empty()) {
        let everywhere =
            args.all_namespaces || targets.iter().all(|t| !t.served.resource.namespaced);
        if everywhere {
            eprintln!("No resources found")
        } else {
            eprintln!("No resources found in {} namespace.", session.namespace)
        }
    }
    Ok(())
}

/// One answer per name, or one for the collection.
async fn fetch(
    session: &Session,
    args: &Get,
    target: &Target<'_>,
    accept: &str,
) -> Result<Vec<Value>, Failure> {
    if target.names.is_empty() {
        return Ok(vec![
            session
                .json(
                    Method::GET,
                    &path(session, args, target.served, None),
                    accept,
                    None,
                )
                .await?,
        ]);
    }
    if args.all_namespaces && target.served.resource.namespaced {
        return Err(Failure::local(
            "a resource cannot be retrieved by name across all namespaces",
        ));
    }
    let mut found = Vec::new();
    let mut missing = None;
    for name in &target.names {
        match session
            .json(
                Method::GET,
                &path(session, args, target.served, Some(name)),
                accept,
                None,
            )
            .await
        {
            Ok(value) => found.push(value),
            Err(Failure::Api(e)) if e.is_not_found() => {
                if !args.ignore_not_found {
                    missing = Some(e)
                }
            }
            Err(e) => return Err(e),
        }
    }
    match missing {
        Some(e) if found.is_empty() => Err(e.into()),
        Some(e) => {
            eprintln!("{}", Failure::Api(e));
            Ok(found)
        }
        None => Ok(found),
    }
}

async fn watch(
    session: &Session,
    args: &Get,
    target: &Target<'_>,
    printer: &mut TablePrinter,
    version: &str,
) -> Result<(), Failure> {
    let name = match target.names.as_slice() {
        [] => None,
        [one] => Some(format!("metadata.name={one}")),
        _ => {
            return Err(Failure::local(
                "watch is only supported on individual resources and resource collections",
            ));
        }
    };
    let mut query = BTreeMap::from([("watch", "true"), ("resourceVersion", version)]);
    query.extend(args.selector.as_deref().map(|s| ("labelSelector", s)));
    query.extend(
        name.as_deref()
            .or(args.field_selector.as_deref())
            .map(|s| ("fieldSelector", s)),
    );
    let namespace = (!args.all_namespaces).then_some(session.namespace.as_str());
    let path = with_query(&target.served.resource.path(namespace, None, None), &query);
    let request = Request::get(&path)
        .header(ACCEPT, TABLE)
        .body(empty())
        .map_err(|e| Failure::local(e.to_string()))?;
    let mut body = session.open_stream(request, &path).await?.into_body();
    let mut buffer = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame
            .map_err(|e| Failure::local(e.to_string()))?
            .into_data()
        else {
            continue;
        };
        buffer.extend_from_slice(&data);
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line = buffer.split_to(end + 1);
            let event: Value =
                serde_json::from_slice(&line).map_err(|e| Failure::local(e.to_string()))?;
            match tree::text(&event, "type") {
                "ERROR" => {
                    return Err(Failure::local(tree::text(&event, "object.message")));
                }
                "BOOKMARK" => {}
                _ => print!(
                    "{}",
                    printer.print(event.get("object").unwrap_or(&Value::Null))
                ),
            }
        }
    }
    Ok(())
}

async fn objects(
    session: &Session,
    args: &Get,
    targets: &[Target<'_>],
    format: Format,
) -> Result<(), Failure> {
    let mut items = Vec::new();
    let single = matches!(targets, [Target { names, .. }] if names.len() == 1);
    for target in targets {
        for mut answer in fetch(session, args, target, JSON).await? {
            if target.names.is_empty() {
                let kind = &target.served.resource;
                let list = answer
                    .get_mut("items")
                    .and_then(Value::as_array_mut)
                    .map(std::mem::take)
                    .unwrap_or_default();
                items.extend(
                    list.into_iter()
                        .map(|item| with_kind(item, &kind.api_version(), &kind.kind)),
                );
            } else {
                items.push(answer);
            }
        }
    }
    if format == Format::Name {
        for item in &items {
            let served = targets
                .iter()
                .map(|t| t.served)
                .find(|s| s.resource.kind == object::kind(item));
            if let Some(served) = served {
                println!("{}", served.qualified(object::name(item)))
            }
        }
        return Ok(());
    }
    let shown = match (single, items.pop()) {
        (true, Some(item)) => item,
        (true, None) => return Ok(()),
        (false, last) => print::list(items.into_iter().chain(last).collect()),
    };
    print!("{}", print::object(&shown, format)?);
    Ok(())
}

/// Items of a typed list do not carry what the list itself says.
fn with_kind(mut item: Value, api_version: &str, kind: &str) -> Value {
    if let Some(map) = item.as_object_mut() {
        map.entry("apiVersion")
            .or_insert_with(|| api_version.into());
        map.entry("kind").or_insert_with(|| kind.into());
    }
    item
}
