//! Where objects are kept.

use std::path::PathBuf;

use super::Flag;
use super::Shape::{Many, One, Switch};
use super::typed::OptionalFlag;
use super::values;

const NO_ETCD: &str = "there is no embedded etcd";

pub(crate) const DATASTORE_ENDPOINT: OptionalFlag<String> = OptionalFlag::new(
    Flag::new(
        "datastore-endpoint",
        One,
        "Where objects are kept: sqlite, postgres://..., mysql://... (default: sqlite)",
    )
    .env("K3S_DATASTORE_ENDPOINT"),
    // Read by `datastore::Endpoint`, whose errors do not repeat the password.
    values::text,
);
pub(crate) const DATASTORE_CAFILE: OptionalFlag<PathBuf> = OptionalFlag::new(
    Flag::new(
        "datastore-cafile",
        One,
        "TLS: authority that the datastore's certificate must come from",
    )
    .env("K3S_DATASTORE_CAFILE"),
    values::path,
);
pub(crate) const DATASTORE_CERTFILE: OptionalFlag<PathBuf> = OptionalFlag::new(
    Flag::new(
        "datastore-certfile",
        One,
        "TLS: client certificate for the datastore",
    )
    .env("K3S_DATASTORE_CERTFILE"),
    values::path,
);
pub(crate) const DATASTORE_KEYFILE: OptionalFlag<PathBuf> = OptionalFlag::new(
    Flag::new(
        "datastore-keyfile",
        One,
        "TLS: client key for the datastore",
    )
    .env("K3S_DATASTORE_KEYFILE"),
    values::path,
);

pub(super) const FLAGS: &[Flag] = &[
    DATASTORE_ENDPOINT.row(),
    DATASTORE_CAFILE.row(),
    DATASTORE_CERTFILE.row(),
    DATASTORE_KEYFILE.row(),
    Flag::new("kine-tls", Switch, "TLS on the kine socket").warns("there is no kine socket"),
    Flag::new("etcd-expose-metrics", Switch, "Expose etcd metrics").warns(NO_ETCD),
    Flag::new("etcd-disable-snapshots", Switch, "No scheduled snapshots").warns(NO_ETCD),
    Flag::new("etcd-snapshot-name", One, "Base name of snapshots").warns(NO_ETCD),
    Flag::new("etcd-snapshot-schedule-cron", One, "Snapshot schedule").warns(NO_ETCD),
    Flag::new(
        "etcd-snapshot-reconcile-interval",
        One,
        "Snapshot reconcile interval",
    )
    .warns(NO_ETCD),
    Flag::new("etcd-snapshot-retention", One, "Snapshots to keep").warns(NO_ETCD),
    Flag::new("etcd-snapshot-dir", One, "Snapshot folder").warns(NO_ETCD),
    Flag::new("etcd-snapshot-compress", Switch, "Compress snapshots").warns(NO_ETCD),
    Flag::new("etcd-s3", Switch, "Snapshots to S3").fatal(NO_ETCD),
    Flag::new("etcd-s3-endpoint", One, "S3 endpoint").warns(NO_ETCD),
    Flag::new("etcd-s3-endpoint-ca", One, "S3 CA").warns(NO_ETCD),
    Flag::new("etcd-s3-skip-ssl-verify", Switch, "No S3 TLS check").warns(NO_ETCD),
    Flag::new("etcd-s3-access-key", One, "S3 access key")
        .env("AWS_ACCESS_KEY_ID")
        .warns(NO_ETCD),
    Flag::new("etcd-s3-secret-key", One, "S3 secret key")
        .env("AWS_SECRET_ACCESS_KEY")
        .warns(NO_ETCD),
    Flag::new("etcd-s3-session-token", One, "S3 session token")
        .env("AWS_SESSION_TOKEN")
        .warns(NO_ETCD),
    Flag::new("etcd-s3-bucket", One, "S3 bucket").warns(NO_ETCD),
    Flag::new("etcd-s3-bucket-lookup-type", One, "auto, dns or path").warns(NO_ETCD),
    Flag::new("etcd-s3-region", One, "S3 region").warns(NO_ETCD),
    Flag::new("etcd-s3-folder", One, "S3 folder").warns(NO_ETCD),
    Flag::new("etcd-s3-retention", One, "S3 snapshots to keep").warns(NO_ETCD),
    Flag::new("etcd-s3-proxy", One, "Proxy for S3").warns(NO_ETCD),
    Flag::new("etcd-s3-config-secret", One, "Secret with S3 settings").warns(NO_ETCD),
    Flag::new("etcd-s3-insecure", Switch, "S3 without TLS").warns(NO_ETCD),
    Flag::new("etcd-s3-timeout", One, "S3 timeout").warns(NO_ETCD),
    Flag::new("etcd-arg", Many, "Argument for etcd").warns(NO_ETCD),
];
