//! Which cluster a kubeconfig names, as whom, and which files that takes.

use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{Kubeconfig, KubeconfigError};

use super::Loaded;
use super::https::{self, Https};
use crate::error::{Error, Result};

/// A kubeconfig file and what the caller wants of it.
#[derive(Clone, Debug, Default)]
pub struct KubeconfigSource {
    /// The file. Relative paths in it start at its folder.
    pub path: PathBuf,
    /// A context other than `current-context`.
    pub context: Option<String>,
    /// User to impersonate.
    pub impersonate: Option<String>,
    /// Groups to impersonate.
    pub impersonate_groups: Vec<String>,
}

impl KubeconfigSource {
    /// The current context of a file, as its own user.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }

    /// Reads the file and makes the HTTPS stack it describes.
    pub(crate) fn load(&self) -> Result<(Loaded<Https>, Config)> {
        let (config, files) = self.read().map_err(|source| Error::Kubeconfig {
            path: self.path.clone(),
            source: Box::new(source),
        })?;
        if config.accept_invalid_certs {
            return Err(Error::InsecureTls(self.path.clone()));
        }
        let service = https::stack(&config)?;
        Ok((Loaded { service, files }, config))
    }

    fn read(&self) -> Result<(Config, Vec<PathBuf>), KubeconfigError> {
        let mut file = Kubeconfig::read_from(&self.path)?;
        if self.context.is_some() {
            file.current_context.clone_from(&self.context);
        }
        let mut files = vec![self.path.clone()];
        files.extend(authority(&file).map(PathBuf::from));
        let mut config = Config::try_from(file)?;
        let user = &mut config.auth_info;
        // kube reads a token file again by itself.
        let own = [&user.client_certificate, &user.client_key];
        files.extend(own.into_iter().flatten().map(PathBuf::from));
        if self.impersonate.is_some() {
            user.impersonate.clone_from(&self.impersonate);
            user.impersonate_groups = Some(self.impersonate_groups.clone());
        }
        Ok((config, files))
    }
}

impl From<&Path> for KubeconfigSource {
    fn from(path: &Path) -> Self {
        Self::new(path)
    }
}

/// The file of the current cluster's CA bundle, where it is in one.
fn authority(file: &Kubeconfig) -> Option<&str> {
    let name = file.current_context.as_deref()?;
    let context = file.contexts.iter().find(|context| context.name == name)?;
    let cluster_name = &context.context.as_ref()?.cluster;
    let named = file
        .clusters
        .iter()
        .find(|named| named.name == *cluster_name)?;
    let cluster = named.cluster.as_ref()?;
    if cluster.certificate_authority_data.is_some() {
        return None;
    }
    cluster.certificate_authority.as_deref()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SAMPLE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: default\n\
        clusters:\n- name: c\n  cluster: {server: 'https://127.0.0.1:6443', certificate-authority: ca.crt}\n\
        contexts:\n- name: default\n  context: {cluster: c, user: u, namespace: n}\n\
        users:\n- name: u\n  user: {token: abc, client-certificate: user.crt, client-key: user.key}\n";

    fn source(text: &str) -> (tempfile::TempDir, KubeconfigSource) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, text).unwrap();
        fs::write(dir.path().join("ca.crt"), "").unwrap();
        (dir, KubeconfigSource::new(path))
    }

    #[test]
    fn the_current_context_and_its_files_are_followed() {
        let (dir, mut source) = source(SAMPLE);
        source.impersonate = Some("jane".into());
        source.impersonate_groups = vec!["crew".into()];
        let (config, files) = source.read().unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:6443/");
        assert_eq!(config.default_namespace, "n");
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("jane"));
        let names = ["config", "ca.crt", "user.crt", "user.key"];
        assert_eq!(files, names.map(|name| dir.path().join(name)));
    }

    #[test]
    fn what_is_missing_or_unsafe_is_named() {
        let (_dir, mut missing) = source(SAMPLE);
        missing.context = Some("other".into());
        let error = missing.read().unwrap_err();
        assert!(matches!(error, KubeconfigError::LoadContext(name) if name == "other"));
        let text = SAMPLE.replace(
            "certificate-authority: ca.crt",
            "insecure-skip-tls-verify: true",
        );
        let (_dir, source) = source(&text);
        assert!(matches!(source.load(), Err(Error::InsecureTls(_))));
    }
}
