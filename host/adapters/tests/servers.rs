//! The bundled datastores on real database servers: the store's contract suite, and what is special to
//! a server: new and old databases, logging in, going away and coming back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use common::{host, on, on_server};
use k3s_adapters::datastore::{OpenError, WasmBackend};
use k3s_base::error::chain;
use k3s_config::datastore::{Endpoint, TlsFiles};
use k3s_harness::{Database, DatabaseKind, PASSWORD};
use k3s_lifecycle::Tasks;
use k3s_plugin_host::Host;
use k3s_store::contract::{self, Fixture};
use k3s_store::{Backend, BackendError, Precondition, Store, StoreOptions, Write};

/// A database of its own for each backend.
struct Server {
    host: Host,
    database: Database,
    made: AtomicUsize,
}

impl Server {
    fn start(kind: DatabaseKind) -> Self {
        Self {
            host: host(),
            database: Database::start(kind).unwrap(),
            made: AtomicUsize::new(0),
        }
    }

    async fn backend(&self, name: &str) -> Result<WasmBackend, OpenError> {
        on_server(&self.host, &self.database.endpoint(name)).await
    }

    async fn store(&self, name: &str, tasks: &Tasks) -> Store {
        let options = StoreOptions {
            compact_interval: None,
            ..StoreOptions::default()
        };
        let backend = Arc::new(self.backend(name).await.unwrap());
        Store::open(backend, options, k3s_base::Clock::system(), tasks)
            .await
            .unwrap()
    }
}

#[async_trait]
impl Fixture for Server {
    async fn create(&self) -> Arc<dyn Backend> {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        Arc::new(self.backend(&format!("fixture{number}")).await.unwrap())
    }

    async fn reopen(&self, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
        drop(backend);
        let number = self.made.load(Ordering::SeqCst) - 1;
        Arc::new(self.backend(&format!("fixture{number}")).await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract() {
    contract::all(&Server::start(DatabaseKind::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_keeps_the_contract() {
    contract::all(&Server::start(DatabaseKind::MariaDb)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kine_finds_its_table_and_foreign_ones_are_refused() {
    for kind in [DatabaseKind::Postgres, DatabaseKind::MariaDb] {
        let server = Server::start(kind);
        let tasks = Tasks::root("test");
        let store = server.store("ours", &tasks).await;
        let revision = store
            .write(Write::put("/a", Precondition::Absent, "{}"))
            .await
            .unwrap()
            .revision;
        next_revision_of_kine(&server, revision.0 + 1);
        assert!(tasks.stop(Duration::from_secs(10)).await);

        let backend = server.backend("foreign").await.unwrap();
        sql(
            &server,
            "foreign",
            "CREATE TABLE kine (id INTEGER, name TEXT)",
        );
        match backend.open().await {
            Err(BackendError::Refused(why)) => assert!(why.contains("not a K3s database"), "{why}"),
            other => panic!("a table that is not kine's must be refused, not {other:?}"),
        }
    }
}

/// What kine itself would get for its next row.
fn next_revision_of_kine(server: &Server, wanted: u64) {
    let insert = "INSERT INTO kine(name, created, deleted, create_revision, prev_revision, lease) \
        VALUES ('/by-kine', 1, 0, 0, 0, 0)";
    sql(server, "ours", insert);
    let found = sql(
        server,
        "ours",
        "SELECT id FROM kine WHERE name = '/by-kine'",
    );
    assert_eq!(found.trim(), wanted.to_string());
}

/// As the administrator, in one database.
fn sql(server: &Server, database: &str, text: &str) -> String {
    server.database.ask_in(database, text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_is_told_why() {
    for kind in [DatabaseKind::Postgres, DatabaseKind::MariaDb] {
        let server = Server::start(kind);
        let endpoint = server.database.endpoint("db");
        let wrong = endpoint.replace(PASSWORD, "hunter2");
        let no_tls = match kind {
            DatabaseKind::Postgres => format!("{endpoint}?sslmode=require"),
            DatabaseKind::MariaDb => format!("{endpoint}?tls=skip-verify"),
        };
        for (endpoint, said) in [
            (wrong, ["password", "denied"]),
            (no_tls, ["support TLS", "support TLS"]),
        ] {
            let Err(error) = on_server(&server.host, &endpoint).await else {
                panic!("it must be refused")
            };
            let text = chain(&error);
            assert!(said.iter().any(|s| text.contains(s)), "{text}");
            assert!(
                !text.contains("hunter2") && !text.contains(PASSWORD),
                "{text}"
            );
            assert!(!text.contains('\n'), "one sentence: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_store_outlives_a_restart_of_its_server() {
    for kind in [DatabaseKind::Postgres, DatabaseKind::MariaDb] {
        let mut server = Server::start(kind);
        let tasks = Tasks::root("test");
        let store = server.store("db", &tasks).await;
        let first = store
            .write(Write::put("/a", Precondition::Absent, "1"))
            .await
            .unwrap();
        store.health().await.unwrap();
        server.database.kill().unwrap();
        assert!(store.health().await.is_err(), "nobody answers");
        server.database.resume().unwrap();
        store.health().await.expect("found again by itself");
        let second = store
            .write(Write::put(
                "/a",
                Precondition::Revision(first.revision),
                "2",
            ))
            .await
            .unwrap();
        assert_eq!(second.revision, first.revision.plus(1));
        assert!(tasks.stop(Duration::from_secs(10)).await);
    }
}

/// An authority and a server certificate for loopback, as files of the server's user.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn make() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(
            dir.path().join("ca.pem"),
            authority.self_signed(&key).unwrap().pem(),
        )
        .unwrap();
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(
            dir.path().join("cert.pem"),
            params.signed_by(&key, &issuer).unwrap().pem(),
        )
        .unwrap();
        std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
        for name in ["", "ca.pem", "cert.pem", "key.pem"] {
            std::os::unix::fs::chown(dir.path().join(name), Some(65534), Some(65534)).unwrap();
        }
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(dir.path().join("key.pem"), private).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_checked_as_far_as_was_asked() {
    let (ours, other) = (Certificates::make(), Certificates::make());
    for kind in [DatabaseKind::Postgres, DatabaseKind::MariaDb] {
        let (cert, key) = match kind {
            DatabaseKind::Postgres => ("ssl=on\nssl_cert_file=", "ssl_key_file="),
            DatabaseKind::MariaDb => ("ssl-cert=", "ssl-key="),
        };
        let settings = format!(
            "{cert}{}\n{key}{}",
            ours.file("cert.pem"),
            ours.file("key.pem")
        );
        let settings: Vec<String> = settings.lines().map(str::to_owned).collect();
        let database = Database::start_with(kind, None, &settings).unwrap();
        let (host, endpoint) = (host(), database.endpoint("db"));
        let with_ca = |certificates: &Certificates| {
            let files = TlsFiles {
                ca: Some(certificates.file("ca.pem").into()),
                ..TlsFiles::default()
            };
            Endpoint::parse("datastore-endpoint", &endpoint, &files).unwrap()
        };
        let backend = on(&host, with_ca(&ours))
            .await
            .expect("the right authority");
        backend.open().await.expect("over TLS");
        let Err(error) = on(&host, with_ca(&other)).await else {
            panic!("another authority is refused")
        };
        let text = chain(&error);
        assert!(
            text.contains("TLS") && text.contains("certificate"),
            "{text}"
        );
    }
}
