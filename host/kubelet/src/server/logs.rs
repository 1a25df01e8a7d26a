//! `/containerLogs/{namespace}/{pod}/{container}`.

use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use k3s_serve::{Body, body};
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

use super::query::Query;
use super::{Server, text};
use crate::logs::read::{self, Options};
use crate::pod::model;

/// Chunks waiting for a slow client; then the reader waits.
const CHANNEL: usize = 4;

/// Streams the log.
pub(crate) async fn serve(
    server: &Server,
    namespace: &str,
    pod_name: &str,
    container: &str,
    query: &Query,
) -> Response<Body> {
    let ctx = &server.ctx;
    let Some(handle) = ctx.pods.by_name(namespace, pod_name) else {
        return text(
            StatusCode::NOT_FOUND,
            format!("pod \"{pod_name}\" does not exist\n"),
        );
    };
    let pod = handle.pod();
    let known = pod
        .spec
        .as_ref()
        .is_some_and(|s| model::every_container(s).any(|(_, c)| c.name == container));
    if !known {
        return text(
            StatusCode::NOT_FOUND,
            format!("container \"{container}\" not found in pod \"{pod_name}\"\n"),
        );
    }
    let options = match options(query, ctx.config.clock.now()) {
        Ok(options) => options,
        Err(message) => return text(StatusCode::BAD_REQUEST, message),
    };
    let id = match choose(
        &handle.status(),
        pod_name,
        container,
        query.flag("previous"),
    ) {
        Ok(id) => id,
        Err(message) => return text(StatusCode::BAD_REQUEST, message),
    };
    let path = match ctx.cri.container_status(&id).await {
        Ok(Some(status)) => std::path::PathBuf::from(status.log_path),
        Ok(None) => {
            return text(
                StatusCode::BAD_REQUEST,
                format!(
                    "unable to retrieve container logs for {}://{id}",
                    ctx.runtime_name
                ),
            );
        }
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let (sender, body) = body::channel(CHANNEL);
    let context = ctx.clone();
    ctx.tasks.spawn_until_stopped("log reader", async move {
        let running = || async {
            let status = context.cri.container_status(&id).await;
            status.is_ok_and(|s| {
                s.is_some_and(|s| s.state == k3s_cri::v1::ContainerState::ContainerRunning as i32)
            })
        };
        if let Err(error) = read::send(path, options, sender.clone(), running).await {
            sender.fail(error).await;
        }
    });
    let mut response = Response::new(body);
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain"),
    );
    response
}

fn options(query: &Query, now: Timestamp) -> Result<Options, String> {
    let number = |name: &str| -> Result<Option<u64>, String> {
        query
            .get(name)
            .map(|v| v.parse().map_err(|_| format!("invalid {name}: \"{v}\"")))
            .transpose()
    };
    let since_seconds = number("sinceSeconds")?;
    let since = match (query.get("sinceTime"), since_seconds) {
        (Some(time), None) => Some(
            time.parse()
                .map_err(|_| format!("invalid sinceTime: \"{time}\""))?,
        ),
        (None, Some(secs)) => now
            .checked_sub(SignedDuration::from_secs(i64::try_from(secs).unwrap_or(0)))
            .ok(),
        (None, None) => None,
        (Some(_), Some(_)) => {
            return Err("at most one of `sinceTime` or `sinceSeconds` may be specified".to_owned());
        }
    };
    let stream = match query.get("stream").unwrap_or("All") {
        "All" | "" => None,
        "Stdout" => Some("stdout".to_owned()),
        "Stderr" => Some("stderr".to_owned()),
        other => {
            return Err(format!(
                "stream: Unsupported value: \"{other}\": supported values: \"All\", \"Stdout\", \"Stderr\""
            ));
        }
    };
    Ok(Options {
        follow: query.flag("follow"),
        timestamps: query.flag("timestamps"),
        tail: number("tailLines")?,
        since,
        limit_bytes: number("limitBytes")?,
        stream,
    })
}

/// The container whose log is meant (`validateContainerLogStatus` in `pkg/kubelet/kubelet_pods.go`).
fn choose(
    status: &PodStatus,
    pod: &str,
    container: &str,
    previous: bool,
) -> Result<String, String> {
    let lists = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    let mut all = lists.into_iter().flatten().flatten();
    let found: Option<&ContainerStatus> = all.find(|s| s.name == container);
    let Some(found) = found else {
        return Err(format!(
            "container \"{container}\" in pod \"{pod}\" is not available"
        ));
    };
    let bare = |id: &str| {
        id.split_once("://")
            .map_or_else(|| id.to_owned(), |(_, id)| id.to_owned())
    };
    let state = found.state.clone().unwrap_or_default();
    let last = found
        .last_state
        .clone()
        .unwrap_or_default()
        .terminated
        .and_then(|t| t.container_id);
    if previous {
        return last.map(|id| bare(&id)).ok_or_else(|| {
            format!("previous terminated container \"{container}\" in pod \"{pod}\" not found")
        });
    }
    if state.running.is_some() {
        return Ok(bare(found.container_id.as_deref().unwrap_or_default()));
    }
    if let Some(id) = state.terminated.and_then(|t| t.container_id).or(last) {
        return Ok(bare(&id));
    }
    let reason = state.waiting.and_then(|w| w.reason).unwrap_or_default();
    let why = match reason.as_str() {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    };
    Err(format!(
        "container \"{container}\" in pod \"{pod}\" is waiting to start: {why}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_right_container_or_upstreams_words() {
        let status = |state: serde_json::Value, last: serde_json::Value| -> PodStatus {
            serde_json::from_value(
                json!({"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": false,
                "restartCount": 0, "containerID": "x://now", "state": state, "lastState": last}]}),
            )
            .unwrap()
        };
        let waiting = status(
            json!({"waiting": {"reason": "ContainerCreating"}}),
            json!({}),
        );
        assert_eq!(
            choose(&waiting, "y", "c", false).unwrap_err(),
            "container \"c\" in pod \"y\" is waiting to start: ContainerCreating"
        );
        let crashed = status(
            json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            json!({"terminated": {"exitCode": 1, "containerID": "x://old"}}),
        );
        assert_eq!(choose(&crashed, "y", "c", false).unwrap(), "old");
        assert_eq!(choose(&crashed, "y", "c", true).unwrap(), "old");
        let running = status(json!({"running": {}}), json!({}));
        assert_eq!(choose(&running, "y", "c", false).unwrap(), "now");
        assert!(
            choose(&running, "y", "c", true)
                .unwrap_err()
                .starts_with("previous terminated container")
        );
    }
}
