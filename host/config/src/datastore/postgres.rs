//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…` (libpq's URIs, section 34.1.1 of its manual).

use std::path::PathBuf;

use k3s_base::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{Address, DATABASE, DatabaseKind, DatabaseServer, Tls, TlsFiles, TlsMode, client};
use crate::error::Refusal;

const PORT: u16 = 5432;

/// `rest` is what follows `://`.
pub(super) fn parse(rest: &str, files: &TlsFiles) -> Result<DatabaseServer, Refusal> {
    // Kine's default. A URL without a host but with other parts is read with a placeholder.
    let rest = match rest {
        "" => "postgres:postgres@localhost/",
        other => other,
    };
    let text = if rest.contains("@/") {
        rest.replacen("@/", "@localhost/", 1)
    } else {
        rest.to_owned()
    };
    let url = Url::parse(&format!("postgres://{text}"))
        .map_err(|reason| format!("not a URL: {reason}"))?;
    let host = decoded(
        url.host_str()
            .filter(|h| !h.is_empty())
            .unwrap_or("localhost"),
    )?;
    let user = decoded(url.username())?;
    let mut server = DatabaseServer {
        kind: DatabaseKind::Postgres,
        address: address(&host, url.port().unwrap_or(PORT)),
        user: if user.is_empty() {
            "postgres".to_owned()
        } else {
            user
        },
        password: url.password().map(decoded).transpose()?.map(Secret::new),
        database: database(url.path())?,
        tls: Tls {
            mode: TlsMode::Prefer,
            ca: None,
            client: None,
        },
    };
    parameters(&url, files, &mut server)?;
    Ok(server)
}

fn address(host: &str, port: u16) -> Address {
    if host.starts_with('/') {
        Address::Unix {
            path: host.into(),
            port,
        }
    } else {
        Address::Tcp {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port,
        }
    }
}

fn database(path: &str) -> Result<String, Refusal> {
    let name = decoded(path.trim_start_matches('/'))?;
    if name.contains('/') {
        return Err("the name of the database contains a slash".into());
    }
    Ok(if name.is_empty() {
        DATABASE.to_owned()
    } else {
        name
    })
}

fn parameters(url: &Url, files: &TlsFiles, server: &mut DatabaseServer) -> Result<(), Refusal> {
    let mut mode = None;
    let TlsFiles {
        mut ca,
        mut cert,
        mut key,
    } = files.clone();
    for (name, value) in url.query_pairs() {
        let path = || Some(PathBuf::from(&*value));
        match &*name {
            "sslmode" => mode = Some(tls_mode(&value)?),
            "sslrootcert" => ca = path(),
            "sslcert" => cert = path(),
            "sslkey" => key = path(),
            "host" => {
                let port = url.port().unwrap_or(PORT);
                server.address = address(&value, port);
            }
            other => {
                return Err(format!(
                    "the parameter {other} is not supported; known: sslmode, sslrootcert, sslcert, sslkey, host"
                ).into());
            }
        }
    }
    // As kine: files given as flags ask for everything to be verified.
    let default = if files.is_empty() {
        TlsMode::Prefer
    } else {
        TlsMode::VerifyFull
    };
    server.tls = Tls {
        mode: mode.unwrap_or(default),
        ca,
        client: client(cert, key)?,
    };
    Ok(())
}

fn tls_mode(text: &str) -> Result<TlsMode, Refusal> {
    match text {
        "disable" => Ok(TlsMode::Disable),
        "prefer" => Ok(TlsMode::Prefer),
        "require" => Ok(TlsMode::Require),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "verify-full" => Ok(TlsMode::VerifyFull),
        "allow" => Err("sslmode=allow is not supported; use prefer".into()),
        _ => Err("sslmode must be disable, prefer, require, verify-ca or verify-full".into()),
    }
}

fn decoded(text: &str) -> Result<String, Refusal> {
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| "a part of it is not UTF-8".to_owned())?;
    Ok(text.into_owned())
}
