//! `<data-dir>/server/cred/passwd`: CSV of `password,user,uid,groups`, the basic-auth users that
//! joining machines log in as (k3s `pkg/passwd`).

use std::fmt::Write as _;
use std::path::Path;

use k3s_base::Secret;

use crate::error::PkiError;
use crate::files::{read_optional, write_private};

#[derive(Clone, Debug)]
struct Entry {
    password: Secret,
    user: String,
    groups: Vec<String>,
}

/// The users of the supervisor: `server` and `node`.
#[derive(Clone, Debug, Default)]
pub struct PasswordFile {
    entries: Vec<Entry>,
}

impl PasswordFile {
    /// Reads the file; a missing one is empty.
    ///
    /// # Errors
    /// When a line does not have four columns.
    pub fn load(path: &Path) -> Result<Self, PkiError> {
        let text = read_optional(path)?.unwrap_or_default();
        let entries = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| {
                parse_line(line)
                    .ok_or_else(|| PkiError::unexpected(path, "expected password,user,uid,groups"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Sets a user's password and group, replacing what it had.
    pub fn set(&mut self, user: &str, group: &str, password: &Secret) {
        self.entries.retain(|e| e.user != user);
        self.entries.push(Entry {
            password: password.clone(),
            user: user.into(),
            groups: vec![group.into()],
        });
    }

    /// A user's password.
    #[must_use]
    pub fn password(&self, user: &str) -> Option<&Secret> {
        self.entries
            .iter()
            .find(|e| e.user == user)
            .map(|e| &e.password)
    }

    /// The groups of `user` where `password` is right. Compares in constant time.
    #[must_use]
    pub fn authenticate(&self, user: &str, password: &str) -> Option<&[String]> {
        let entry = self.entries.iter().find(|e| e.user == user)?;
        constant_time_eq(entry.password.reveal().as_bytes(), password.as_bytes())
            .then_some(entry.groups.as_slice())
    }

    /// Writes the file, 0600.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn store(&self, path: &Path) -> Result<(), PkiError> {
        let mut text = String::new();
        for e in &self.entries {
            let _ = writeln!(
                text,
                "{},{},{},{}",
                e.password.reveal(),
                e.user,
                e.user,
                e.groups.join(",")
            );
        }
        write_private(path, text.as_bytes())
    }
}

fn parse_line(line: &str) -> Option<Entry> {
    let mut columns = line.trim().splitn(4, ',');
    let (password, user, _uid, groups) = (
        columns.next()?,
        columns.next()?,
        columns.next()?,
        columns.next()?,
    );
    let groups = groups
        .trim_matches('"')
        .split(',')
        .map(str::to_owned)
        .collect();
    Some(Entry {
        password: Secret::new(password.into()),
        user: user.into(),
        groups,
    })
}

/// Compares without revealing how many leading bytes are equal; only the lengths leak.
fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_survive_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passwd");
        let mut file = PasswordFile::default();
        file.set("server", "k3s:server", &Secret::new("one".into()));
        file.set("node", "k3s:agent", &Secret::new("two".into()));
        file.set("node", "k3s:agent", &Secret::new("three".into()));
        file.store(&path).unwrap();
        let again = PasswordFile::load(&path).unwrap();
        assert_eq!(
            again.authenticate("node", "three"),
            Some(["k3s:agent".to_owned()].as_slice())
        );
        assert_eq!(again.authenticate("node", "two"), None);
        assert_eq!(again.authenticate("nobody", "one"), None);
        assert_eq!(again.password("server").unwrap().reveal(), "one");
    }
}
