//! Who a container runs as: names and numbers looked up in its own `/etc/passwd` and `/etc/group`.

use std::io;
use std::path::Path;

use super::protocol::UserRequest;

/// A hostile image must not make the shim read without end.
const FILE_LIMIT_BYTES: u64 = 4 << 20;

/// The numbers a process gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Ascending, without duplicates, with the primary group, as containerd sets them.
    pub(super) groups: Vec<u32>,
}

/// Why it cannot be told who a container runs as. The wording is runc's.
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

/// Looks `request` up in the root file system at `rootfs`.
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

fn decide(request: &UserRequest, passwd: &str, group: &str) -> Result<User, UserError> {
    let (user, named_group) = request
        .user
        .split_once(':')
        .map_or((request.user.as_str(), None), |(user, group)| {
            (user, Some(group))
        });
    let account = match user.parse::<u32>() {
        Ok(uid) => accounts(passwd)
            .find(|account| account.uid == uid)
            .or(Some(Account {
                name: "",
                uid,
                gid: 0,
            })),
        Err(_) if user.is_empty() => {
            accounts(passwd)
                .find(|account| account.uid == 0)
                .or(Some(Account {
                    name: "root",
                    uid: 0,
                    gid: 0,
                }))
        }
        Err(_) => accounts(passwd).find(|account| account.name == user),
    };
    let account = account.ok_or_else(|| UserError::NoUser(user.to_owned()))?;
    let gid = match (request.group, named_group.filter(|name| !name.is_empty())) {
        (Some(gid), _) => gid,
        (None, None) => account.gid,
        (None, Some(name)) => name
            .parse()
            .ok()
            .or_else(|| {
                groups(group)
                    .find(|(found, ..)| *found == name)
                    .map(|(_, gid, _)| gid)
            })
            .ok_or_else(|| UserError::NoGroup(name.to_owned()))?,
    };
    let mut all = request.supplemental_groups.clone();
    all.push(gid);
    if !request.strict_groups && !account.name.is_empty() {
        all.extend(
            groups(group)
                .filter(|(.., members)| members.split(',').any(|member| member == account.name))
                .map(|(_, gid, _)| gid),
        );
    }
    all.sort_unstable();
    all.dedup();
    Ok(User {
        uid: account.uid,
        gid,
        groups: all,
    })
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
