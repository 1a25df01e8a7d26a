//! `--datastore-endpoint`: K3s' forms (kine `pkg/endpoint`, `pkg/drivers`), resolved.
//!
//! An endpoint carries a password, so no error here repeats it, and what is shown of a server leaves
//! the password out.

mod mysql;
mod postgres;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use k3s_base::Secret;

use crate::error::{ConfigError, Refusal};

/// The database's name when the endpoint has none, as in kine.
const DATABASE: &str = "kubernetes";

/// Where objects are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// In a SQLite file; none is the usual one, `<data-dir>/server/db/state.db`.
    Sqlite(Option<PathBuf>),
    /// On a database server.
    Server(Box<DatabaseServer>),
}

/// A database on a server. Its `Display` names it without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseServer {
    /// The database system.
    pub kind: DatabaseKind,
    /// Where it listens.
    pub address: Address,
    /// The user to log in as.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The database, created if it is missing.
    pub database: String,
    /// How the connection is protected.
    pub tls: Tls,
    /// How connections are used.
    pub session: Session,
}

/// What parameters of an endpoint say about its connections. What is absent has this server's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// For reaching the server and logging in.
    pub connect_timeout: Option<Duration>,
    /// For one statement.
    pub statement_timeout: Option<Duration>,
    /// PostgreSQL: how the server lists the connection.
    pub application_name: Option<String>,
    /// PostgreSQL: the schemas in which tables are looked for.
    pub search_path: Option<String>,
    /// MySQL: the password may be sent as it is, for servers that ask for that.
    pub cleartext_password: bool,
}

/// Kinds of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// MySQL: the socket; PostgreSQL: its folder.
        path: PathBuf,
        /// PostgreSQL's socket has the port in its name.
        port: u16,
    },
}

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// How strictly.
    pub mode: TlsMode,
    /// Authorities to trust, besides the well-known ones.
    pub ca: Option<PathBuf>,
    /// Our certificate and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// PostgreSQL's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it.
    Prefer,
    /// TLS, without verifying the server.
    Require,
    /// TLS with a certificate of a trusted authority.
    VerifyCa,
    /// And for the right name.
    VerifyFull,
}

/// `--datastore-cafile`, `-certfile` and `-keyfile`.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Authorities.
    pub ca: Option<PathBuf>,
    /// Our certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    fn is_empty(&self) -> bool {
        self.ca.is_none() && self.cert.is_none() && self.key.is_none()
    }
}

impl fmt::Display for DatabaseServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            DatabaseKind::Postgres => "postgres",
            DatabaseKind::Mysql => "mysql",
        };
        write!(f, "{scheme}://{}@", self.user)?;
        match &self.address {
            Address::Tcp { host, port } => write!(f, "{host}:{port}")?,
            Address::Unix { path, .. } => write!(f, "unix({})", path.display())?,
        }
        write!(f, "/{}", self.database)
    }
}

impl Endpoint {
    /// Reads an endpoint; `flag` is named in errors.
    ///
    /// # Errors
    /// On a malformed endpoint, a kind that is not supported, and files that do not fit together.
    pub fn parse(flag: &str, text: &str, files: &TlsFiles) -> Result<Self, ConfigError> {
        let refused = |refusal: Refusal| ConfigError::Endpoint {
            flag: flag.to_owned(),
            reason: refusal.to_string(),
        };
        let endpoint = parse(text.trim(), files).map_err(refused)?;
        if matches!(endpoint, Self::Sqlite(_)) && !files.is_empty() {
            let reason =
                "--datastore-cafile, -certfile and -keyfile are for a server, and SQLite is none";
            return Err(refused(reason.into()));
        }
        Ok(endpoint)
    }
}

fn parse(text: &str, files: &TlsFiles) -> Result<Endpoint, Refusal> {
    if text.is_empty() || text == "sqlite" {
        return Ok(Endpoint::Sqlite(None));
    }
    if text.starts_with(['/', '.']) {
        return Ok(Endpoint::Sqlite(Some(text.into())));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(
            "expected postgres://, mysql://, sqlite://PATH or the path of a SQLite file".into(),
        );
    };
    match scheme {
        "sqlite" => sqlite(rest),
        "postgres" | "postgresql" => postgres::parse(rest, files).map(server_endpoint),
        "mysql" => mysql::parse(rest, files).map(server_endpoint),
        "http" | "https" | "unix" | "unixs" => Err(
            "this is an etcd endpoint, and etcd is not supported; use sqlite, postgres or mysql"
                .into(),
        ),
        "nats" | "litestream" | "memory" | "t4" => Err(format!(
            "a datastore of kind {scheme} is not supported; use sqlite, postgres or mysql"
        )
        .into()),
        _ => Err("unknown kind of datastore; use sqlite, postgres or mysql".into()),
    }
}

fn server_endpoint(server: DatabaseServer) -> Endpoint {
    Endpoint::Server(Box::new(server))
}

