//! `mysql://USER:PASSWORD@tcp(HOST:PORT)/DATABASE?tls=…`: the data source names of Go's MySQL driver
//! (<https://github.com/go-sql-driver/mysql#dsn-data-source-name>), which are no URLs: nothing is
//! percent-encoded, and a password may hold any character.

use std::time::Duration;

use k3s_base::Secret;

use super::{
    Address, DATABASE, DatabaseKind, DatabaseServer, Session, Tls, TlsFiles, TlsMode, client,
    expect, unknown_parameter,
};
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
    let given = Parameters::read(parameters)?;
    let default = if files.is_empty() {
        TlsMode::Prefer
    } else {
        TlsMode::VerifyFull
    };
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
            mode: given.tls.unwrap_or(default),
            ca: files.ca.clone(),
            client: client(files.cert.clone(), files.key.clone())?,
        },
        session: given.session,
    })
}

/// What acts; the rest of those that are known changes nothing here.
const KNOWN: &[&str] = &[
    "tls",
    "timeout",
    "readTimeout",
    "writeTimeout",
    "allowCleartextPasswords",
    "charset",
    "collation",
    "parseTime",
    "loc",
];
/// The spellings of the driver's booleans.
const BOOLEAN: &[&str] = &["true", "false", "1", "0"];
const TRUE: &[&str] = &["true", "1"];
const FALSE: &[&str] = &["false", "0"];

#[derive(Default)]
struct Parameters {
    tls: Option<TlsMode>,
    session: Session,
}

impl Parameters {
    fn read(text: &str) -> Result<Self, Refusal> {
        let mut parameters = Self::default();
        for parameter in text.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            parameters.set(name, value)?;
        }
        Ok(parameters)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            "tls" => self.tls = Some(tls_mode(value)?),
            "timeout" => self.session.connect_timeout = duration(name, value)?,
            "readTimeout" | "writeTimeout" => {
                let limit = duration(name, value)?;
                let session = &mut self.session;
                session.statement_timeout = session.statement_timeout.max(limit);
            }
            "allowCleartextPasswords" => {
                expect(name, value, BOOLEAN)?;
                self.session.cleartext_password = expect(name, value, TRUE).is_ok();
            }
            other => without_effect(other, value)?,
        }
        Ok(())
    }
}

/// Parameters that say how the driver hands values to its caller, or that have one value here.
fn without_effect(name: &str, value: &str) -> Result<(), Refusal> {
    match name {
        "charset" => value
            .split(',')
            .try_for_each(|one| expect(name, one, &["utf8mb4", "utf8", "utf8mb3"])),
        "collation" if value.starts_with("utf8") => Ok(()),
        "collation" => Err("the parameter collation is supported for utf8 and utf8mb4 only".into()),
        "loc" | "timeTruncate" | "connectionAttributes" | "maxAllowedPacket" => Ok(()),
        "parseTime" | "interpolateParams" | "columnsWithAlias" | "multiStatements"
        | "clientFoundRows" | "checkConnLiveness" | "tinyInt1IsBool" | "allowAllFiles" => {
            expect(name, value, BOOLEAN)
        }
        // A server that became read-only is refused in any case.
        "rejectReadOnly" => expect(name, value, BOOLEAN),
        "allowNativePasswords" => expect(name, value, TRUE),
        "allowOldPasswords" | "compress" => expect(name, value, FALSE),
        "allowFallbackToPlaintext" if expect(name, value, FALSE).is_err() => {
            Err("the parameter allowFallbackToPlaintext is not supported; use tls=preferred".into())
        }
        "allowFallbackToPlaintext" => Ok(()),
        other => Err(unknown_parameter(other, KNOWN)),
    }
}

fn tls_mode(value: &str) -> Result<TlsMode, Refusal> {
    if expect("tls", value, TRUE).is_ok() {
        return Ok(TlsMode::VerifyFull);
    }
    if expect("tls", value, FALSE).is_ok() {
        return Ok(TlsMode::Disable);
    }
    match value.to_ascii_lowercase().as_str() {
        "preferred" => Ok(TlsMode::Prefer),
        "skip-verify" => Ok(TlsMode::Require),
        _ => Err("tls must be true, false, skip-verify or preferred".into()),
    }
}

/// Zero is no limit.
fn duration(name: &str, value: &str) -> Result<Option<Duration>, Refusal> {
    let limit = k3s_duration::parse(value)
        .map_err(|_| format!("the parameter {name} must be a duration, such as 10s"))?;
    Ok(Some(limit).filter(|limit| !limit.is_zero()))
}
