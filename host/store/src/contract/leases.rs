//! Leases: keys go when their time is up, also when the store was restarted in between.
#![allow(clippy::expect_used, reason = "a contract case fails by panicking")]

use std::time::Duration;

use super::Fixture;
use super::rig::{Rig, until, within};
use crate::model::{EventKind, Precondition, Write};

pub(super) async fn all(fixture: &dyn Fixture) {
    leased_keys_expire(fixture).await;
}

async fn leased_keys_expire(fixture: &dyn Fixture) {
    let backend = fixture.create().await;
    let rig = Rig::open(backend.clone()).await;
    let leased = |key: &str, secs| {
        Write::put(key, Precondition::Any, "v").with_ttl(Duration::from_secs(secs))
    };
    rig.store
        .write(leased("/l/short", 1))
        .await
        .expect("commits");
    rig.store
        .write(leased("/l/kept", 1))
        .await
        .expect("commits");
    rig.put("/l/kept", "without lease").await;
    let mut watcher = rig
        .store
        .watch("/l/", rig.store.revision())
        .expect("a watch");
    let event = within("the expiry", watcher.next())
        .await
        .expect("an event");
    assert_eq!(
        (&**event.key(), event.kind),
        ("/l/short", EventKind::Delete)
    );
    rig.store
        .write(leased("/l/later", 1))
        .await
        .expect("commits");
    rig.stop().await;

    let rig = Rig::open(fixture.reopen(backend).await).await;
    until("the expiry after the restart", || {
        rig.store.get("/l/later").is_none()
    })
    .await;
    assert!(
        rig.store.get("/l/kept").is_some(),
        "a write without lease ends the lease"
    );
    rig.stop().await;
}
