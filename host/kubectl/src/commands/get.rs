//! `kubectl get`.

use futures_util::{StreamExt, TryStreamExt};
use http::header::{ACCEPT, HeaderValue};
use http::{Method, Request};
use http_body_util::BodyStream;
use k3s_client::{Error, WatchParams};
use k3s_meta::{object, tree};
use kube::api::WatchEvent;
use serde_json::Value;

use super::target::{self, Target};
use crate::cli::Get;
use crate::discovery::Served;
use crate::error::Failure;
use crate::print::{self, Format, TablePrinter, TableStyle};
use crate::session::{Session, with_query};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const JSON: &str = "application/json";
/// How long the server keeps a watch open: a day, since the terminal's user ends it. Without a
/// number kube asks for five minutes.
const WATCH_SECONDS: u32 = 24 * 60 * 60;

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
    let request = Request::get(path).body(Vec::new());
    let request = request.map_err(Failure::request)?;
    let mut frames = BodyStream::new(session.open_stream(request).await?);
    let mut out = tokio::io::stdout();
    while let Some(frame) = frames.next().await {
        if let Ok(data) = frame.map_err(Failure::kube)?.into_data() {
            tokio::io::AsyncWriteExt::write_all(&mut out, &data).await?;
        }
    }
    Ok(tokio::io::AsyncWriteExt::flush(&mut out).await?)
}

/// The path of a collection or object, with the selectors of the command.
fn path(session: &Session, args: &Get, served: &Served, name: Option<&str>) -> String {
    let namespace = (!args.all_namespaces).then_some(session.namespace.as_str());
    let path = served.resource.path(namespace, name, None);
    let selectors = [
        ("labelSelector", args.selector.as_deref()),
        ("fieldSelector", args.field_selector.as_deref()),
    ];
    let selectors = selectors.into_iter().filter(|_| name.is_none());
    with_query(
        &path,
        selectors.filter_map(|(key, text)| Some((key, text?))),
    )
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
            eprintln!("{}", Failure::Api(e).report());
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
    let params = WatchParams {
        label_selector: args.selector.clone(),
        field_selector: name.or_else(|| args.field_selector.clone()),
        timeout: Some(WATCH_SECONDS),
        ..WatchParams::default().disable_bookmarks()
    };
    let namespace = (!args.all_namespaces).then_some(session.namespace.as_str());
    let path = target.served.resource.path(namespace, None, None);
    let request = kube::core::Request::new(path).watch(&params, version);
    let mut request = request.map_err(Error::from)?;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(TABLE));
    let events = session.client.kube().request_events::<Value>(request).await;
    let mut events = std::pin::pin!(events.map_err(Failure::kube)?);
    while let Some(event) = events.try_next().await.map_err(Failure::kube)? {
        match event {
            WatchEvent::Added(table) | WatchEvent::Modified(table) | WatchEvent::Deleted(table) => {
                print!("{}", printer.print(&table));
            }
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(Failure::local(status.message)),
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
