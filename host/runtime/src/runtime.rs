//! Puts the runtime together and serves it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use k3s_base::error::chain;
use k3s_cri::v1::image_service_server::ImageServiceServer;
use k3s_cri::v1::runtime_service_server::RuntimeServiceServer;
use k3s_cri::{Incoming, MESSAGE_LIMIT_BYTES};
use k3s_sys::fs::FileLock;
use tokio::net::TcpListener;

use crate::config::RuntimeConfig;
use crate::image::pull::Puller;
use crate::image::registries::Registries;
use crate::image::store::ImageStore;
use crate::image::unpack::Unpacker;
use crate::image::watch::ImageFolder;
use crate::pod::manager::Manager;
use crate::service::Service;
use crate::streaming::{self, Sessions};

/// Why the runtime does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another runtime works on the same folder.
    #[error("another container runtime uses {0}")]
    InUse(PathBuf),
    /// A file is wrong or cannot be used.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// `registries.yaml` cannot be used.
    #[error("the registry configuration")]
    Registries(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Existing pods could not be adopted.
    #[error("adopt the pods that run")]
    Adopt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A running runtime. Stops with the task group of its configuration; pods run on.
pub struct Runtime {
    socket: PathBuf,
    manager: Arc<Manager>,
    /// Held while this process lives.
    _lock: FileLock,
}

impl Runtime {
    /// Adopts the pods that run, then serves CRI on the configured socket.
    ///
    /// # Errors
    /// When folders, ports or the configuration of registries cannot be used, or another runtime
    /// uses them.
    pub async fn start(config: RuntimeConfig) -> Result<Self, StartError> {
        let lock = prepare(&config)?;
        let registries = Registries::load(&config.registries)
            .map_err(|error| StartError::Registries(error.into()))?;
        let registries = registries.with_default_endpoint(config.default_registry_endpoint);
        let images = ImageStore::open(&config.root).map_err(io_error("open the image store"))?;
        let unpacker = Unpacker::new(config.shim_executable.clone(), config.tasks.clone());
        let puller = Arc::new(Puller::new(
            images.clone(),
            registries,
            unpacker.clone(),
            config.random.clone(),
        ));
        let manager = Manager::new(config.clone(), images.clone())
            .map_err(|error| StartError::Adopt(error.into()))?;
        let adopted = manager.adopt().await;
        adopted.map_err(|error| StartError::Adopt(error.into()))?;

        let listener = TcpListener::bind(config.streaming)
            .await
            .map_err(io_error("bind the streaming port"))?;
        let streaming = listener
            .local_addr()
            .map_err(io_error("bind the streaming port"))?;
        let sessions = Arc::new(Sessions::new(
            streaming,
            config.clock.clone(),
            config.random.clone(),
        ));
        let tasks = &config.tasks;
        streaming::serve(listener, &manager, &sessions, tasks);
        let folder = ImageFolder {
            dir: config.images_dir.clone(),
            root: config.root.clone(),
            store: images,
            puller: puller.clone(),
            unpacker,
        };
        tasks.spawn("image-folder", folder.run(tasks.clone()));
        serve(
            &config,
            Service {
                manager: manager.clone(),
                puller,
                sessions,
            },
        )?;
        Ok(Self {
            socket: config.socket.clone(),
            manager,
            _lock: lock,
        })
    }

    /// The CRI endpoint, `unix:///...`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Sandboxes and containers that there are now, running or not: for logs and metrics.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (
            self.manager.sandboxes().len(),
            self.manager.containers().len(),
        )
    }
}

fn io_error(what: &str) -> impl FnOnce(io::Error) -> StartError {
    let what = what.to_owned();
    move |source| StartError::Io { what, source }
}

fn prepare(config: &RuntimeConfig) -> Result<FileLock, StartError> {
    // Other users reach the socket in the state folder, if its own mode lets them, and nothing else.
    for (dir, mode) in [(&config.root, 0o700), (&config.state, 0o711)] {
        k3s_sys::fs::create_dirs_exactly(dir, mode)
            .map_err(io_error(&format!("make {}", dir.display())))?;
    }
    let netns_dir = &config.netns_dir;
    k3s_sys::namespace::prepare_dir(netns_dir)
        .map_err(io_error(&format!("prepare {}", netns_dir.display())))?;
    FileLock::acquire(&config.root.join("lock")).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StartError::InUse(config.root.clone()),
        _ => StartError::Io {
            what: "lock the runtime's folder".into(),
            source: error,
        },
    })
}

fn serve(config: &RuntimeConfig, service: Service) -> Result<(), StartError> {
    let listener = k3s_cri::bind(&config.socket)
        .map_err(io_error(&format!("bind {}", config.socket.display())))?;
    let runtime = RuntimeServiceServer::new(service.clone())
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .max_encoding_message_size(MESSAGE_LIMIT_BYTES);
    let image = ImageServiceServer::new(service)
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .max_encoding_message_size(MESSAGE_LIMIT_BYTES);
    let stopping = config.tasks.stopping();
    let server = tonic::transport::Server::builder()
        .add_service(runtime)
        .add_service(image);
    config.tasks.spawn("cri", async move {
        let stopped = async move { stopping.cancelled().await };
        if let Err(error) = server
            .serve_with_incoming_shutdown(Incoming::new(listener), stopped)
            .await
        {
            tracing::error!(error = chain(&error), "the CRI server failed");
        }
    });
    Ok(())
}
