//! `kubectl logs`.

use http_body_util::BodyExt;
use k3s_client::Error;
use k3s_client::resources::PODS;
use kube::api::LogParams;
use kube::core::Request;
use tokio::io::AsyncWriteExt;

use super::pods;
use crate::cli::Logs;
use crate::duration;
use crate::error::Failure;
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
    let since = args.since.as_deref();
    let since = since.map(|text| duration::whole_seconds("--since", text));
    let params = LogParams {
        container: Some(container),
        follow: args.follow,
        previous: args.previous,
        timestamps: args.timestamps,
        tail_lines: args.tail.filter(|count| *count >= 0),
        since_seconds: since.transpose()?.and_then(|s| i64::try_from(s).ok()),
        ..LogParams::default()
    };
    let request = Request::new(PODS.path(Some(pod.namespace()), None, None));
    let request = request.logs(pod.name(), &params).map_err(Error::from)?;
    let mut body = session.open_stream(request).await?;
    let mut out = tokio::io::stdout();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(Failure::kube)?.into_data() {
            out.write_all(&data).await?;
            out.flush().await?;
        }
    }
    Ok(())
}
