//! Images from archives and from a registry.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use k3s_cri::v1::{AuthConfig, ImageSpec, ListImagesRequest, PullImageRequest, RemoveImageRequest};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{
    IMAGE, Node, SLEEP, busybox_archive, digest, entry, eventually, image_config, image_id, layers,
    shell,
};

fn spec(image: &str) -> Option<ImageSpec> {
    Some(ImageSpec {
        image: image.into(),
        ..Default::default()
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image in the form of a registry: its blobs by digest, and the manifest's digest.
struct Published {
    blobs: HashMap<String, Vec<u8>>,
    index: Vec<u8>,
}

fn publish() -> Published {
    let layers = layers();
    let config = image_config(&layers);
    let compressed = [
        gzip(&layers[0]),
        zstd::encode_all(&layers[1][..], 1).unwrap(),
    ];
    let mut blobs = HashMap::from([(digest(&config), config.clone())]);
    let describe = |bytes: &[u8], kind: &str| serde_json::json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
    let kinds = [
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
    ];
    let list: Vec<_> = compressed
        .iter()
        .zip(kinds)
        .map(|(bytes, kind)| describe(bytes, kind))
        .collect();
    let manifest = serde_json::json!({"schemaVersion": 2, "config": describe(&config, "application/vnd.oci.image.config.v1+json"), "layers": list}).to_string().into_bytes();
    blobs.extend(compressed.into_iter().map(|bytes| (digest(&bytes), bytes)));
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let mut entry = describe(&manifest, "application/vnd.oci.image.manifest.v1+json");
    entry["platform"] = serde_json::json!({"os": "linux", "architecture": arch});
    let mut other = entry.clone();
    other["platform"]["architecture"] = "s390x".into();
    other["digest"] = digest(b"absent").into();
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [other, entry]}).to_string().into_bytes();
    blobs.insert(digest(&manifest), manifest);
    blobs.insert(digest(&index), index.clone());
    Published { blobs, index }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_dropped_in_are_imported_pinned_and_others_leave_no_trace() {
    let node = Node::start().await;
    let mut images = node.images.clone();
    // A compressed archive that appears by rename, as careful tools do it.
    busybox_archive(&node.path("plain.tar"), "test.example/late:2");
    std::fs::write(
        node.path("hidden"),
        zstd::encode_all(&std::fs::read(node.path("plain.tar")).unwrap()[..], 1).unwrap(),
    )
    .unwrap();
    std::fs::rename(node.path("hidden"), node.path("images/late.tar.zst")).unwrap();
    eventually("the archive is imported", || {
        let mut images = images.clone();
        async move { image_id(&mut images, "test.example/late:2").await }
    })
    .await;
    let list = images
        .list_images(ListImagesRequest::default())
        .await
        .unwrap()
        .into_inner()
        .images;
    assert_eq!(list.len(), 1, "one image under two names");
    assert!(list[0].pinned && list[0].size > 0);
    assert_eq!(
        list[0].repo_tags,
        ["test.example/busybox:1", "test.example/late:2"]
    );
    std::fs::write(node.path("images/broken.tar"), b"this is no archive").unwrap();
    busybox_archive(&node.path("images/zz-last.tar"), "test.example/last:1");
    eventually("the last archive is imported", || {
        let mut images = images.clone();
        async move { image_id(&mut images, "test.example/last:1").await }
    })
    .await;
}

/// An image whose layer writes through a link out of its root.
fn evil_layer() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    entry(
        &mut layer,
        "link",
        tar::EntryType::Symlink,
        0o777,
        &[],
        Some("/tmp"),
    );
    entry(
        &mut layer,
        "../../../../../../tmp/k3s-runtime-test-escape",
        tar::EntryType::Regular,
        0o644,
        b"out",
        None,
    );
    layer.into_inner().unwrap()
}

/// Directories 30,000 levels deep, reached through links that are short each.
fn deep_layer() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    let steps = "/x".repeat(900);
    let mut end = format!("deep{steps}");
    let directory = tar::EntryType::Directory;
    entry(&mut layer, &end, directory, 0o755, &[], None);
    for link in 0..33 {
        let name = format!("l{link}");
        let target = format!("/{end}");
        let symlink = tar::EntryType::Symlink;
        entry(&mut layer, &name, symlink, 0o777, &[], Some(&target));
        end = format!("{name}{steps}");
        entry(&mut layer, &end, directory, 0o755, &[], None);
    }
    entry(
        &mut layer,
        "deep",
        tar::EntryType::Regular,
        0o644,
        &[],
        None,
    );
    layer.into_inner().unwrap()
}

/// A name of 64 MiB.
fn long_named_layer() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    let name = vec![b'a'; 64 << 20];
    let kind = tar::EntryType::GNULongName;
    entry(&mut layer, "././@LongLink", kind, 0o644, &name, None);
    entry(&mut layer, "a", tar::EntryType::Regular, 0o644, &[], None);
    layer.into_inner().unwrap()
}

