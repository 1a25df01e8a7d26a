//! `k3s plugin new`: a plugin to start from. The SDK and the contracts go along, so that nothing but
//! cargo is needed to build it.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// The folder for what is not the author's.
const VENDOR: &str = "k3s";

macro_rules! vendored {
    ($($path:literal),* $(,)?) => { &[$(($path, include_str!(concat!("../../../../../", $path)))),*] };
}

/// The SDK and the contracts it is generated from, as they lie in the sources.
const SDK: &[(&str, &str)] = vendored![
    "plugins/sdk/Cargo.toml",
    "plugins/sdk/src/lib.rs",
    "plugins/sdk/src/instance.rs",
    "plugins/sdk/src/log.rs",
    "plugins/sdk/src/sentence.rs",
    "plugins/sdk/src/settings.rs",
    "plugins/sdk/src/cni.rs",
    "plugins/sdk/src/cni_fake.rs",
    "plugins/sdk/src/datastore.rs",
    "plugins/sdk/src/ingress.rs",
    "plugins/sdk/src/ingress_tests.rs",
    "plugins/sdk/src/load_balancer.rs",
    "plugins/sdk/src/storage.rs",
    "wit/common/plugin.wit",
    "wit/common/feed.wit",
    "wit/host/host.wit",
    "wit/net/net.wit",
    "wit/ipam/ipam.wit",
    "wit/cni/cni.wit",
    "wit/sql/sql.wit",
    "wit/datastore/datastore.wit",
    "wit/ingress-0.2/ingress.wit",
    "wit/load-balancer-0.2/load-balancer.wit",
    "wit/volumes/volumes.wit",
    "wit/storage/storage.wit",
];

macro_rules! templates {
    ($($kind:literal),* $(,)?) => {
        &[$(($kind, include_str!(concat!("../../../../../plugins/sdk/templates/", $kind, "/src/lib.rs")))),*]
    };
}

/// Kind and source; the manifest is one for all.
const TEMPLATES: &[(&str, &str)] =
    templates!["datastore", "cni", "ingress", "load-balancer", "storage"];
const MANIFEST: &str = include_str!("../../../../../plugins/sdk/templates/Cargo.toml");

pub(super) fn run(words: &[String]) -> Result<()> {
    let (kind, dir) = match words {
        [kind, dir] => (kind, dir),
        [flag, kind, dir] if flag == "--kind" => (kind, dir),
        _ => bail!("usage: k3s plugin new KIND DIR"),
    };
    let known = || {
        TEMPLATES
            .iter()
            .map(|(kind, _)| *kind)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let template = TEMPLATES.iter().find(|(name, _)| name == kind);
    let (_, source) =
        template.with_context(|| format!("no template for {kind:?} (templates: {})", known()))?;
    let dir = Path::new(dir);
    if dir.exists() {
        bail!("{} exists already", dir.display());
    }
    let name = dir
        .file_name()
        .and_then(|name| name.to_str())
        .context("a folder needs a name")?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !name.bytes().all(plain) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        bail!("{name:?} becomes the plugin's name: use lower case letters, digits and dashes");
    }
    write_plugin(dir, name, kind, source)?;
    let shown = dir.display();
    println!("{shown}: a {kind} plugin that works; change src/lib.rs, then\n");
    println!("  k3s plugin build {shown} -o {name}.wasm");
    println!("  k3s plugin check ./{name}.wasm");
    println!("  k3s server --plugin {kind}=./{name}.wasm");
    Ok(())
}

/// Writes the plugin, with the SDK beside it.
fn write_plugin(dir: &Path, name: &str, kind: &str, source: &str) -> Result<()> {
    let manifest = MANIFEST.replace("my-plugin", name).replace("my-kind", kind);
    write(&dir.join("Cargo.toml"), &manifest)?;
    write(&dir.join("src/lib.rs"), source)?;
    write(&dir.join(".gitignore"), "/target\n/*.wasm\n")?;
    for (path, text) in SDK {
        write(&dir.join(VENDOR).join(path), text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let what = || path.display().to_string();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(what)?;
    }
    std::fs::write(path, text).with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_the_sdk_is_made_of_goes_along() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let sources = std::fs::read_dir(root.join("plugins/sdk/src")).unwrap();
        for file in sources.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
            let path = format!("plugins/sdk/src/{file}");
            assert!(
                SDK.iter().any(|(known, _)| *known == path),
                "{path} is not vendored"
            );
        }
    }

    #[test]
    fn every_kind_has_a_template_and_the_sdk_a_feature() {
        let manifest = SDK[0].1;
        for kind in k3s_adapters::CONTRACTS.iter().map(|contract| contract.kind) {
            assert!(
                TEMPLATES.iter().any(|(known, _)| *known == kind),
                "no template for {kind}"
            );
            assert!(
                manifest.contains(&format!("\n{kind} = []\n")),
                "no feature for {kind}"
            );
        }
    }

    #[test]
    fn names_and_folders_that_cannot_be_are_refused() {
        let run = |kind: &str, dir: &str| {
            run(&[kind.to_owned(), dir.to_owned()])
                .unwrap_err()
                .to_string()
        };
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        assert!(run("dns", &at("x")).contains("templates: datastore, cni"));
        assert!(run("cni", &dir.path().display().to_string()).contains("exists already"));
        assert!(run("cni", &at("My_Net")).contains("lower case"));
    }
}
