//! Container images made on the spot from the distribution's packages: no registry is reached.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::archive::{LayerBuilder, LayeredImage, write_archive};
use crate::process::run;

/// An image archive on disk, in the form that `docker save` writes.
#[derive(Clone, Debug)]
pub struct Image {
    path: PathBuf,
}

impl Image {
    /// An archive that exists.
    #[must_use]
    pub fn from_archive(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The archive.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The archive's file name.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}

/// A small image with busybox: every applet, `/bin/sh`, `/etc/passwd` with root and nobody.
///
/// # Errors
/// When `busybox-static` is not installed.
pub fn busybox(reference: &str) -> Result<Image> {
    let mut files = Files::new()?;
    files.busybox()?;
    files.archive(
        reference,
        &json!({"Cmd": ["sh"], "Env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin"]}),
    )
}

/// An image that does nothing, for the sandboxes of runtimes that need one.
///
/// # Errors
/// When `busybox-static` is not installed.
pub fn pause(reference: &str) -> Result<Image> {
    let mut files = Files::new()?;
    files.busybox()?;
    files.archive(
        reference,
        &json!({"Entrypoint": ["/bin/sleep", "2147483647"]}),
    )
}

/// nginx from the distribution, answering `GET /` with the pod's host name and `version`.
///
/// # Errors
/// When `nginx-light` or `nginx` is not installed.
pub fn http_server(reference: &str, version: &str) -> Result<Image> {
    let nginx = ["/usr/sbin/nginx"]
        .iter()
        .map(Path::new)
        .find(|p| p.exists())
        .context("nginx is not installed")?;
    let mut files = Files::new()?;
    files.busybox()?;
    files.program(nginx)?;
    let config = format!(
        "daemon off; worker_processes 1; error_log stderr; pid /tmp/nginx.pid;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log /dev/stdout; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;\n\
         server {{ listen 80; location / {{ default_type text/plain; return 200 \"{version} $hostname\\n\"; }} }} }}\n"
    );
    files.text("etc/nginx/nginx.conf", &config)?;
    files.archive(
        reference,
        &json!({
            "Entrypoint": ["/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf"],
            "Env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin"],
            "ExposedPorts": {"80/tcp": {}},
            "StopSignal": "SIGQUIT"
        }),
    )
}

/// A root file system in the making.
struct Files {
    root: PathBuf,
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir_in("/var/tmp")?;
        let root = dir.path().join("root");
        for folder in [
            "bin",
            "etc",
            "tmp",
            "var/log/nginx",
            "var/lib/nginx",
            "usr/sbin",
            "usr/share/nginx",
            "root",
            "home/nobody",
        ] {
            fs::create_dir_all(root.join(folder))?;
        }
        let files = Self { root, dir };
        files.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/home/nobody:/bin/sh\n")?;
        files.text(
            "etc/group",
            "root:x:0:\nwww-data:x:33:\nextra:x:2000:nobody\nnogroup:x:65534:\n",
        )?;
        Ok(files)
    }

    fn text(&self, path: &str, text: &str) -> Result<()> {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().context("file in a folder")?)?;
        Ok(fs::write(path, text)?)
    }

    fn busybox(&mut self) -> Result<()> {
        let busybox = Path::new("/bin/busybox");
        fs::copy(busybox, self.root.join("bin/busybox"))
            .context("busybox-static is not installed")?;
        let applets = run(
            Command::new(busybox).arg("--list"),
            None,
            Duration::from_secs(10),
        )?
        .ok()?;
        // The static busybox cannot look up names (the GNU C library loads its resolver at run time), so
        // wget is the real one; its shell must be given the path, or it takes its own applet.
        self.program(Path::new("/usr/bin/wget"))?;
        for applet in applets
            .lines()
            .filter(|a| !["busybox", "wget", ""].contains(a))
        {
            std::os::unix::fs::symlink("/bin/busybox", self.root.join("bin").join(applet))?;
        }
        Ok(())
    }

    fn copy(&self, file: &Path) -> Result<()> {
        let to = self.root.join(file.strip_prefix("/")?);
        fs::create_dir_all(to.parent().context("file in a folder")?)?;
        fs::copy(file, &to).with_context(|| file.display().to_string())?;
        Ok(())
    }

    /// A program with the shared libraries it is linked to.
    fn program(&self, path: &Path) -> Result<()> {
        let linked = run(Command::new("ldd").arg(path), None, Duration::from_secs(10))?.ok()?;
        let absolute = |l: &str| {
            l.split_whitespace()
                .find(|w| w.starts_with('/'))
                .map(PathBuf::from)
        };
        let mut all: BTreeSet<PathBuf> = linked.lines().filter_map(absolute).collect();
        all.insert(path.to_owned());
        all.iter().try_for_each(|file| self.copy(file))
    }

    /// Packs everything as one layer of a `docker save` archive.
    fn archive(&self, reference: &str, config: &Value) -> Result<Image> {
        let mut layer = LayerBuilder::create(&self.dir.path().join("layer.tar"))?;
        layer.tree(&self.root)?;
        let image = LayeredImage {
            references: vec![reference.to_owned()],
            layers: vec![layer.finish()?],
            config: config.clone(),
        };
        let dir = archive_dir()?;
        let path = dir.join(format!("{}.tar", reference.replace(['/', ':'], "_")));
        let out = tempfile::NamedTempFile::new_in(&dir)?;
        write_archive(out.path(), &[image])?;
        out.persist(&path)?;
        Ok(Image { path })
    }
}

/// One folder for all tests, so that what stays behind is bounded: an archive replaces the one
/// before it under the same name, at once and as a whole.
fn archive_dir() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join("k3s-test-images");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}
