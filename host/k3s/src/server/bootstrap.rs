//! The cluster's identity in the datastore, in K3s' form ([`k3s_pki::BootstrapData`]): a server without authorities
//! takes the cluster's from there, and one that has other authorities or another token is refused.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k3s_base::{Random, Secret};
use k3s_config::ServerSettings;
use k3s_pki::{
    BOOTSTRAP_PREFIX, BootstrapData, PkiError, bootstrap_key, cluster_password,
    missing_bootstrap_files,
};
use k3s_store::{Precondition, Revision, Store, Write, WriteError};
use tracing::{info, warn};

/// Where objects are kept; their prefix in the datastore.
const OBJECTS: &str = "/registry/";

/// What the datastore held when this server started.
pub(crate) struct Bootstrap<'a> {
    store: &'a Store,
    data_dir: &'a Path,
    /// Files that this server makes during this start.
    missing: Vec<PathBuf>,
    /// The cluster's identity, and the write that made it.
    kept: Option<(BootstrapData, Revision)>,
    /// Whether the datastore must be told of a newer key.
    own_is_newer: bool,
}

impl<'a> Bootstrap<'a> {
    /// Makes what the datastore has and this server lacks.
    ///
    /// # Errors
    /// When the database is of another cluster or cannot be read with this server's token.
    pub(crate) fn load(store: &'a Store, settings: &'a ServerSettings) -> Result<Self> {
        let data_dir = settings.data_dir.as_path();
        let password = cluster_password(data_dir, settings.token.as_ref())?;
        let mut bootstrap = Self {
            store,
            data_dir,
            missing: missing_bootstrap_files(data_dir)?,
            kept: None,
            own_is_newer: false,
        };
        if store.count(BOOTSTRAP_PREFIX) == 0 {
            bootstrap.check_new()?;
            return Ok(bootstrap);
        }
        let entry = password
            .as_ref()
            .and_then(|password| store.get(&bootstrap_key(password)));
        let (Some(entry), Some(password)) = (entry, password) else {
            return Err(PkiError::BootstrapToken.into());
        };
        let data = BootstrapData::open(&password, &entry.value)?;
        bootstrap.own_is_newer = data.restore(data_dir)?;
        if !bootstrap.missing.is_empty() {
            info!("took the cluster's authorities from the datastore");
            warn!(
                "if another server runs on this database, start this one with --disable-controller-manager and \
                 --disable-scheduler: they are not elected among servers yet"
            );
        }
        bootstrap.kept = Some((data, entry.mod_revision));
        Ok(bootstrap)
    }

    /// A database with objects but without an identity belongs to the server that has its authorities.
    fn check_new(&self) -> Result<()> {
        let is_new = self
            .missing
            .iter()
            .any(|path| path.ends_with("server-ca.crt"));
        if is_new && self.store.count(OBJECTS) > 0 {
            bail!(
                "the database was initialised by another server, and its authorities are not in it: copy the folder \
                 server/tls and the file server/token of that server to {}",
                self.data_dir.display()
            );
        }
        Ok(())
    }

    /// Tells the datastore what is new here, now that this server has an identity.
    ///
    /// # Errors
    /// When another server was faster; what this start has made is removed then, so that the next one takes the
    /// cluster's.
    pub(crate) async fn save(self, password: &Secret, random: &Random) -> Result<()> {
        let own = BootstrapData::of_server(self.data_dir)?;
        let (data, precondition) = match &self.kept {
            Some(_) if !self.own_is_newer => return Ok(()),
            Some((kept, revision)) => {
                (kept.clone().updated(own), Precondition::Revision(*revision))
            }
            None => (own, Precondition::Absent),
        };
        let key = bootstrap_key(password);
        let value = data.seal(password, random)?;
        let written = self
            .store
            .write(Write::put(key.as_str(), precondition, value))
            .await;
        match written {
            Ok(committed) => self.check_first(&key, committed.revision).await,
            Err(WriteError::Conflict { .. }) => self.give_way(),
            Err(error) => Err(error).context("keep the cluster's authorities in the datastore"),
        }
    }

    /// Of servers with different tokens that start on an empty database at the same time, one counts. An
    /// acknowledged write is behind all that were made before it, so they are seen.
    async fn check_first(&self, key: &str, revision: Revision) -> Result<()> {
        let snapshot = self.store.snapshot();
        let others = snapshot.range(BOOTSTRAP_PREFIX, None);
        let is_earlier = others
            .filter(|other| &*other.key != key)
            .any(|other| other.create_revision < revision);
        if self.kept.is_some() || !is_earlier {
            return Ok(());
        }
        let undo = Write::delete(key, Precondition::Revision(revision));
        self.store
            .write(undo)
            .await
            .context("remove the authorities from the datastore")?;
        self.give_way()
    }