fn sqlite(rest: &str) -> Result<Endpoint, Refusal> {
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if !parameters.is_empty() {
        return Err(
            "parameters of a SQLite file are not supported; durability and locking are set already"
                .into(),
        );
    }
    Ok(Endpoint::Sqlite((!path.is_empty()).then(|| path.into())))
}

/// A parameter whose value changes nothing here is accepted with the values that agree with what happens.
fn expect(name: &str, value: &str, accepted: &[&str]) -> Result<(), Refusal> {
    let is_accepted = accepted
        .iter()
        .any(|known| known.eq_ignore_ascii_case(value));
    if is_accepted {
        return Ok(());
    }
    Err(format!(
        "the parameter {name} is supported with {} only",
        accepted.join(", ")
    )
    .into())
}

fn unknown_parameter(name: &str, known: &[&str]) -> Refusal {
    format!(
        "the parameter {name} is not supported; known: {}",
        known.join(", ")
    )
    .into()
}

/// The client's certificate and its key, both or none.
fn client(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<(PathBuf, PathBuf)>, Refusal> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        _ => Err("a client certificate needs both a certificate and a key".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> DatabaseServer {
        match Endpoint::parse("datastore-endpoint", text, &TlsFiles::default()) {
            Ok(Endpoint::Server(server)) => *server,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn k3s_forms_are_understood() {
        let full = server("postgres://k3s:p%40ss@db.example:5433/cluster?sslmode=require");
        assert_eq!(full.to_string(), "postgres://k3s@db.example:5433/cluster");
        assert_eq!(
            (full.password, full.tls.mode),
            (Some(Secret::new("p@ss".to_owned())), TlsMode::Require)
        );
        let bare = server("postgres://");
        assert_eq!(
            bare.to_string(),
            "postgres://postgres@localhost:5432/kubernetes"
        );
        assert_eq!(bare.password, Some(Secret::new("postgres".to_owned())));
        assert_eq!(
            server("postgresql://u@/db?host=/run/pg").to_string(),
            "postgres://u@unix(/run/pg)/db"
        );
        assert_eq!(
            server("postgres://u@%2Frun%2Fpg/db").to_string(),
            "postgres://u@unix(/run/pg)/db"
        );
        let tcp = server("mysql://k3s:a@b/c@tcp(10.0.0.1:3307)/cluster");
        assert_eq!(tcp.to_string(), "mysql://k3s@10.0.0.1:3307/cluster");
        assert_eq!(tcp.password, Some(Secret::new("a@b/c".to_owned())));
        assert_eq!(
            server("mysql://").to_string(),
            "mysql://root@unix(/var/run/mysqld/mysqld.sock)/kubernetes"
        );
        assert_eq!(
            server("mysql://u:p@tcp(db)/").to_string(),
            "mysql://u@db:3306/kubernetes"
        );
        assert_eq!(
            server("mysql://u:p@unix(/s.sock)/x?tls=skip-verify")
                .tls
                .mode,
            TlsMode::Require
        );
    }

    #[test]
    fn parameters_of_k3s_drivers_are_honoured_or_accepted() {
        let pgx = server(
            "postgres://k3s:p@db:5432/k3s?sslmode=require&connect_timeout=10&application_name=one&search_path=kine\
             &statement_timeout=15000&target_session_attrs=read-write&TimeZone=UTC&client_encoding=UTF8",
        );
        let session = Session {
            connect_timeout: Some(Duration::from_secs(10)),
            statement_timeout: Some(Duration::from_secs(15)),
            application_name: Some("one".into()),
            search_path: Some("kine".into()),
            cleartext_password: false,
        };
        assert_eq!((pgx.session, pgx.tls.mode), (session, TlsMode::Require));
        let go = server(
            "mysql://k3s:p@tcp(db:3306)/k3s?charset=utf8mb4,utf8&parseTime=true&loc=Local&timeout=1m30s&readTimeout=20s\
             &writeTimeout=10s&collation=utf8mb4_unicode_ci&interpolateParams=1&tls=TRUE&allowCleartextPasswords=true",
        );
        let session = Session {
            connect_timeout: Some(Duration::from_secs(90)),
            statement_timeout: Some(Duration::from_secs(20)),
            cleartext_password: true,
            ..Session::default()
        };
        assert_eq!((go.session, go.tls.mode), (session, TlsMode::VerifyFull));
        // Zero is no limit for the drivers, so that this server's own holds.
        let none = server("postgres://u@h/d?connect_timeout=0&statement_timeout=0");
        assert_eq!(none.session, Session::default());
    }

    #[test]
    fn a_postgres_server_is_found_by_authority_or_parameters() {
        for (text, place) in [
            (
                "postgres://u@:5433/db?host=/run/pg",
                "postgres://u@unix(/run/pg)/db",
            ),
            (
                "postgres://u@/db?port=5433&host=/run/pg",
                "postgres://u@unix(/run/pg)/db",
            ),
            ("postgres://u@:5433/db", "postgres://u@localhost:5433/db"),
            (
                "postgres://:5433/db",
                "postgres://postgres@localhost:5433/db",
            ),
            ("postgres:///db?host=h&port=1&user=u", "postgres://u@h:1/db"),
            ("postgres://u@h?dbname=db", "postgres://u@h:5432/db"),
            ("postgres://u@[::1]:5433/db", "postgres://u@::1:5433/db"),
        ] {
            assert_eq!(server(text).to_string(), place, "{text}");
        }
        let by_parameters = server("postgres://u@/db?host=/run/pg&port=5433&password=a%2Fb");
        let socket = Address::Unix {
            path: "/run/pg".into(),
            port: 5433,
        };
        assert_eq!(by_parameters.address, socket);
        assert_eq!(by_parameters.password, Some(Secret::new("a/b".to_owned())));
    }

    #[test]
    fn sqlite_is_a_file() {
        let parse =
            |text| Endpoint::parse("datastore-endpoint", text, &TlsFiles::default()).unwrap();
        for usual in ["", "sqlite", "sqlite://"] {
            assert_eq!(parse(usual), Endpoint::Sqlite(None));
        }
        assert_eq!(
            parse("sqlite:///x/y.db"),
            Endpoint::Sqlite(Some("/x/y.db".into()))
        );
        assert_eq!(parse("/x/y.db"), Endpoint::Sqlite(Some("/x/y.db".into())));
    }

    #[test]
    fn files_ask_for_full_verification_unless_told_otherwise() {
        let files = TlsFiles {
            ca: Some("/ca".into()),
            ..TlsFiles::default()
        };
        for (text, mode) in [
            ("postgres://u:p@h/d", TlsMode::VerifyFull),
            ("postgres://u:p@h/d?sslmode=verify-ca", TlsMode::VerifyCa),
            ("mysql://u:p@tcp(h)/d", TlsMode::VerifyFull),
        ] {
            let Ok(Endpoint::Server(server)) = Endpoint::parse("x", text, &files) else {
                panic!("{text}")
            };
            assert_eq!(
                (server.tls.mode, server.tls.ca),
                (mode, Some("/ca".into())),
                "{text}"
            );
        }
        let half = TlsFiles {
            cert: Some("/c".into()),
            ..TlsFiles::default()
        };
        assert!(Endpoint::parse("x", "postgres://u:p@h/d", &half).is_err());
        assert!(Endpoint::parse("x", "sqlite", &files).is_err());
    }

    #[test]
    fn bad_endpoints_say_why_and_never_show_the_password() {
        for (text, said) in [
            ("postgres://u:hunter2@h:notaport/d", "port"),
            ("postgres://u:hunter2@h/d?sslmode=maybe", "sslmode"),
            ("postgres://u:hunter2@h/d?colour=red", "colour"),
            ("postgres://u:hunter2@h/a/b", "database"),
            ("postgres://u:hunter2@h/d?connect_timeout=5s", "seconds"),
            ("postgres://u:hunter2@h/d?port=0", "port"),
            ("postgres://u:hunter2@a,b/d", "several hosts"),
            (
                "postgres://u:hunter2@h/d?target_session_attrs=standby",
                "read-write",
            ),
            (
                "postgres://u:hunter2@h/d?default_query_exec_mode=simple_protocol",
                "default_query_exec_mode",
            ),
            (
                "postgres://u:hunter2@h/d?sslpassword=hunter2",
                "sslpassword",
            ),
            ("postgres://u:1/hunter2@h/d", "written as %2F"),
            ("postgres://u:hunter2/@h:5433/d?sslmode=disable", "%2F"),
            ("postgres://u:hunter2?1@h/d", "%3F"),
            ("postgres://u:hunter2#1@h/d", "%23"),
            ("mysql://u:hunter2@h:3306/d", "tcp("),
            ("mysql://u:hunter2@tcp(h:99999)/d", "port"),
            ("mysql://u:hunter2@tcp(h)", "/"),
            ("mysql://u:hunter2@tcp(h)/d?parseTime=perhaps", "parseTime"),
            ("mysql://u:hunter2@tcp(h)/d?charset=latin1", "charset"),
            ("mysql://u:hunter2@tcp(h)/d?timeout=5", "timeout"),
            ("mysql://u:hunter2@tcp(h)/d?compress=true", "compress"),
            ("mysql://u:hunter2@tcp(h)/d?tls=custom", "tls must be"),
            ("mysql://u:hunter2@tcp(h)/d?sql_mode=ANSI", "sql_mode"),
            ("https://u:hunter2@e1:2379,https://e2:2379", "etcd"),
            ("nats://u:hunter2@h:4222", "nats"),
            ("u:hunter2@h/d", "expected"),
            ("mongodb://u:hunter2@h/d", "unknown"),
            ("sqlite:///x?_journal=hunter2", "parameters"),
        ] {
            let error = Endpoint::parse("datastore-endpoint", text, &TlsFiles::default())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(said) && error.starts_with("invalid --datastore-endpoint: "),
                "{text}: {error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
