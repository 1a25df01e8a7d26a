//! `/containerLogs/{namespace}/{pod}/{container}`.

use std::path::PathBuf;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use k3s_cri::v1;
use k3s_serve::{Body, body};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, PodStatus};

use super::query::Query;
use super::{Server, text};
use crate::cri::{Cri, CriError};
use crate::logs::read::{self, Options};
use crate::model;

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
    let Some(handle) = server.pods.by_name(namespace, pod_name) else {
        return Err(LogError::NoPod(pod_name.to_owned()));
    };
    let pod = handle.pod();
    let mut containers = pod.spec.iter().flat_map(model::every_container);
    let exists = containers.any(|(_, c)| c.name == container);
    if !exists {
        return Err(LogError::NoContainer {
            container: container.to_owned(),
            pod: pod_name.to_owned(),
        });
    }
    let options = options(query, server.config.clock.now())?;
    let previous = query.flag("previous");
    let id = choose(&handle.status(), pod_name, container, previous)?;
    let status = server.cri.container_status(&id).await?;
    let Some(status) = status else {
        return Err(LogError::Removed {
            runtime: server.runtime_name.to_string(),
            id,
        });
    };
    Ok(Log {
        id,
        path: PathBuf::from(status.log_path),
        options,
    })
}

fn send(server: &Server, log: Log) -> Response<Body> {
    let Log { id, path, options } = log;
    let (sender, body) = body::channel(CHANNEL);
    let cri = server.cri.clone();
    server.tasks.spawn_until_stopped("log reader", async move {
        let running = || is_running(&cri, &id);
        let sent = read::send(path, options, sender.clone(), running).await;
        if let Err(error) = sent {
            sender.fail(error).await;
        }
    });
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

async fn is_running(cri: &Cri, id: &str) -> bool {
    let Ok(Some(status)) = cri.container_status(id).await else {
        return false;
    };
    status.state == v1::ContainerState::ContainerRunning as i32
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
    let Some(value) = query.get(name) else {
        return Ok(None);
    };
    match value.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(LogError::Invalid {
            name,
            value: value.to_owned(),
        }),
    }
}

/// The time from which lines are wanted.
fn since(query: &Query, now: Timestamp) -> Result<Option<Timestamp>, LogError> {
    let time = query.get("sinceTime");
    let seconds = number(query, "sinceSeconds")?;
    match (time, seconds) {
        (Some(_), Some(_)) => Err(LogError::TwoTimes),
        (Some(time), None) => match time.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(_) => Err(LogError::Invalid {
                name: "sinceTime",
                value: time.to_owned(),
            }),
        },
        (None, Some(seconds)) => {
            let seconds = i64::try_from(seconds).unwrap_or(0);
            let age = SignedDuration::from_secs(seconds);
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
    let pod = pod.to_owned();
    let name = container.to_owned();
    let Some(found) = container_status(status, container) else {
        return Err(LogError::Unknown {
            container: name,
            pod,
        });
    };
    let state = found.state.as_ref();
    let last = ended_id(found.last_state.as_ref());
    if previous {
        return last.map(bare_id).ok_or(LogError::NoPrevious {
            container: name,
            pod,
        });
    }
    let running = state.is_some_and(|state| state.running.is_some());
    if running {
        let id = found.container_id.as_deref();
        return Ok(bare_id(id.unwrap_or_default()));
    }
    if let Some(id) = ended_id(state).or(last) {
        return Ok(bare_id(id));
    }
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
    let why = match reason.unwrap_or_default() {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    };
    Err(LogError::Waiting {
        container: name,
        pod,
        why: why.to_owned(),
    })
}

/// The id of the container that ended in this state.
fn ended_id(state: Option<&ContainerState>) -> Option<&str> {
    let terminated = state?.terminated.as_ref()?;
    terminated.container_id.as_deref()
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
