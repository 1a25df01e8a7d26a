//! `/containerLogs/{namespace}/{pod}/{container}`.

use std::path::PathBuf;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use k3s_cri::v1::ContainerState;
use k3s_serve::{Body, body};
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

use super::query::Query;
use super::{Server, text};
use crate::cri::CriError;
use crate::logs::read::{self, Options};
use crate::pod::model;

/// Chunks waiting for a slow client; then the reader waits.
const CHANNEL: usize = 4;

/// Why a log is not served, in upstream's words.
#[derive(Debug, thiserror::Error)]
enum LogError {
    #[error("pod \"{0}\" does not exist\n")]
    NoPod(String),
    #[error("container \"{container}\" not found in pod \"{pod}\"\n")]
    NoContainer { container: String, pod: String },
    #[error("unable to retrieve container logs for {runtime}://{id}")]
    Removed { runtime: String, id: String },
    #[error(transparent)]
    Runtime(#[from] CriError),
    #[error("invalid {name}: \"{value}\"")]
    Invalid { name: &'static str, value: String },
    #[error("at most one of `sinceTime` or `sinceSeconds` may be specified")]
    TwoTimes,
    #[error(
        "stream: Unsupported value: \"{0}\": supported values: \"All\", \"Stdout\", \"Stderr\""
    )]
    Stream(String),
    #[error("container \"{container}\" in pod \"{pod}\" is not available")]
    Unknown { container: String, pod: String },
    #[error("previous terminated container \"{container}\" in pod \"{pod}\" not found")]
    NoPrevious { container: String, pod: String },
    #[error("container \"{container}\" in pod \"{pod}\" is waiting to start: {why}")]
    Waiting {
        container: String,
        pod: String,
        why: String,
    },
}

impl LogError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoPod(_) | Self::NoContainer { .. } => StatusCode::NOT_FOUND,
            Self::Runtime(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// The log of one container, and what of it is wanted.
struct Log {
    id: String,
    path: PathBuf,
    options: Options,
}

/// Streams the log.
pub(super) async fn serve(
    server: &Server,
    namespace: &str,
    pod: &str,
    container: &str,
    query: &Query,
) -> Response<Body> {
    match find(server, namespace, pod, container, query).await {
        Ok(log) => send(server, log),
        Err(error) => text(error.status(), error.to_string()),
    }
}

async fn find(
    server: &Server,
    namespace: &str,
    pod_name: &str,
    container: &str,
    query: &Query,
) -> Result<Log, LogError> {
    let handle = server.pods.by_name(namespace, pod_name);
    let handle = handle.ok_or_else(|| LogError::NoPod(pod_name.to_owned()))?;
    let pod = handle.pod();
    let mut containers = pod.spec.iter().flat_map(model::every_container);
    if !containers.any(|(_, c)| c.name == container) {
        return Err(LogError::NoContainer {
            container: container.to_owned(),
            pod: pod_name.to_owned(),
        });
    }
    let options = options(query, server.config.clock.now())?;
    let previous = query.flag("previous");
    let id = choose(&handle.status(), pod_name, container, previous)?;
    match server.cri.container_status(&id).await? {
        Some(status) => Ok(Log {
            id,
            path: PathBuf::from(status.log_path),
            options,
        }),
        None => Err(LogError::Removed {
            runtime: server.runtime_name.to_string(),
            id,
        }),
    }
}

fn send(server: &Server, log: Log) -> Response<Body> {
    let Log { id, path, options } = log;
    let (sender, body) = body::channel(CHANNEL);
    let cri = server.cri.clone();
    server.tasks.spawn_until_stopped("log reader", async move {
        let running = || async {
            let status = cri.container_status(&id).await;
            let state = status.ok().flatten().map(|status| status.state);
            state == Some(ContainerState::ContainerRunning as i32)
        };
        if let Err(error) = read::send(path, options, sender.clone(), running).await {
            sender.fail(error).await;
        }
    });
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn options(query: &Query, now: Timestamp) -> Result<Options, LogError> {
    Ok(Options {
        follow: query.flag("follow"),
        timestamps: query.flag("timestamps"),
        tail: number(query, "tailLines")?,
        since: since(query, now)?,
        limit_bytes: number(query, "limitBytes")?,
        stream: stream(query)?,
    })
}

fn number(query: &Query, name: &'static str) -> Result<Option<u64>, LogError> {
    let invalid = |value: &str| LogError::Invalid {
        name,
        value: value.to_owned(),
    };
    let value = query.get(name);
    value
        .map(|value| value.parse().map_err(|_| invalid(value)))
        .transpose()
}

/// The time from which lines are wanted.
fn since(query: &Query, now: Timestamp) -> Result<Option<Timestamp>, LogError> {
    match (query.get("sinceTime"), number(query, "sinceSeconds")?) {
        (Some(_), Some(_)) => Err(LogError::TwoTimes),
        (Some(time), None) => {
            let parsed = time.parse().map_err(|_| LogError::Invalid {
                name: "sinceTime",
                value: time.to_owned(),
            });
            parsed.map(Some)
        }
        (None, Some(secs)) => {
            let age = SignedDuration::from_secs(i64::try_from(secs).unwrap_or(0));
            Ok(now.checked_sub(age).ok())
        }
        (None, None) => Ok(None),
    }
}

fn stream(query: &Query) -> Result<Option<String>, LogError> {
    match query.get("stream").unwrap_or("All") {
        "All" | "" => Ok(None),
        "Stdout" => Ok(Some("stdout".to_owned())),
        "Stderr" => Ok(Some("stderr".to_owned())),
        other => Err(LogError::Stream(other.to_owned())),
    }
}

/// The id of the container whose log is meant (`validateContainerLogStatus` in
/// `pkg/kubelet/kubelet_pods.go`).
fn choose(
    status: &PodStatus,
    pod: &str,
    container: &str,
    previous: bool,
) -> Result<String, LogError> {
    let owned = || (container.to_owned(), pod.to_owned());
    let Some(found) = container_status(status, container) else {
        let (container, pod) = owned();
        return Err(LogError::Unknown { container, pod });
    };
    let state = found.state.as_ref();
    let last = found.last_state.as_ref();
    let last = last.and_then(|s| s.terminated.as_ref()?.container_id.as_deref());
    if previous {
        let (container, pod) = owned();
        return last
            .map(bare_id)
            .ok_or(LogError::NoPrevious { container, pod });
    }
    if state.is_some_and(|s| s.running.is_some()) {
        let id = found.container_id.as_deref();
        return Ok(bare_id(id.unwrap_or_default()));
    }
    let ended = state.and_then(|s| s.terminated.as_ref()?.container_id.as_deref());
    if let Some(id) = ended.or(last) {
        return Ok(bare_id(id));
    }
    let reason = state.and_then(|s| s.waiting.as_ref()?.reason.as_deref());
    let why = match reason.unwrap_or_default() {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    };
    let (container, pod) = owned();
    Err(LogError::Waiting {
        container,
        pod,
        why: why.to_owned(),
    })
}

fn container_status<'a>(status: &'a PodStatus, container: &str) -> Option<&'a ContainerStatus> {
    let lists = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    let mut all = lists.into_iter().flatten().flatten();
    all.find(|status| status.name == container)
}

/// The runtime's id in `runtime://id`.
fn bare_id(id: &str) -> String {
    let bare = id.split_once("://").map_or(id, |(_, bare)| bare);
    bare.to_owned()
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
            choose(&waiting, "y", "c", false).unwrap_err().to_string(),
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
                .to_string()
                .starts_with("previous terminated container")
        );
    }
}
