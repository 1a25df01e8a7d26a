//! Constructors of `Status`, one per upstream error.

use super::{Cause, CauseType, Details, ListMeta, Reason, Status};
use crate::field::ErrorList;
use crate::gvk::{GroupKind, GroupResource};
use crate::quote::quote;

fn failure(code: u16, reason: Reason, message: impl Into<String>) -> Status {
    Status {
        kind: super::kind(),
        api_version: super::api_version(),
        metadata: ListMeta::default(),
        status: "Failure".to_owned(),
        message: message.into(),
        reason,
        details: None,
        code,
    }
}

fn routed(code: u16, reason: Reason, message: impl Into<String>) -> Status {
    Status {
        details: Some(Details::default()),
        ..failure(code, reason, message)
    }
}

fn about(gr: &GroupResource, name: &str) -> Details {
    Details {
        name: name.to_owned(),
        group: gr.group.to_string(),
        kind: gr.resource.to_string(),
        ..Details::default()
    }
}

fn retry(seconds: u32) -> Details {
    Details {
        retry_after_seconds: i32::try_from(seconds).unwrap_or(i32::MAX),
        ..Details::default()
    }
}

impl Status {
    /// What a router says to a path that it does not know (`NewGenericServerResponse`).
    pub fn no_route() -> Self {
        let message = "the server could not find the requested resource";
        routed(404, Reason::NotFound, message)
    }

    /// What a router says to a verb that a path does not have.
    pub fn no_method() -> Self {
        let message = "the server does not allow this method on the requested resource";
        routed(405, Reason::MethodNotAllowed, message)
    }

    /// What a router says to a body whose media type a path does not take.
    pub fn no_consumer() -> Self {
        routed(
            415,
            Reason::UnsupportedMediaType,
            "415: Unsupported Media Type",
        )
    }

