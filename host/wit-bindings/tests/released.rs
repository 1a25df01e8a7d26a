//! Contracts only grow: every package of `wit/` is held against its released form in `wit/released`.
//!
//! What a released package has must be there unchanged: interfaces, functions with their signatures,
//! types, and what a world imports and exports. More may be there, but no new exports, since components
//! that exist could not have them. A package with another track (`0.2`, `1`) is another contract.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use wit_parser::{Resolve, Type, TypeDefKind, TypeId, WorldItem};

/// What there is, by place: `k3s:net@0.1/net.apply` → `(owner: string, …) -> …`.
type Facts = BTreeMap<String, String>;

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

/// Every package below a folder, dependencies found by trying until nothing is left.
fn read(dir: &Path) -> Resolve {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    folders.retain(|path| path.is_dir() && !path.ends_with("released"));
    folders.sort();
    let mut resolve = Resolve::default();
    while !folders.is_empty() {
        let before = folders.len();
        let mut last = None;
        folders.retain(|folder| {
            let mut attempt = resolve.clone();
            match attempt.push_dir(folder) {
                Ok(_) => {
                    resolve = attempt;
                    false
                }
                Err(error) => {
                    last = Some(format!("{}: {error:#}", folder.display()));
                    true
                }
            }
        });
        assert!(folders.len() < before, "{last:?}");
    }
    resolve
}

/// A package's name with its track, within which things only grow.
fn track(resolve: &Resolve, package: wit_parser::PackageId) -> String {
    let name = &resolve.packages[package].name;
    let version = name.version.as_ref().map(|v| match (v.major, v.minor) {
        (0, minor) => format!("0.{minor}"),
        (major, _) => major.to_string(),
    });
    format!(
        "{}:{}@{}",
        name.namespace,
        name.name,
        version.unwrap_or_default()
    )
}

fn facts(resolve: &Resolve) -> Facts {
    let mut facts = Facts::new();
    for (id, package) in resolve.packages.iter() {
        let package_name = track(resolve, id);
        for (name, interface) in &package.interfaces {
            let interface = &resolve.interfaces[*interface];
            let place = format!("{package_name}/{name}");
            facts.insert(place.clone(), "interface".to_owned());
            for (name, function) in &interface.functions {
                let parameters: Vec<String> = function
                    .params
                    .iter()
                    .map(|p| format!("{}: {}", p.name, spell(resolve, &p.ty)))
                    .collect();
                let result = function
                    .result
                    .as_ref()
                    .map_or(String::new(), |ty| format!(" -> {}", spell(resolve, ty)));
                facts.insert(
                    format!("{place}.{name}"),
                    format!("func({}){result}", parameters.join(", ")),
                );
            }
            for (name, ty) in &interface.types {
                facts.insert(format!("{place}.{name}"), define(resolve, *ty));
            }
        }
        for (name, world) in &package.worlds {
            let world = &resolve.worlds[*world];
            for (direction, items) in [("import", &world.imports), ("export", &world.exports)] {
                for (key, _) in items
                    .iter()
                    .filter(|(_, item)| matches!(item, WorldItem::Interface { .. }))
                {
                    let what = resolve.name_world_key(key);
                    facts.insert(
                        format!("world {package_name}/{name} {direction} {what}"),
                        direction.to_owned(),
                    );
                }
            }
        }
    }
    facts
}

/// A type by name where it has one.
fn spell(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return format!("{ty:?}").to_lowercase();
    };
    match &resolve.types[*id].name {
        Some(name) => name.clone(),
        None => define(resolve, *id),
    }
}

/// What a type is made of.
fn define(resolve: &Resolve, id: TypeId) -> String {
    let maybe = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), |ty| spell(resolve, ty));
    let join = |parts: Vec<String>| parts.join(", ");
    match &resolve.types[id].kind {
        TypeDefKind::Record(r) => {
            format!(
                "record {{{}}}",
                join(
                    r.fields
                        .iter()
                        .map(|f| format!("{}: {}", f.name, spell(resolve, &f.ty)))
                        .collect()
                )
            )
        }
        TypeDefKind::Variant(v) => {
            format!(
                "variant {{{}}}",
                join(
                    v.cases
                        .iter()
                        .map(|c| format!("{}({})", c.name, maybe(&c.ty)))
                        .collect()
                )
            )
        }
        TypeDefKind::Enum(e) => format!(
            "enum {{{}}}",
            join(e.cases.iter().map(|c| c.name.clone()).collect())
        ),
        TypeDefKind::Flags(f) => format!(
            "flags {{{}}}",
            join(f.flags.iter().map(|f| f.name.clone()).collect())
        ),
        TypeDefKind::Tuple(t) => format!(
            "tuple<{}>",
            join(t.types.iter().map(|ty| spell(resolve, ty)).collect())
        ),
        TypeDefKind::Option(ty) => format!("option<{}>", spell(resolve, ty)),
        TypeDefKind::Result(r) => format!("result<{}, {}>", maybe(&r.ok), maybe(&r.err)),
        TypeDefKind::List(ty) => format!("list<{}>", spell(resolve, ty)),
        TypeDefKind::Handle(wit_parser::Handle::Own(id)) => spell(resolve, &Type::Id(*id)),
        TypeDefKind::Handle(wit_parser::Handle::Borrow(id)) => {
            format!("borrow<{}>", spell(resolve, &Type::Id(*id)))
        }
        TypeDefKind::Resource => "resource".to_owned(),
        TypeDefKind::Type(ty) => spell(resolve, ty),
        other => other.as_str().to_owned(),
    }
}

