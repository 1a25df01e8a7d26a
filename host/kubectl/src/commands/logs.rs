//! `kubectl logs`.

use std::collections::BTreeMap;

use http::Request;
use http_body_util::BodyExt;
use k3s_client::{empty, resources};
use tokio::io::AsyncWriteExt;

use super::get::with_query;
use super::pods;
use crate::Failure;
use crate::cli::Logs;
use crate::duration;
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Logs) -> Result<(), Failure> {
    let (word, container) = match args.what.as_slice() {
        [pod] => (pod, args.container.as_deref()),
        [pod, container] if args.container.is_none() => (pod, Some(container.as_str())),
        _ => {
            return Err(Failure::local(
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'",
            ));
        }
    };
    let pod = pods::find_for_logs(session, word).await?;
    let container = pods::container(&pod, container)?;
    let tail = args.tail.filter(|n| *n >= 0).map(|n| n.to_string());
    let since = args
        .since
        .as_deref()
        .map(|text| duration::whole_seconds("--since", text))
        .transpose()?
        .map(|n| n.to_string());
    let mut query = BTreeMap::from([("container", container.as_str())]);
    for (name, on) in [
        ("follow", args.follow),
        ("previous", args.previous),
        ("timestamps", args.timestamps),
    ] {
        query.extend(on.then_some((name, "true")));
    }
    query.extend(tail.as_deref().map(|n| ("tailLines", n)));
    query.extend(since.as_deref().map(|n| ("sinceSeconds", n)));
    let path = with_query(
        &resources::PODS.path(Some(pod.namespace()), Some(pod.name()), Some("log")),
        &query,
    );
    let request = Request::get(&path)
        .body(empty())
        .map_err(|e| Failure::local(e.to_string()))?;
    let mut body = session.open_stream(request, &path).await?.into_body();
    let mut out = tokio::io::stdout();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame
            .map_err(|e| Failure::local(e.to_string()))?
            .into_data()
        {
            out.write_all(&data).await?;
            out.flush().await?;
        }
    }
    Ok(())
}