/// A `docker save` archive of an image with one layer.
fn archive_of(tag: &str, layer: Vec<u8>) -> Vec<u8> {
    let layers = [layer];
    let config = image_config(&layers);
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}])
            .to_string();
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("config.json", &config[..]),
        ("layer.tar", &layers[0][..]),
        ("manifest.json", manifest.as_bytes()),
    ] {
        entry(
            &mut tar,
            name,
            tar::EntryType::Regular,
            0o644,
            content,
            None,
        );
    }
    tar.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_layers_cost_their_own_image_only() {
    let node = Node::start().await;
    let mut images = node.images.clone();
    let hostile = [
        ("evil", evil_layer()),
        ("deep", deep_layer()),
        ("long", long_named_layer()),
    ];
    for (name, layer) in hostile {
        let archive = archive_of(&format!("test.example/{name}:1"), layer);
        std::fs::write(node.path(&format!("images/{name}.tar")), archive).unwrap();
    }
    busybox_archive(&node.path("images/zz-last.tar"), "test.example/last:1");
    eventually("the last archive is imported", || {
        let mut images = images.clone();
        async move { image_id(&mut images, "test.example/last:1").await }
    })
    .await;
    for name in ["evil", "deep", "long"] {
        let image = format!("test.example/{name}:1");
        assert!(image_id(&mut images, &image).await.is_none(), "{image}");
    }
    assert!(!std::path::Path::new("/tmp/k3s-runtime-test-escape").exists());
    let left: Vec<_> = std::fs::read_dir(node.path("root/snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_are_read_in_each_compression() {
    let node = Node::start().await;
    let images = node.images.clone();
    let compressed = |name: &str, tag: &str, compress: &dyn Fn(&[u8]) -> Vec<u8>| {
        busybox_archive(&node.path("plain.tar"), tag);
        let bytes = compress(&std::fs::read(node.path("plain.tar")).unwrap());
        std::fs::write(node.path("hidden"), bytes).unwrap();
        std::fs::rename(node.path("hidden"), node.path(&format!("images/{name}"))).unwrap();
    };
    compressed("a.tar.bz2", "test.example/bzip2:1", &|bytes| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    });
    compressed("b.tar.lz4", "test.example/lz4:1", &|bytes| {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    });
    compressed("c.tgz", "test.example/gzip:1", &gzip);
    for tag in ["bzip2", "lz4", "gzip"] {
        eventually(tag, || {
            let mut images = images.clone();
            async move { image_id(&mut images, &format!("test.example/{tag}:1")).await }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oci_layout_is_imported() {
    let node = Node::start().await;
    let published = publish();
    let mut tar = tar::Builder::new(Vec::new());
    entry(
        &mut tar,
        "oci-layout",
        tar::EntryType::Regular,
        0o644,
        br#"{"imageLayoutVersion":"1.0.0"}"#,
        None,
    );
    for (digest, bytes) in &published.blobs {
        entry(
            &mut tar,
            &format!("blobs/{}", digest.replace(':', "/")),
            tar::EntryType::Regular,
            0o644,
            bytes,
            None,
        );
    }
    let top = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(&published.index), "size": published.index.len(),
        "annotations": {"io.containerd.image.name": "test.example/layout:3"},
    }]});
    entry(
        &mut tar,
        "index.json",
        tar::EntryType::Regular,
        0o644,
        top.to_string().as_bytes(),
        None,
    );
    std::fs::write(
        node.path("images/layout.tgz"),
        gzip(&tar.into_inner().unwrap()),
    )
    .unwrap();
    eventually("the layout is imported", || {
        let mut images = node.images.clone();
        async move {
            image_id(
                &mut images,
                &format!("test.example/layout@{}", digest(&publish().index)),
            )
            .await
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_an_image_frees_what_no_container_uses() {
    let node = Node::start().await;
    let mut images = node.images.clone();
    let sandbox = node.sandbox("gc").await;
    let id = node.run(&sandbox, shell("c", SLEEP)).await;
    let layer_count = || {
        std::fs::read_dir(node.path("root/snapshots"))
            .unwrap()
            .count()
    };
    assert_eq!(layer_count(), 2);
    images
        .remove_image(RemoveImageRequest { image: spec(IMAGE) })
        .await
        .unwrap();
    assert!(image_id(&mut images, IMAGE).await.is_none());
    assert_eq!(layer_count(), 2, "the container still stands on them");
    assert_eq!(node.output(&id, "cat /etc/second").await, "second layer");
    node.remove_sandbox(&sandbox).await;
    assert_eq!(layer_count(), 0);
    images
        .remove_image(RemoveImageRequest { image: spec(IMAGE) })
        .await
        .unwrap();
}

/// The requests a registry saw.
type Seen = Arc<Mutex<Vec<String>>>;

/// A registry that wants a token, breaks the first download of each blob in the middle, and redirects
/// blobs elsewhere.
async fn registry(published: Published) -> (u16, Seen) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let (published, log) = (Arc::new(published), seen.clone());
    let broken = Arc::new(Mutex::new(std::collections::HashSet::new()));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (published, log, broken) = (published.clone(), log.clone(), broken.clone());
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut chunk = [0; 4096];
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut chunk).await {
                        Ok(count @ 1..) => request.extend_from_slice(&chunk[..count]),
                        _ => return,
                    }
                }
                let request = String::from_utf8_lossy(&request).to_lowercase();
                log.lock().push(request.clone());
                let answer = respond(&request, port, &published, &broken);
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (port, seen)
}

fn respond(
    request: &str,
    port: u16,
    published: &Published,
    broken: &Mutex<std::collections::HashSet<String>>,
) -> Vec<u8> {
    let reply = |status: &str, headers: &str, body: &[u8]| {
        [
            format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
                body.len()
            )
            .as_bytes(),
            body,
        ]
        .concat()
    };
    let path = request
        .split(' ')
        .nth(1)
        .unwrap()
        .split('?')
        .next()
        .unwrap();
    if path == "/token" {
        let basic = request.contains("authorization: basic dxnlcjpwyxnz");
        return if basic {
            reply("200 OK", "", br#"{"token":"letmein"}"#)
        } else {
            reply("401 Unauthorized", "", b"bad credentials")
        };
    }
    if let Some(name) = path.strip_prefix("/elsewhere/") {
        assert!(
            !request.contains("authorization: bearer")
                || request.contains(&format!("host: 127.0.0.1:{port}"))
        );
        let bytes = &published.blobs[name];
        if let Some(from) = request
            .split("range: bytes=")
            .nth(1)
            .and_then(|rest| rest.split('-').next()?.parse::<usize>().ok())
        {
            return reply("206 Partial Content", "", &bytes[from..]);
        }
        if bytes.len() > 1000 && broken.lock().insert(name.to_owned()) {
            let head = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                bytes.len()
            );
            return [head.as_bytes(), &bytes[..bytes.len() / 2]].concat();
        }
        return reply("200 OK", "", bytes);
    }
    if !request.contains("authorization: bearer letmein") {
        let challenge = format!(
            "www-authenticate: Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"test\"\r\n"
        );
        return reply("401 Unauthorized", &challenge, b"");
    }
    let name = path.rsplit('/').next().unwrap();
    match path {
        _ if !path.starts_with("/v2/mirrored/busybox/") => {
            reply("404 Not Found", "", b"no such repository")
        }
        _ if path.contains("/manifests/") && name == "1.0" => reply(
            "200 OK",
            "content-type: application/vnd.oci.image.index.v1+json\r\n",
            &published.index,
        ),
        _ if path.contains("/manifests/") && published.blobs.contains_key(name) => {
            reply("200 OK", "", &published.blobs[name])
        }
        _ if path.contains("/blobs/") => reply(
            "307 Temporary Redirect",
            &format!("location: /elsewhere/{name}\r\n"),
            b"",
        ),
        _ => reply("404 Not Found", "", b"no such thing"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_with_rewrite_token_redirect_and_broken_downloads_serves() {
    let published = publish();
    let index = digest(&published.index);
    let (port, seen) = registry(published).await;
    let dir = tempfile::tempdir().unwrap();
    let file = format!(
        "mirrors:\n  test.example:\n    endpoint: [\"http://127.0.0.1:{port}\"]\n    rewrite: {{\"^team/(.*)\": \"mirrored/$1\"}}\n"
    );
    std::fs::write(dir.path().join("registries.yaml"), file).unwrap();
    let node = Node::start_in(dir).await;
    let mut images = node.images.clone();
    let auth = |password: &str| {
        Some(AuthConfig {
            username: "user".into(),
            password: password.into(),
            ..Default::default()
        })
    };
    let pull = |auth| PullImageRequest {
        image: spec("test.example/team/busybox:1.0"),
        auth,
        sandbox_config: None,
    };
    // Wrong credentials: the mirror refuses, and the registry itself does not exist.
    assert!(images.pull_image(pull(auth("wrong"))).await.is_err());
    let image_ref = images
        .pull_image(pull(auth("pass")))
        .await
        .unwrap()
        .into_inner()
        .image_ref;
    assert_eq!(
        image_id(&mut images, &format!("test.example/team/busybox@{index}")).await,
        Some(image_ref)
    );
    assert!(
        seen.lock()
            .iter()
            .any(|request| request.contains("range: bytes=")),
        "a broken download goes on"
    );
    assert!(
        seen.lock()
            .iter()
            .any(|request| request.contains("?ns=test.example"))
    );
    assert_eq!(
        std::fs::read_dir(node.path("root/ingest/blobs/sha256"))
            .unwrap()
            .count(),
        0
    );
    let sandbox = node.sandbox("pulled").await;
    let mut config = shell("c", SLEEP);
    config.image = spec("test.example/team/busybox:1.0");
    let id = node.run(&sandbox, config).await;
    assert_eq!(node.output(&id, "cat /etc/second").await, "second layer");
    assert_eq!(
        node.status(&id).await.image_ref,
        format!("test.example/team/busybox@{index}")
    );
    node.remove_sandbox(&sandbox).await;
}
