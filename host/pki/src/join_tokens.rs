//! The tokens that machines join with, as files: `server/token`, `server/node-token` and
//! `server/agent-token`, and the users of `server/cred/passwd` that they log in as.

use std::os::unix::fs::symlink;
use std::path::Path;

use k3s_base::{Random, Secret};

use crate::error::PkiError;
use crate::files::{read_optional, write_private};
use crate::passwd::PasswordFile;
use crate::token::ServerToken;

/// The password that a server's token stands for, before its authority is known: of the token that the operator
/// gave, else of `<data-dir>/server/token`. None for a new server without a token.
///
/// # Errors
/// When a token is malformed, the two differ, or the file cannot be read.
pub fn cluster_password(
    data_dir: &Path,
    given: Option<&Secret>,
) -> Result<Option<Secret>, PkiError> {
    let path = data_dir.join("server/token");
    let on_disk = token_on_disk(&path)?;
    let given = given
        .map(|token| ServerToken::unpinned(token.reveal()))
        .transpose()?;
    let token = agreed(&path, given, on_disk)?;
    Ok(token.map(|token| token.password().clone()))
}

fn token_on_disk(path: &Path) -> Result<Option<ServerToken>, PkiError> {
    let text = read_optional(path)?;
    text.map(|text| ServerToken::unpinned(&text)).transpose()
}

/// The token that was given and the one on disk are the same, if there are both.
fn agreed(
    path: &Path,
    given: Option<ServerToken>,
    on_disk: Option<ServerToken>,
) -> Result<Option<ServerToken>, PkiError> {
    match (given, on_disk) {
        (Some(given), Some(found)) if given.password() != found.password() => {
            Err(PkiError::TokenDiffers {
                path: path.to_owned(),
            })
        }
        (given, found) => Ok(given.or(found)),
    }
}

/// The tokens that the operator gave.
pub(crate) struct GivenTokens<'a> {
    /// `--token`.
    pub(crate) server: Option<&'a Secret>,
    /// `--agent-token`.
    pub(crate) agent: Option<&'a Secret>,
}

impl GivenTokens<'_> {
    /// Writes tokens and users below `<data-dir>/server`. A token is made where none is given and none
    /// is on disk.
    pub(crate) fn ensure(
        &self,
        server: &Path,
        ca_pem: &str,
        random: &Random,
    ) -> Result<(ServerToken, PasswordFile), PkiError> {
        let agent = self
            .agent
            .map(|agent| ServerToken::parse(agent.reveal(), ca_pem))
            .transpose()?;
        let token = self.server_token(&server.join("token"), ca_pem, random)?;
        link(&server.join("node-token"), "token")?;
        let agent_path = server.join("agent-token");
        match &agent {
            Some(agent) => {
                // It may be a link to the server's token, which must not be overwritten.
                let _ = std::fs::remove_file(&agent_path);
                write_token(&agent_path, agent, ca_pem, "node")?;
            }
            None => link(&agent_path, "token")?,
        }
        let path = server.join("cred/passwd");
        let mut passwords = PasswordFile::load(&path)?;
        let node = agent.as_ref().unwrap_or(&token);
        passwords.set("node", "k3s:agent", node.password());
        passwords.set("server", "k3s:server", token.password());
        passwords.store(&path)?;
        Ok((token, passwords))
    }

    fn server_token(
        &self,
        path: &Path,
        ca_pem: &str,
        random: &Random,
    ) -> Result<ServerToken, PkiError> {
        let given = self
            .server
            .map(|token| ServerToken::parse(token.reveal(), ca_pem))
            .transpose()?;
        let token = agreed(path, given, token_on_disk(path)?)?
            .unwrap_or_else(|| ServerToken::generate(random));
        write_token(path, &token, ca_pem, "server")?;
        Ok(token)
    }
}

fn write_token(path: &Path, token: &ServerToken, ca_pem: &str, user: &str) -> Result<(), PkiError> {
    let text = format!("{}\n", token.full(ca_pem, user).reveal());
    write_private(path, text.as_bytes())
}

fn link(path: &Path, target: &str) -> Result<(), PkiError> {
    if std::fs::read_link(path).is_ok_and(|t| t == Path::new(target)) {
        return Ok(());
    }
    let _ = std::fs::remove_file(path);
    symlink(target, path).map_err(|source| PkiError::Io {
        path: path.to_owned(),
        source,
    })
}
