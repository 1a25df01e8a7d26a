//! Whether the machine still has the address that its node took from it. Certificates, endpoints, the Node and
//! listeners are made for one address, so that the server starts over when there is another; that takes less
//! than a second, and pods run on.

use std::net::IpAddr;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_sys::net::{Net, NetError, Observer};
use tracing::{info, warn};

/// The old address goes before the new one comes, and a route after that.
const SETTLE: Duration = Duration::from_secs(1);

/// Resolves when no interface has `address` any more and the default route leads out from another one. Never
/// for an address that is a setting.
pub(super) async fn changed(address: Option<IpAddr>) {
    let Some(IpAddr::V4(address)) = address else {
        return std::future::pending().await;
    };
    let mut observer = match Observer::open() {
        Ok(observer) => observer,
        Err(error) => return unnoticed(&error).await,
    };
    loop {
        match Net::current().and_then(|net| net.address_instead_of(address)) {
            Ok(Some(new)) => {
                info!(%address, %new, "the machine has another address: starting over");
                return;
            }
            Ok(None) => {}
            Err(error) => warn!(error = chain(&error), "cannot read the machine's addresses"),
        }
        if let Err(error) = observer.changed().await {
            return unnoticed(&error).await;
        }
        tokio::time::sleep(SETTLE).await;
    }
}

async fn unnoticed(error: &NetError) {
    let error = chain(error);
    warn!(error, "a change of the machine's address goes unnoticed");
    std::future::pending().await
}
