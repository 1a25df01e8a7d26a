//! Images from a registry on loopback, reached through a mirror in `registries.yaml`.

use std::time::Duration;

use anyhow::{Result, ensure};
use k3s_e2e::{SHELL, cluster, fixture, wait_for_pod};
use k3s_harness::http_server;

/// Pushes a `docker save` archive of one layer to a registry with nothing but busybox and sh.
const PUSH: &str = r#"
set -e
dir=$(mktemp -d); cd "$dir"; tar xf "$ARCHIVE"
config=$(ls *.json | grep -v manifest.json); layer=$(ls */layer.tar); base=http://127.0.0.1:5000/v2/$REPO
upload() {
  digest=sha256:$(sha256sum "$1" | cut -d' ' -f1)
  location=$(curl -sfi -X POST "$base/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //pI')
  case "$location" in *\?*) sep='&';; *) sep='?';; esac
  curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary @"$1" "$location${sep}digest=$digest"
  echo "$digest"
}
c=$(upload "$config"); l=$(upload "$layer")
printf '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%s,"digest":"%s"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":%s,"digest":"%s"}]}' \
  "$(stat -c %s "$config")" "$c" "$(stat -c %s "$layer")" "$l" > m.json
curl -sf -X PUT -H 'Content-Type: application/vnd.docker.distribution.manifest.v2+json' --data-binary @m.json "$base/manifests/$TAG"
rm -rf "$dir"
"#;

#[test]
fn pods_run_images_from_a_registry() -> Result<()> {
    let mut cluster = cluster()?;
    let corner = cluster.corner();
    let config = corner.dir().join("registry.yml");
    std::fs::write(
        &config,
        format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}/registry}}}}\nhttp: {{addr: '127.0.0.1:5000'}}\n",
            corner.dir().display()
        ),
    )?;
    let _registry = corner.background(
        &format!("exec docker-registry serve {}", config.display()),
        "registry.log",
    )?;
    k3s_harness::until("the registry answers", Duration::from_secs(20), || {
        corner.sh("curl -sf http://127.0.0.1:5000/v2/")?.ok()
    })?;
    let image = http_server("registry.test/team/web:9", "from-registry")?;
    let push = corner.dir().join("push.sh");
    std::fs::write(&push, PUSH)?;
    corner
        .sh(&format!(
            "ARCHIVE={} REPO=mirrored/team/web TAG=9 sh {}",
            image.path().display(),
            push.display()
        ))?
        .ok()?;

    cluster.stop_server(Duration::from_secs(10))?;
    let registries = "mirrors:\n  registry.test:\n    endpoint: ['http://127.0.0.1:5000']\n    rewrite: {'^team/(.*)': 'mirrored/team/$1'}\n";
    std::fs::write(cluster.corner().dir().join("registries.yaml"), registries)?;
    cluster
        .corner()
        .sh(&format!(
            "cp {}/registries.yaml /etc/rancher/k3s/registries.yaml",
            cluster.corner().dir().display()
        ))?
        .ok()?;
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    cluster.wait_for_node()?;

    cluster.apply(&fixture!("pod-from-registry"))?;
    wait_for_pod(&cluster, "web")?;
    let events = cluster
        .kubectl(&[
            "get",
            "events",
            "--field-selector",
            "involvedObject.name=web",
        ])?
        .ok()?;
    ensure!(events.contains("Successfully pulled image"), "{events}");

    cluster.apply(&fixture!("pods-without-image", IMAGE = SHELL))?;
    for (pod, reasons) in [
        ("missing", &["ErrImagePull", "ImagePullBackOff"][..]),
        ("never", &["ErrImageNeverPull"]),
    ] {
        cluster.wait_for(
            &format!("pod {pod} says why it waits"),
            Duration::from_secs(60),
            || {
                let shown = cluster.kubectl(&["get", "pod", pod])?.ok()?;
                ensure!(reasons.iter().any(|r| shown.contains(r)), "{shown}");
                Ok(())
            },
        )?;
    }
    Ok(())
}
