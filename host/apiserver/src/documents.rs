//! Documents that do not change while the server runs: its version, and who issues its tokens.

use std::sync::Arc;

use k3s_pki::ServiceAccountKeys;

use crate::config::VersionInfo;

pub(crate) struct Documents {
    pub(crate) version: VersionInfo,
    pub(crate) issuer: Arc<ServiceAccountKeys>,
}

impl Documents {
    pub(crate) fn new(version: VersionInfo, issuer: Arc<ServiceAccountKeys>) -> Self {
        Self { version, issuer }
    }
}