    fn give_way(&self) -> Result<()> {
        for path in &self.missing {
            std::fs::remove_file(path).with_context(|| format!("remove {}", path.display()))?;
        }
        bail!(
            "another server initialised the database at the same time; start this one again, with that server's token"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k3s_base::Clock;
    use k3s_config::parse_server;
    use k3s_lifecycle::Tasks;
    use k3s_store::{MemoryBackend, StoreOptions};

    use super::*;

    struct Server {
        dir: tempfile::TempDir,
        settings: ServerSettings,
    }

    impl Server {
        fn new(token: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let config = dir.path().join("config.yaml");
            std::fs::write(&config, "").unwrap();
            let words = [
                "--config".to_owned(),
                config.display().to_string(),
                format!("--data-dir={}", dir.path().display()),
                format!("--token={token}"),
            ];
            let parsed = parse_server(&words, &|_| None).unwrap();
            let (settings, _) = ServerSettings::resolve(&parsed).unwrap();
            Self { dir, settings }
        }

        /// A start: what is there, the identity, what is kept.
        async fn start(&self, store: &Store) -> Result<()> {
            let bootstrap = Bootstrap::load(store, &self.settings)?;
            self.finish(bootstrap).await
        }

        async fn finish(&self, bootstrap: Bootstrap<'_>) -> Result<()> {
            let options = k3s_pki::ServerIdentityOptions {
                data_dir: self.dir.path(),
                token: self.settings.token.as_ref(),
                agent_token: None,
                extra_dns_names: Vec::new(),
                addresses: Vec::new(),
                cluster_domain: "cluster.local",
                node_name: "n1",
                server_url: "https://127.0.0.1:6443",
            };
            let random = Random::from_os();
            let now = Clock::system().now();
            let identity = k3s_pki::ServerIdentity::ensure(&options, &random, now)?;
            bootstrap.save(identity.token.password(), &random).await
        }

        fn read(&self, file: &str) -> String {
            std::fs::read_to_string(self.dir.path().join("server/tls").join(file)).unwrap()
        }
    }

    async fn store(tasks: &Tasks) -> Store {
        let backend = Arc::new(MemoryBackend::new());
        Store::open(backend, StoreOptions::default(), Clock::system(), tasks)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_further_server_with_the_token_has_the_same_authorities() {
        let tasks = Tasks::root("test");
        let store = store(&tasks).await;
        let (first, second, stranger) = (
            Server::new("right"),
            Server::new("right"),
            Server::new("wrong"),
        );
        first.start(&store).await.unwrap();
        first.start(&store).await.unwrap();
        assert_eq!(store.count(BOOTSTRAP_PREFIX), 1);
        second.start(&store).await.unwrap();
        for file in [
            "server-ca.crt",
            "server-ca.key",
            "client-ca.key",
            "service.key",
        ] {
            assert_eq!(first.read(file), second.read(file), "{file}");
        }
        let error = stranger.start(&store).await.unwrap_err().to_string();
        let words = "bootstrap data already found and encrypted with different token";
        assert_eq!(error, words);
        assert!(!stranger.dir.path().join("server/tls").exists());
        assert!(tasks.stop(std::time::Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_server_of_another_cluster_is_refused_and_keeps_its_files() {
        let tasks = Tasks::root("test");
        let (one, two) = (store(&tasks).await, store(&tasks).await);
        let (first, other) = (Server::new("t"), Server::new("t"));
        first.start(&one).await.unwrap();
        other.start(&two).await.unwrap();
        let before = other.read("server-ca.crt");
        let error = other.start(&one).await.unwrap_err().to_string();
        assert!(
            error.contains("is not the authority of the cluster"),
            "{error}"
        );
        assert_eq!(other.read("server-ca.crt"), before);
        other.start(&two).await.unwrap();
        assert!(tasks.stop(std::time::Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_database_with_objects_but_without_an_identity_belongs_to_the_server_that_made_it() {
        let tasks = Tasks::root("test");
        let store = store(&tasks).await;
        let (first, second) = (Server::new("t"), Server::new("t"));
        first.start(&store).await.unwrap();
        let key = bootstrap_key(&Secret::new("t".to_owned()));
        store
            .write(Write::delete(key, Precondition::Any))
            .await
            .unwrap();
        let object = Write::put("/registry/namespaces/default", Precondition::Absent, "{}");
        store.write(object).await.unwrap();
        let error = second.start(&store).await.unwrap_err().to_string();
        assert!(error.contains("initialised by another server"), "{error}");
        first.start(&store).await.unwrap();
        second.start(&store).await.unwrap();
        assert_eq!(first.read("client-ca.crt"), second.read("client-ca.crt"));
        assert!(tasks.stop(std::time::Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn of_two_servers_that_start_at_once_the_later_gives_way_and_can_start_again() {
        let tasks = Tasks::root("test");
        for later_token in ["t", "other"] {
            let store = store(&tasks).await;
            let (first, later) = (Server::new("t"), Server::new(later_token));
            let found = Bootstrap::load(&store, &later.settings).unwrap();
            first.start(&store).await.unwrap();
            let error = later.finish(found).await.unwrap_err().to_string();
            assert!(error.contains("at the same time"), "{error}");
            assert_eq!(store.count(BOOTSTRAP_PREFIX), 1, "{later_token}");
            assert!(!later.dir.path().join("server/tls/server-ca.key").exists());
            let again = later.start(&store).await;
            assert_eq!(again.is_ok(), later_token == "t", "{again:?}");
        }
        assert!(tasks.stop(std::time::Duration::from_secs(5)).await);
    }
}
