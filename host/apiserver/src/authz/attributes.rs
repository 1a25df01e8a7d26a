//! The question put to the authorizers, and the words in which they refuse.

use k3s_meta::{GroupResource, Status, UserInfo};

use crate::request::RequestInfo;

/// One question: may `user` do `verb` to this?
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a> {
    pub(crate) user: &'a UserInfo,
    pub(crate) verb: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) name: &'a str,
    /// The path of a request for something other than a resource.
    pub(crate) path: &'a str,
    pub(crate) is_resource: bool,
    /// The field selector of a list or watch.
    pub(crate) field_selector: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    /// The question that a request raises.
    pub(crate) fn of_request(user: &'a UserInfo, info: &'a RequestInfo) -> Self {
        Self {
            user,
            verb: info.verb,
            namespace: &info.namespace,
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            name: &info.name,
            path: &info.path,
            is_resource: info.is_resource,
            field_selector: info.field_selector.as_deref(),
        }
    }

    /// `pods` or `pods/log`.
    pub(crate) fn resource_path(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The 403 in upstream's words.
    pub(crate) fn forbidden(&self, reason: &str) -> Status {
        let mut message = self.sentence();
        if !reason.is_empty() {
            message.push_str(": ");
            message.push_str(reason);
        }
        let gr = if self.is_resource {
            GroupResource::new(self.group.to_owned(), self.resource.to_owned())
        } else {
            GroupResource::default()
        };
        Status::forbidden(&gr, self.name, &message)
    }

    fn sentence(&self) -> String {
        let user = &self.user.name;
        if !self.is_resource {
            return format!("User {user:?} cannot {} path {:?}", self.verb, self.path);
        }
        let scope = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", self.namespace)
        };
        format!(
            "User {user:?} cannot {} resource {:?} in API group {:?} {scope}",
            self.verb,
            self.resource_path(),
            self.group
        )
    }
}
