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
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Logs) -> Result<(), Failure> {
    let (word, container) = match args.what.as_slice() {
        [pod] => (pod, args.container.as_deref()),
        [pod, container] if args.container.is_none() => (pod, Some(container.as_str())),
        _ => return Err(Failure::local("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'")),
    };
    let pod = pods::find(session, word).await?;
    let container = pods::container(&pod, container)?;
    let tail = args.tail.filter(|n| *n >= 0).map(|n| n.to_string());
    let since = args.since.as_deref().map(seconds).transpose()?.map(|n| n.to_string());
    let mut query = BTreeMap::from([("container", container.as_str())]);
    for (name, on) in [("follow", args.follow), ("previous", args.previous), ("timestamps", args.timestamps)] {
        query.extend(on.then_some((name, "true")));
    }
    query.extend(tail.as_deref().map(|n| ("tailLines", n)));
    query.extend(since.as_deref().map(|n| ("sinceSeconds", n)));
    let path = with_query(&resources::PODS.path(Some(pod.namespace()), Some(pod.name()), Some("log")), &query);
    let request = Request::get(&path).body(empty()).map_err(|e| Failure::local(e.to_string()))?;
    let mut body = session.open_stream(request, &path).await?.into_body();
    let mut out = tokio::io::stdout();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|e| Failure::local(e.to_string()))?.into_data() {
            out.write_all(&data).await?;
            out.flush().await?;
        }
    }
    Ok(())
}

/// Seconds of a Go duration such as `1h30m` or `45s`, rounded up.
fn seconds(text: &str) -> Result<u64, Failure> {
    let bad =
        || Failure::local(format!("invalid argument {text:?} for \"--since\" flag: time: invalid duration {text:?}"));
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return Err(bad()),
        };
        total += number.parse::<f64>().map_err(|_| bad())? * scale;
        rest = after;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "parsed from unsigned digits")]
    if text.is_empty() { Err(bad()) } else { Ok((total.ceil() as u64).max(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(seconds("1h30m").unwrap(), 5400);
        assert_eq!(seconds("1.5s").unwrap(), 2);
        assert_eq!(seconds("200ms").unwrap(), 1);
        for bad in ["", "5", "5x", "s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
