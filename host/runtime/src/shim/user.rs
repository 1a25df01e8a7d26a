//! Who a container runs as: names and numbers from its own `/etc/passwd` and `/etc/group`.

use std::io;
use std::path::Path;

use super::protocol::UserRequest;

/// A hostile image must not make the shim read without end.
const FILE_LIMIT_BYTES: u64 = 4 << 20;

/// The numbers that a process runs with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Ascending, without duplicates, with the primary group, as containerd sets them.
    pub(super) groups: Vec<u32>,
}

/// Why a container's user cannot be determined. The wording is runc's.
#[derive(Debug, thiserror::Error)]
pub(super) enum UserError {
    /// `/etc/passwd` has no such name.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// `/etc/group` has no such name.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    /// One of the two files cannot be read.
    #[error("cannot read the image's {path}")]
    Read {
        path: &'static str,
        #[source]
        source: io::Error,
    },
}

/// Resolves `request` in the root file system at `rootfs`.
pub(super) fn resolve(rootfs: &Path, request: &UserRequest) -> Result<User, UserError> {
    let read = |path: &'static str| {
        k3s_sys::fs::read_in_root(rootfs, Path::new(path), FILE_LIMIT_BYTES)
            .map(Option::unwrap_or_default)
            .map_err(|source| UserError::Read { path, source })
    };
    decide(request, &read("etc/passwd")?, &read("etc/group")?)
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { name, uid, gid })
    })
}

/// Name, number and members of each group.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

/// Who the image's files say the process runs as.
fn decide(request: &UserRequest, passwd: &str, group: &str) -> Result<User, UserError> {
    let (user, named_group) = match request.user.split_once(':') {
        Some((user, group)) => (user, group),
        None => (request.user.as_str(), ""),
    };
    let account = account_of(user, passwd)?;
    let gid = match request.group {
        Some(gid) => gid,
        None if named_group.is_empty() => account.gid,
        None => gid_of(named_group, group)?,
    };
    let mut gids = request.supplemental_groups.clone();
    gids.push(gid);
    if !request.strict_groups && !account.name.is_empty() {
        gids.extend(memberships(account.name, group));
    }
    gids.sort_unstable();
    gids.dedup();
    Ok(User {
        uid: account.uid,
        gid,
        groups: gids,
    })
}

/// The account of a name or number; of root when `user` is empty. A number needs no entry.
fn account_of<'a>(user: &str, passwd: &'a str) -> Result<Account<'a>, UserError> {
    let number = match user.parse::<u32>() {
        Ok(uid) => Some((uid, "")),
        Err(_) if user.is_empty() => Some((0, "root")),
        Err(_) => None,
    };
    if let Some((uid, name)) = number {
        let listed = accounts(passwd).find(|account| account.uid == uid);
        return Ok(listed.unwrap_or(Account { name, uid, gid: 0 }));
    }
    accounts(passwd)
        .find(|account| account.name == user)
        .ok_or_else(|| UserError::NoUser(user.to_owned()))
}

/// The number of a group that is given by name or number. A number needs no entry.
fn gid_of(name: &str, group: &str) -> Result<u32, UserError> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    groups(group)
        .find(|(found, ..)| *found == name)
        .map(|(_, gid, _)| gid)
        .ok_or_else(|| UserError::NoGroup(name.to_owned()))
}

/// The groups that list `user` as a member.
fn memberships(user: &str, group: &str) -> impl Iterator<Item = u32> {
    groups(group)
        .filter(move |(.., members)| members.split(',').any(|member| member == user))
        .map(|(_, gid, _)| gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/var/www:/bin/false\nbroken\n";
    const GROUP: &str = "root:x:0:\nweb:x:102:\nlogs:x:7:other,web\n";

    fn of(user: &str) -> Result<User, UserError> {
        decide(
            &UserRequest {
                user: user.into(),
                ..Default::default()
            },
            PASSWD,
            GROUP,
        )
    }

    #[test]
    fn names_and_numbers_are_found() {
        assert_eq!(
            of("web").unwrap(),
            User {
                uid: 101,
                gid: 102,
                groups: vec![7, 102]
            }
        );
        assert_eq!(
            of("101").unwrap(),
            User {
                uid: 101,
                gid: 102,
                groups: vec![7, 102]
            }
        );
        assert_eq!(of("web:logs").unwrap().gid, 7);
        assert_eq!(
            of("5000:6000").unwrap(),
            User {
                uid: 5000,
                gid: 6000,
                groups: vec![6000]
            }
        );
        assert_eq!(
            of("").unwrap(),
            User {
                uid: 0,
                gid: 0,
                groups: vec![0]
            }
        );
        assert!(
            of("nobody")
                .unwrap_err()
                .to_string()
                .contains("unable to find user nobody")
        );
        assert!(of("web:nogroup").is_err());
    }

    #[test]
    fn the_request_adds_groups_and_may_be_strict() {
        let request = UserRequest {
            user: "101".into(),
            group: Some(9),
            supplemental_groups: vec![9, 50],
            strict_groups: true,
        };
        assert_eq!(
            decide(&request, PASSWD, GROUP).unwrap(),
            User {
                uid: 101,
                gid: 9,
                groups: vec![9, 50]
            }
        );
    }
}
