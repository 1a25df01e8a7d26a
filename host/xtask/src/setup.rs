//! Installing what is missing on a fresh Debian machine with rustup's cargo and root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell::{output, run, step};

/// Packages the build needs: a linker, the seccomp library (linked in), the protobuf compiler (CRI).
const BUILD: &[(&str, &str)] =
    &[("gcc", "/usr/bin/cc"), ("libseccomp-dev", "/usr/include/seccomp.h"), ("protobuf-compiler", "/usr/bin/protoc")];
/// Packages the tests need: what images are made of, a registry, and tools to look at the network.
const TESTS: &[(&str, &str)] = &[
    ("busybox-static", "/bin/busybox"),
    ("nginx-light", "/usr/sbin/nginx"),
    ("docker-registry", "/usr/bin/docker-registry"),
    ("iproute2", "/usr/sbin/ip|/sbin/ip|/bin/ip"),
    ("nftables", "/usr/sbin/nft"),
    ("curl", "/usr/bin/curl"),
    ("wget", "/usr/bin/wget"),
    ("util-linux", "/usr/bin/nsenter"),
    ("procps", "/usr/bin/pgrep"),
    // Foreign pod networks and container runtimes.
    ("containernetworking-plugins", "/usr/lib/cni/bridge"),
    ("iptables", "/usr/sbin/iptables"),
    ("containerd", "/usr/bin/containerd"),
    ("runc", "/usr/sbin/runc|/usr/bin/runc"),
    ("postgresql", "/usr/share/doc/postgresql"),
    ("mariadb-server", "/usr/sbin/mariadbd"),
    ("openssl", "/usr/bin/openssl"),
    ("nodejs", "/usr/bin/node"),
    ("npm", "/usr/bin/npm"),
];
/// Packages the benchmarks need besides: peers.
const BENCHMARKS: &[(&str, &str)] = &[("etcd-server", "/usr/bin/etcd")];
/// Where the stock `kubectl` is put.
const KUBECTL_DIR: &str = "/usr/local/lib/k3s-test";

/// What `cargo build` needs.
pub(crate) fn for_build() -> Result<()> {
    wasm_target()?;
    packages(BUILD)
}

/// What `cargo xtask test` needs besides.
pub(crate) fn for_tests() -> Result<()> {
    for_build()?;
    packages(TESTS)?;
    javascript()?;
    kubectl()
}

/// What `cargo xtask bench` needs besides.
pub(crate) fn for_benchmarks() -> Result<()> {
    for_tests()?;
    packages(BENCHMARKS)
}

/// What the pod network in JavaScript is made with, in the version that its manifest names.
fn javascript() -> Result<()> {
    let dir = Path::new("tests/guests/javascript");
    if dir.join("node_modules/@bytecodealliance/componentize-js").exists() {
        return Ok(());
    }
    step("install the JavaScript component tools", || {
        let quiet = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"];
        run(Command::new("npm").arg("--prefix").arg(dir).args(quiet))
    })
}

fn wasm_target() -> Result<()> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib/wasm32-unknown-unknown").exists() {
        return Ok(());
    }
    step("install the wasm32-unknown-unknown target", || {
        run(Command::new("rustup").args(["target", "add", "wasm32-unknown-unknown"]))
    })
}

fn packages(wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(_, files)| !files.split('|').any(|f| Path::new(f).exists()))
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("these packages are missing and this is no Debian: {}", missing.join(", "));
    }
    step(&format!("install {}", missing.join(" ")), || {
        if apt_install(&missing).is_err() {
            run(Command::new("apt-get").args(["-qq", "update"]))?;
            apt_install(&missing)?;
        }
        Ok(())
    })
}

fn apt_install(names: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["-qq", "-y", "--no-install-recommends", "install"]).args(names);
    // Services of these packages are not wanted, only their files.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").stdout(Stdio::null());
    run(&mut command)
}

/// The stock `kubectl` of Debian's development suite, unpacked and not installed: it needs nothing
/// but the C library, while the stable suite has none.
fn kubectl() -> Result<()> {
    let target = Path::new(KUBECTL_DIR).join("kubectl");
    if target.exists() {
        return Ok(());
    }
    step("fetch stock kubectl", || {
        let dir = std::env::temp_dir().join(format!("k3s-kubectl-{}", std::process::id()));
        let result = fetch_kubectl(&dir, &target);
        let _ = std::fs::remove_dir_all(&dir);
        result
    })
}

fn fetch_kubectl(dir: &Path, target: &Path) -> Result<()> {
    for folder in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(dir.join(folder))?;
    }
    std::fs::write(dir.join("status"), "")?;
    let (mirror, keyring) = debian_mirror()?;
    std::fs::write(dir.join("sources.list"), format!("deb [signed-by={keyring}] {mirror} sid main\n"))?;
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        let option = |name: &str, path: &str| format!("{name}={}", dir.join(path).display());
        command.arg("-qq").current_dir(dir);
        command.arg("-o").arg(option("Dir::Etc::sourcelist", "sources.list")).args(["-o", "Dir::Etc::sourceparts=-"]);
        command.arg("-o").arg(option("Dir::State::lists", "lists")).arg("-o").arg(option("Dir::Cache", "cache"));
        command.arg("-o").arg(option("Dir::State::status", "status")).args(["-o", "Acquire::Languages=none"]);
        output(command.args(args))
    };
    apt(&["update"])?;
    apt(&["download", "kubectl"])?;
    let entries = std::fs::read_dir(dir)?.filter_map(Result::ok).map(|e| e.path());
    let package: PathBuf =
        entries.into_iter().find(|p| p.extension().is_some_and(|e| e == "deb")).context("no package was downloaded")?;
    output(Command::new("dpkg-deb").arg("-x").arg(&package).arg(dir.join("unpacked")))?;
    std::fs::create_dir_all(KUBECTL_DIR)?;
    std::fs::copy(dir.join("unpacked/usr/bin/kubectl"), target)?;
    Ok(())
}

/// The Debian mirror this machine is set up for, and the key ring it is checked with.
fn debian_mirror() -> Result<(String, String)> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = std::fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(Result::ok).map(|e| e.path()));
    }
    let text: String = files.iter().filter_map(|f| std::fs::read_to_string(f).ok()).collect::<Vec<_>>().join("\n");
    let is_mirror = |w: &&str| w.starts_with("http") && w.trim_end_matches('/').ends_with("/debian");
    let live = text.lines().filter(|l| !l.trim_start().starts_with('#'));
    let mirror = live.flat_map(str::split_whitespace).find(is_mirror).context("no Debian mirror in /etc/apt")?;
    Ok((mirror.to_owned(), "/usr/share/keyrings/debian-archive-keyring.gpg".to_owned()))
}