/// What breaks components that were built for `before`.
fn breaks(before: &Facts, now: &Facts) -> Vec<String> {
    let lost = before
        .iter()
        .filter_map(|(place, was)| match now.get(place) {
            None => Some(format!("{place} is gone")),
            Some(is) if is != was => Some(format!("{place} was {was}, is {is}")),
            Some(_) => None,
        });
    let world = |place: &str| {
        place
            .split(" export ")
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let known = |place: &str| before.keys().any(|other| other.starts_with(&world(place)));
    let demanded = now
        .keys()
        .filter(|place| place.contains(" export ") && known(place) && !before.contains_key(*place));
    lost.chain(
        demanded.map(|place| format!("{place} is new, and components that exist do not have it")),
    )
    .collect()
}

#[test]
fn every_package_keeps_what_was_released() {
    let (before, now) = (facts(&read(&wit().join("released"))), facts(&read(&wit())));
    assert!(!before.is_empty());
    let broken = breaks(&before, &now);
    assert!(
        broken.is_empty(),
        "released contracts only grow; make a new track instead:\n{}",
        broken.join("\n")
    );
    let package = |place: &String| {
        place
            .trim_start_matches("world ")
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let (before, now): (BTreeSet<_>, BTreeSet<_>) = (
        before.keys().map(package).collect(),
        now.keys().map(package).collect(),
    );
    assert_eq!(before, now, "every package has its released form");
}

/// The host calls components of 0.1 with the Rust types of 0.2 (`src/released.rs`).
#[test]
fn tracks_that_share_rust_types_have_equal_records() {
    let facts = facts(&read(&wit()));
    let feed = "k3s:common@0.1/feed.";
    for (older, newer) in [
        ("k3s:ingress@0.1/routing.", "k3s:ingress@0.2/routing."),
        (
            "k3s:load-balancer@0.1/balancer.",
            "k3s:load-balancer@0.2/balancer.",
        ),
    ] {
        let mut shared = 0;
        for (place, was) in facts.range(older.to_owned()..) {
            let Some(name) = place.strip_prefix(older) else {
                break;
            };
            for place in [format!("{newer}{name}"), format!("{feed}{name}")] {
                // A name that is only used there is defined in the other place.
                let Some(is) = facts.get(&place).filter(|is| *is != name) else {
                    continue;
                };
                assert_eq!(is, was, "{place}");
                shared += 1;
            }
        }
        assert!(shared > 5, "{older}: {shared}");
    }
}

#[test]
fn the_comparison_sees_what_breaks_and_lets_things_grow() {
    let parse = |text: &str| {
        let mut resolve = Resolve::default();
        resolve
            .push_str("a.wit", &format!("package a:b@0.1.0;\n{text}"))
            .expect("it parses");
        facts(&resolve)
    };
    let base = "interface i { record r { x: u32 } f: func(r: r) -> result<_, string>; } world w { export i; }";
    let before = parse(base);
    let grown = "interface i { record r { x: u32 } f: func(r: r) -> result<_, string>; g: func(); } interface j {} world w { import j; export i; }";
    assert_eq!(breaks(&before, &parse(grown)), Vec::<String>::new());
    for bad in [
        "interface i { record r { x: u32, y: u32 } f: func(r: r) -> result<_, string>; } world w { export i; }",
        "interface i { record r { x: u32 } f: func(r: r) -> result<_, u32>; } world w { export i; }",
        "interface i { record r { x: u32 } } world w { export i; }",
        "interface i { record r { x: u32 } f: func(r: r) -> result<_, string>; } interface j {} world w { export i; export j; }",
    ] {
        assert!(!breaks(&before, &parse(bad)).is_empty(), "{bad}");
    }
}
