//! `Impersonate-*` headers: acting as another user, for those who may.

use http::{HeaderMap, HeaderValue};
use k3s_meta::{Status, UserInfo};
use k3s_registry::Result;

use super::{ANONYMOUS, UNAUTHENTICATED, authenticated};
use crate::authz::{Attributes, Authorizer, Decision};
use crate::request::query::decode;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// The user that the request acts as. The headers are removed, so that no handler sees them.
pub(crate) fn apply(
    authorizer: &Authorizer,
    user: UserInfo,
    headers: &mut HeaderMap,
) -> Result<UserInfo> {
    if !headers
        .keys()
        .any(|name| name.as_str().starts_with("impersonate-"))
    {
        return Ok(user);
    }
    let wanted = read(headers)?;
    if let Some(wanted) = &wanted {
        check(authorizer, &user, wanted)?;
    }
    for name in headers
        .keys()
        .filter(|name| name.as_str().starts_with("impersonate-"))
        .cloned()
        .collect::<Vec<_>>()
    {
        headers.remove(name);
    }
    Ok(wanted.map_or(user, complete))
}

/// Whom the headers name; `None` where all are empty, which asks for nothing.
fn read(headers: &HeaderMap) -> Result<Option<UserInfo>> {
    let first = |name: &str| -> Result<String> {
        let mut texts = texts(headers, name)?.into_iter();
        Ok(texts.next().unwrap_or_default())
    };
    let mut wanted = UserInfo::new(first(USER)?, texts(headers, GROUP)?);
    wanted.uid = first(UID)?;
    for name in headers.keys() {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            let values = texts(headers, name.as_str())?;
            wanted
                .extra
                .insert(decode(key, false).to_lowercase(), values);
        }
    }
    if !wanted.name.is_empty() {
        return Ok(Some(wanted));
    }
    if wanted.groups.is_empty() && wanted.uid.is_empty() && wanted.extra.is_empty() {
        return Ok(None);
    }
    let text = format!("requested {:?} without impersonating a user", wanted.groups);
    Err(Status::internal(&text).into())
}

/// All values of a header, which may be any UTF-8. One that is left out would make another identity.
fn texts(headers: &HeaderMap, name: &str) -> Result<Vec<String>> {
    let text = |value: &HeaderValue| -> Result<String> {
        let text = std::str::from_utf8(value.as_bytes());
        let invalid = |_| Status::bad_request(format!("the header {name} is not valid UTF-8"));
        Ok(text.map_err(invalid)?.to_owned())
    };
    headers.get_all(name).iter().map(text).collect()
}

/// Every part needs a permission of its own.
fn check(authorizer: &Authorizer, user: &UserInfo, wanted: &UserInfo) -> Result<()> {
    let may = |group: &str, resource: &str, sub: &str, namespace: &str, name: &str| -> Result<()> {
        let attributes = Attributes {
            user,
            verb: "impersonate",
            namespace,
            group,
            resource,
            subresource: sub,
            name,
            path: "",
            is_resource: true,
            field_selector: None,
        };
        match authorizer.authorize(&attributes) {
            Decision::Allow => Ok(()),
            Decision::Deny(reason) => Err(attributes.forbidden(&reason).into()),
        }
    };
    match service_account(&wanted.name) {
        Some((namespace, name)) => may("", "serviceaccounts", "", namespace, name)?,
        None => may("", "users", "", "", &wanted.name)?,
    }
    for group in &wanted.groups {
        may("", "groups", "", "", group)?;
    }
    if !wanted.uid.is_empty() {
        may("authentication.k8s.io", "uids", "", "", &wanted.uid)?;
    }
    for (key, values) in &wanted.extra {
        for value in values {
            may("authentication.k8s.io", "userextras", key, "", value)?;
        }
    }
    Ok(())
}

/// Groups that follow from the user itself.
fn complete(mut wanted: UserInfo) -> UserInfo {
    if wanted.name == ANONYMOUS {
        if !wanted.in_group(UNAUTHENTICATED) {
            wanted.groups.push(UNAUTHENTICATED.to_owned());
        }
        return wanted;
    }
    if wanted.groups.is_empty()
        && let Some((namespace, _)) = service_account(&wanted.name)
    {
        wanted.groups = vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ];
    }
    if wanted.in_group(UNAUTHENTICATED) {
        return wanted;
    }
    authenticated(wanted)
}

/// Namespace and name in `system:serviceaccount:NAMESPACE:NAME`.
pub(crate) fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?
        .split_once(':')
        .filter(|(ns, name)| !ns.is_empty() && !name.is_empty())
}
