//! Answers to requests that no route takes, in the words of upstream's router: paths and verbs that are not
//! served. The router knows the groups that are built in; other paths are those of Go's multiplexer, and custom
//! resources have answers of their own.

use http::Response;
use k3s_meta::Status;
use k3s_registry::{Error, Resource, Result};
use k3s_resources::apiextensions::CustomResource;
use k3s_serve::Body;

use super::page_not_found;

/// Whether the router knows the paths below a group.
pub(crate) fn is_routed(group: &str) -> bool {
    k3s_api::kinds().iter().any(|kind| kind.group == group)
}

/// No such path below a group.
pub(crate) fn unknown(group: &str) -> Result<Response<Body>> {
    if is_routed(group) {
        Err(Status::no_route().into())
    } else {
        Ok(page_not_found())
    }
}

/// A resource that does not have the verb.
pub(crate) fn without(resource: &Resource, verb: &str) -> Error {
    match CustomResource::of(resource) {
        Some(_) => Status::method_not_allowed(&resource.gr(), verb).into(),
        None => Status::no_method().into(),
    }
}
