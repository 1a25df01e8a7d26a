//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…` (libpq's URIs, section 34.1.1 of its manual, with the
//! parameters that K3s' driver pgx takes).

use std::path::PathBuf;
use std::time::Duration;

use k3s_base::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{
    Address, DATABASE, DatabaseKind, DatabaseServer, Session, Tls, TlsFiles, TlsMode, client,
    expect, unknown_parameter,
};
use crate::error::Refusal;

const PORT: u16 = 5432;
const HOST: &str = "localhost";

/// What acts; the rest of those that are known has one value here.
const KNOWN: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "connect_timeout",
    "statement_timeout",
    "application_name",
    "search_path",
];

/// `rest` is what follows `://`.
pub(super) fn parse(rest: &str, files: &TlsFiles) -> Result<DatabaseServer, Refusal> {
    // Kine's default.
    let rest = match rest {
        "" => "postgres:postgres@localhost/",
        other => other,
    };
    let url = Url::parse(&format!("postgres://{}", with_host(rest)?))
        .map_err(|reason| format!("not a URL: {reason}"))?;
    let mut parts = Parts::of(&url)?;
    for (name, value) in url.query_pairs() {
        parts.set(&name, &value)?;
    }
    parts.server(files)
}

/// The text with a host, which a URL of this library must have. Characters that end the authority are looked
/// for first, since in a password they would make another URL of it.
fn with_host(rest: &str) -> Result<String, Refusal> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let path = tail.split_once('?').map_or(tail, |(path, _)| path);
    let is_cut = match tail.chars().next() {
        Some('?') => tail
            .split(['=', '&'])
            .next()
            .unwrap_or_default()
            .contains('@'),
        _ => path.contains('@'),
    };
    if is_cut && !authority.contains('@') || path.contains('#') {
        return Err(
            "in a user, password or database the characters /, ? and # must be written as %2F, %3F and %23"
                .into(),
        );
    }
    let (login, place) = match authority.rsplit_once('@') {
        Some((login, place)) => (format!("{login}@"), place),
        None => (String::new(), authority),
    };
    if place.contains(',') {
        return Err("several hosts are not supported; name one, or a proxy in front".into());
    }
    let host = if place.is_empty() || place.starts_with(':') {
        HOST
    } else {
        ""
    };
    Ok(format!("{login}{host}{place}{tail}"))
}

/// The parts of an endpoint; parameters win over the parts before the question mark.
struct Parts {
    host: String,
    port: u16,
    user: String,
    password: Option<String>,
    database: String,
    mode: Option<TlsMode>,
    files: TlsFiles,
    session: Session,
}

impl Parts {
    fn of(url: &Url) -> Result<Self, Refusal> {
        Ok(Self {
            host: decoded(url.host_str().unwrap_or(HOST))?,
            port: url.port().unwrap_or(PORT),
            user: decoded(url.username())?,
            password: url.password().map(decoded).transpose()?,
            database: decoded(url.path().trim_start_matches('/'))?,
            mode: None,
            files: TlsFiles::default(),
            session: Session::default(),
        })
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let path = || Some(PathBuf::from(value));
        match name {
            "sslmode" => self.mode = Some(tls_mode(value)?),
            "sslrootcert" => self.files.ca = path(),
            "sslcert" => self.files.cert = path(),
            "sslkey" => self.files.key = path(),
            "host" => value.clone_into(&mut self.host),
            "port" => self.port = port(value)?,
            "user" => value.clone_into(&mut self.user),
            "password" => self.password = Some(value.to_owned()),
            "dbname" | "database" => value.clone_into(&mut self.database),
            "connect_timeout" => {
                self.session.connect_timeout = limit(name, value, Duration::from_secs, "seconds")?;
            }
            "statement_timeout" => {
                let unit = "milliseconds";
                self.session.statement_timeout = limit(name, value, Duration::from_millis, unit)?;
            }
            "application_name" => self.session.application_name = Some(value.to_owned()),
            "fallback_application_name" if self.session.application_name.is_some() => {}
            "fallback_application_name" => self.session.application_name = Some(value.to_owned()),
            "search_path" => self.session.search_path = Some(value.to_owned()),
            other => without_effect(other, value)?,
        }
        Ok(())
    }

    fn server(self, files: &TlsFiles) -> Result<DatabaseServer, Refusal> {
        if self.database.contains('/') {
            return Err("the name of the database contains a slash".into());
        }
        // As kine: files given as flags ask for everything to be verified.
        let default = if files.is_empty() {
            TlsMode::Prefer
        } else {
            TlsMode::VerifyFull
        };
        let own = self.files;
        let cert = own.cert.or_else(|| files.cert.clone());
        let key = own.key.or_else(|| files.key.clone());
        Ok(DatabaseServer {
            kind: DatabaseKind::Postgres,
            address: address(&self.host, self.port),
            user: or_default(self.user, "postgres"),
            password: self.password.map(Secret::new),
            database: or_default(self.database, DATABASE),
            tls: Tls {
                mode: self.mode.unwrap_or(default),
                ca: own.ca.or_else(|| files.ca.clone()),
                client: client(cert, key)?,
            },
            session: self.session,
        })
    }
}

fn or_default(text: String, default: &str) -> String {
    if text.is_empty() {
        default.to_owned()
    } else {
        text
    }
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

fn port(text: &str) -> Result<u16, Refusal> {
    text.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| "the port is not a number from 1 to 65535".into())
}

/// A whole number of a unit; zero is no limit.
fn limit(
    name: &str,
    value: &str,
    of: fn(u64) -> Duration,
    unit: &str,
) -> Result<Option<Duration>, Refusal> {
    let number = value
        .parse()
        .map_err(|_| format!("the parameter {name} must be a number of {unit}"))?;
    Ok(Some(of(number)).filter(|limit| !limit.is_zero()))
}

/// Parameters that agree with what happens here in any case.
fn without_effect(name: &str, value: &str) -> Result<(), Refusal> {
    match name {
        // Whatever may not be written to cannot hold a cluster.
        "target_session_attrs" => expect(name, value, &["any", "read-write", "primary"]),
        "client_encoding" => expect(name, value, &["UTF8", "UTF-8", "auto"]),
        "sslsni" => expect(name, value, &["1"]),
        "default_query_exec_mode" => expect(name, value, &["cache_statement"]),
        // No column holds a time.
        "TimeZone" | "timezone" | "DateStyle" | "datestyle" => Ok(()),
        "sslpassword" => Err("sslpassword is not supported; store the key without one".into()),
        other => Err(unknown_parameter(other, KNOWN)),
    }
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
