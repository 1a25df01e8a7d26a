//! What a rule may know about the request it serves.

use jiff::Timestamp;
use k3s_base::clock::rfc3339;
use k3s_meta::UserInfo;

/// The request behind a write. Upstream hands strategies the same facts in a `context.Context`.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The authenticated user, after impersonation.
    pub user: &'a UserInfo,
    /// The time of the request; every time stamp of one write is this one.
    pub now: Timestamp,
    /// True when nothing will be stored.
    pub dry_run: bool,
}

impl Context<'_> {
    /// [`Context::now`] as `metav1.Time` is written: RFC 3339 with whole seconds, in UTC.
    #[must_use]
    pub fn time_stamp(&self) -> String {
        rfc3339(self.now)
    }
}

#[cfg(test)]
impl<'a> Context<'a> {
    /// A request of `user` at the start of 1970.
    pub(crate) fn at_epoch(user: &'a UserInfo) -> Self {
        Self {
            user,
            now: Timestamp::UNIX_EPOCH,
            dry_run: false,
        }
    }
}
