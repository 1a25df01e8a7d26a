//! `mysql://USER:PASSWORD@tcp(HOST:PORT)/DATABASE?tls=…`: the data source names of Go's MySQL driver
//! (<https://github.com/go-sql-driver/mysql#dsn-data-source-name>), which are no URLs: nothing is
//! percent-encoded, and a password may hold any character.

use k3s_base::Secret;

use super::{Address, DATABASE, DatabaseKind, DatabaseServer, Tls, TlsFiles, TlsMode, client};
use crate::error::Refusal;

const PORT: u16 = 3306;

/// The socket of Debian's servers, and kine's default.
const SOCKET: &str = "/var/run/mysqld/mysqld.sock";

/// `rest` is what follows `://`.
pub(super) fn parse(rest: &str, files: &TlsFiles) -> Result<DatabaseServer, Refusal> {
    if rest.is_empty() {
        let address = Address::Unix {
            path: SOCKET.into(),
            port: PORT,
        };
        return server(address, "root", None, DATABASE, "", files);
    }
    // The database follows the last slash, the user ends at the last @ before it.
    let (rest, parameters) = split_parameters(rest);
    let (before, database) = rest
        .rsplit_once('/')
        .ok_or("expected /DATABASE at the end")?;
    let (login, address) = before.rsplit_once('@').unwrap_or(("root", before));
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let database = if database.is_empty() {
        DATABASE
    } else {
        database
    };
    server(
        parse_address(address)?,
        user,
        password,
        database,
        parameters,
        files,
    )
}

/// A question mark in a password is before the last slash.
fn split_parameters(text: &str) -> (&str, &str) {
    let start = text.rfind(")/").map_or(0, |at| at + 2);
    match text.get(start..).and_then(|tail| tail.find('?')) {
        Some(at) => (
            text.get(..start + at).unwrap_or(text),
            text.get(start + at + 1..).unwrap_or_default(),
        ),
        None => (text, ""),
    }
}

fn parse_address(text: &str) -> Result<Address, Refusal> {
    let inside = |protocol: &str| {
        text.strip_prefix(protocol)?
            .strip_prefix('(')?
            .strip_suffix(')')
    };
    if let Some(path) = inside("unix") {
        return Ok(Address::Unix {
            path: path.into(),
            port: PORT,
        });
    }
    let place = match (inside("tcp"), text) {
        (Some(place), _) => place,
        (None, "" | "tcp") => "127.0.0.1",
        _ => return Err("expected tcp(HOST:PORT) or unix(PATH) before the database".into()),
    };
    // An IPv6 address has brackets and colons of its own.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (
            host,
            port.parse()
                .ok()
                .filter(|p| *p > 0)
                .ok_or("the port is not a number from 1 to 65535")?,
        ),
        _ => (place, PORT),
    };
    Ok(Address::Tcp {
        host: host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned(),
        port,
    })
}

fn server(
    address: Address,
    user: &str,
    password: Option<&str>,
    database: &str,
    parameters: &str,
    files: &TlsFiles,
) -> Result<DatabaseServer, Refusal> {
    let mut mode = if files.is_empty() {
        TlsMode::Prefer
    } else {
        TlsMode::VerifyFull
    };
    for parameter in parameters.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        mode = match (name, value) {
            ("tls", "false") => TlsMode::Disable,
            ("tls", "preferred") => TlsMode::Prefer,
            ("tls", "skip-verify") => TlsMode::Require,
            ("tls", "true") => TlsMode::VerifyFull,
            ("tls", _) => {
                return Err("tls must be true, false, skip-verify or preferred".into());
            }
            (other, _) => {
                return Err(format!("the parameter {other} is not supported; known: tls").into());
            }
        };
    }
    Ok(DatabaseServer {
        kind: DatabaseKind::Mysql,
        address,
        user: if user.is_empty() {
            "root".to_owned()
        } else {
            user.to_owned()
        },
        password: password.map(|p| Secret::new(p.to_owned())),
        database: database.to_owned(),
        tls: Tls {
            mode,
            ca: files.ca.clone(),
            client: client(files.cert.clone(), files.key.clone())?,
        },
    })
}