    /// What a router says to a client that takes none of the media types (`available`) of a path.
    pub fn no_producer(available: &str) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
        routed(406, Reason::NotAcceptable, message)
    }

    /// `pods "a" not found`
    pub fn not_found(gr: &GroupResource, name: &str) -> Self {
        let status = failure(
            404,
            Reason::NotFound,
            format!("{gr} {} not found", quote(name)),
        );
        Self {
            details: Some(about(gr, name)),
            ..status
        }
    }

    /// `pods "a" already exists`
    pub fn already_exists(gr: &GroupResource, name: &str) -> Self {
        let status = failure(
            409,
            Reason::AlreadyExists,
            format!("{gr} {} already exists", quote(name)),
        );
        Self {
            details: Some(about(gr, name)),
            ..status
        }
    }

    /// `generateName` gave a taken name too often.
    pub fn generate_name_conflict(gr: &GroupResource, name: &str, retry_s: u32) -> Self {
        let name_text = quote(name);
        let message = format!(
            "{gr} {name_text} already exists, the server was not able to generate a unique name for the object"
        );
        let details = Details {
            retry_after_seconds: retry(retry_s).retry_after_seconds,
            ..about(gr, name)
        };
        Self {
            details: Some(details),
            ..failure(409, Reason::AlreadyExists, message)
        }
    }

    /// `Operation cannot be fulfilled on pods "a": ...`
    pub fn conflict(gr: &GroupResource, name: &str, message: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {gr} {}: {message}",
            quote(name)
        );
        Self {
            details: Some(about(gr, name)),
            ..failure(409, Reason::Conflict, message)
        }
    }

    /// The conflict of an update with an old resource version.
    pub fn modified(gr: &GroupResource, name: &str) -> Self {
        const MESSAGE: &str = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(gr, name, MESSAGE)
    }

    /// `Deployment.apps "a" is invalid: ...` with one cause per error.
    pub fn invalid(gk: &GroupKind, name: &str, errors: &ErrorList) -> Self {
        let head = format!("{gk} {} is invalid", quote(name));
        let message = if errors.is_empty() {
            head
        } else {
            format!("{head}: {errors}")
        };
        let details = Details {
            name: name.to_owned(),
            group: gk.group.to_string(),
            kind: gk.kind.to_string(),
            causes: errors.iter().map(Cause::from).collect(),
            ..Details::default()
        };
        Self {
            details: Some(details),
            ..failure(422, Reason::Invalid, message)
        }
    }

    /// A patch that is well-formed but cannot be applied.
    pub fn unprocessable(server_message: &str) -> Self {
        let cause = Cause {
            reason: CauseType::UNEXPECTED_SERVER_RESPONSE,
            message: server_message.to_owned(),
            field: String::new(),
        };
        let causes = if server_message.is_empty() {
            Vec::new()
        } else {
            vec![cause]
        };
        let message = "the server rejected our request due to an error in our request";
        let details = Details {
            causes,
            ..Details::default()
        };
        Self {
            details: Some(details),
            ..failure(422, Reason::Invalid, message)
        }
    }

    /// The request itself is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        failure(400, Reason::BadRequest, message)
    }

    /// `pods "a" is forbidden: ...`; the form without name or resource when those are empty.
    pub fn forbidden(gr: &GroupResource, name: &str, message: &str) -> Self {
        let message = match (
            gr.resource.is_empty() && gr.group.is_empty(),
            name.is_empty(),
        ) {
            (true, _) => format!("forbidden: {message}"),
            (false, true) => format!("{gr} is forbidden: {message}"),
            (false, false) => format!("{gr} {} is forbidden: {message}", quote(name)),
        };
        Self {
            details: Some(about(gr, name)),
            ..failure(403, Reason::Forbidden, message)
        }
    }

    /// Who asks is not known. An empty message reads `not authorized`.
    pub fn unauthorized(message: &str) -> Self {
        failure(
            401,
            Reason::Unauthorized,
            if message.is_empty() {
                "not authorized"
            } else {
                message
            },
        )
    }

    /// `delete is not supported on resources of kind "pods"`
    pub fn method_not_allowed(gr: &GroupResource, verb: &str) -> Self {
        let kind = quote(&gr.to_string());
        let message = format!("{verb} is not supported on resources of kind {kind}");
        Self {
            details: Some(about(gr, "")),
            ..failure(405, Reason::MethodNotAllowed, message)
        }
    }

    /// The revision asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        failure(410, Reason::Expired, message)
    }

    /// What was asked for is gone for good.
    pub fn gone(message: impl Into<String>) -> Self {
        failure(410, Reason::Gone, message)
    }

    /// The request's media type is not one of those named.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        failure(415, Reason::UnsupportedMediaType, message)
    }

    /// No acceptable media type can be produced.
    pub fn not_acceptable(message: impl Into<String>) -> Self {
        failure(406, Reason::NotAcceptable, message)
    }

    /// `Request entity too large: ...`
    pub fn too_large(message: &str) -> Self {
        failure(
            413,
            Reason::RequestEntityTooLarge,
            format!("Request entity too large: {message}"),
        )
    }

    /// Come again later.
    pub fn too_many_requests(message: impl Into<String>, retry_s: u32) -> Self {
        Self {
            details: Some(retry(retry_s)),
            ..failure(429, Reason::TooManyRequests, message)
        }
    }

    /// `Internal error occurred: ...`
    pub fn internal(error: &str) -> Self {
        let causes = vec![Cause {
            message: error.to_owned(),
            ..Cause::default()
        }];
        let status = failure(
            500,
            Reason::InternalError,
            format!("Internal error occurred: {error}"),
        );
        Self {
            details: Some(Details {
                causes,
                ..Details::default()
            }),
            ..status
        }
    }

    /// A failure that upstream's handlers have no reason for (`ErrorToAPIStatus`).
    pub fn unclassified(message: &str) -> Self {
        failure(500, Reason::Unknown, message)
    }

    /// `Timeout: ...`; the operation may still complete.
    pub fn timeout(message: &str) -> Self {
        let status = failure(504, Reason::Timeout, format!("Timeout: {message}"));
        Self {
            details: Some(Details::default()),
            ..status
        }
    }

    /// The resource version asked for is ahead of this server.
    pub fn too_large_resource_version(requested: u64, current: u64, retry_s: u32) -> Self {
        let message = format!("Too large resource version: {requested}, current: {current}");
        let cause = Cause {
            reason: CauseType::RESOURCE_VERSION_TOO_LARGE,
            message: "Too large resource version".to_owned(),
            field: String::new(),
        };
        let details = Details {
            causes: vec![cause],
            ..retry(retry_s)
        };
        Self {
            details: Some(details),
            ..failure(504, Reason::Timeout, format!("Timeout: {message}"))
        }
    }

    /// The service cannot answer now.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        failure(503, Reason::ServiceUnavailable, message)
    }

    /// Success without an object, optionally about one.
    pub fn success(details: Option<Details>) -> Self {
        Self {
            status: "Success".to_owned(),
            details,
            ..failure(200, Reason::Unknown, "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Path, invalid};
    use serde_json::json;

    #[test]
    fn words_and_codes_as_upstream() {
        let pods = GroupResource::new("", "pods");
        let deployments = GroupResource::new("apps", "deployments");
        let table = [
            (
                Status::not_found(&deployments, "a"),
                404,
                "NotFound",
                "deployments.apps \"a\" not found",
            ),
            (
                Status::already_exists(&pods, "a"),
                409,
                "AlreadyExists",
                "pods \"a\" already exists",
            ),
            (
                Status::modified(&pods, "a"),
                409,
                "Conflict",
                "Operation cannot be fulfilled on pods \"a\": the object has been modified; please apply your changes to the latest version and try again",
            ),
            (
                Status::forbidden(&pods, "a", "no"),
                403,
                "Forbidden",
                "pods \"a\" is forbidden: no",
            ),
            (
                Status::forbidden(&pods, "", "no"),
                403,
                "Forbidden",
                "pods is forbidden: no",
            ),
            (
                Status::forbidden(&GroupResource::default(), "", "no"),
                403,
                "Forbidden",
                "forbidden: no",
            ),
            (
                Status::unauthorized(""),
                401,
                "Unauthorized",
                "not authorized",
            ),
            (
                Status::method_not_allowed(&deployments, "create"),
                405,
                "MethodNotAllowed",
                "create is not supported on resources of kind \"deployments.apps\"",
            ),
            (
                Status::internal("x"),
                500,
                "InternalError",
                "Internal error occurred: x",
            ),
            (Status::timeout("x"), 504, "Timeout", "Timeout: x"),
            (
                Status::too_large("x"),
                413,
                "RequestEntityTooLarge",
                "Request entity too large: x",
            ),
        ];
        for (status, code, reason, message) in table {
            assert_eq!(
                (status.code, status.reason.as_str(), status.message.as_str()),
                (code, reason, message)
            );
        }
    }

    #[test]
    fn invalid_as_json() {
        let path = Path::new("spec").child("replicas");
        let errors = ErrorList::from(invalid(&path, -1, "must be greater than or equal to 0"));
        let status = Status::invalid(&GroupKind::new("apps", "Deployment"), "a", &errors);
        let want = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid", "code": 422,
            "message": "Deployment.apps \"a\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "details": {"name": "a", "group": "apps", "kind": "Deployment", "causes": [{"reason": "FieldValueInvalid",
                "message": "Invalid value: -1: must be greater than or equal to 0", "field": "spec.replicas"}]}});
        assert_eq!(status.to_value(), want);
        assert_eq!(Status::from_value(&want), Some(status));
    }

    #[test]
    fn success_as_json() {
        let want = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200});
        assert_eq!(Status::success(None).to_value(), want);
    }
}
