//! Every sample of the corpus holds, and so do inputs that are made of them. An input that fails is kept, and belongs
//! into `corpus/` once it is understood.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use k3s_fuzz::corpus;
use k3s_fuzz::mutate::{Numbers, mutated};
use k3s_fuzz::targets::{ALL, Target};

fn target(name: &str) -> &'static Target {
    ALL.iter().find(|target| target.name == name).unwrap()
}

fn samples_hold(name: &str) {
    let samples = corpus::samples(name);
    assert!(!samples.is_empty(), "no samples");
    for (path, bytes) in samples {
        let run = catch_unwind(AssertUnwindSafe(|| (target(name).run)(&bytes)));
        assert!(run.is_ok(), "{} fails", path.display());
    }
}

fn mutations_hold(name: &str) {
    let target = target(name);
    let samples: Vec<Vec<u8>> = corpus::samples(name)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    let words = corpus::words(name);
    let mut numbers = Numbers::seeded(1);
    for _ in 0..target.mutations {
        let input = mutated(&mut numbers, &samples, &words);
        let run = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        if run.is_err() {
            let kept = corpus::keep(name, &input);
            panic!("an input fails and is kept in {}", kept.display());
        }
    }
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        mod samples {
            $(#[test]
            fn $name() {
                super::samples_hold(stringify!($name));
            })*
        }

        mod mutated_samples {
            $(#[test]
            fn $name() {
                super::mutations_hold(stringify!($name));
            })*
        }

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

tests! {
    cel_expression,
    cron_schedule,
    dns_message,
    duration,
    field_selector,
    image_archive,
    image_reference,
    ingress_objects,
    json_body,
    json_patch,
    json_path,
    label_selector,
    layer,
    merge_patch,
    protobuf_body,
    quantity,
    router_rule,
    spdy_frames,
    strategic_patch,
    websocket_frames,
    yaml_body,
}

#[test]
fn every_target_is_tested_and_has_a_program() {
    let names: Vec<&str> = ALL.iter().map(|target| target.name).collect();
    assert_eq!(names, TESTED);
    for name in names {
        assert!(corpus::program(name).exists(), "{name}");
    }
}
