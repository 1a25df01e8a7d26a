//! Random writes against a model: list and watch from any revision must equal history.
#![allow(clippy::expect_used, reason = "a contract case fails by panicking")]

use std::collections::BTreeMap;

use k3s_base::Random;

use super::Fixture;
use super::rig::{Rig, within};
use crate::list::ListOptions;
use crate::model::{Entry, EventKind, Precondition, Revision, Write};
use crate::options::StoreOptions;
use crate::store::Store;

type State = BTreeMap<String, (String, u64)>;

pub(super) async fn all(fixture: &dyn Fixture) {
    for seed in 1..=4 {
        let ring_events = if seed % 2 == 0 { 16 } else { 4096 };
        run(
            fixture,
            seed,
            StoreOptions {
                ring_events,
                watch_batch: 7,
                ..StoreOptions::default()
            },
        )
        .await;
    }
}

async fn run(fixture: &dyn Fixture, seed: u64, options: StoreOptions) {
    let random = Random::seeded(seed);
    let rig = Rig::with(fixture.create().await, options).await;
    let mut model = State::new();
    let mut states = BTreeMap::from([(rig.store.revision().0, model.clone())]);
    for step in 0..250 {
        random_write(&rig.store, &random, step, &mut model).await;
        states.insert(rig.store.revision().0, model.clone());
        if random.below(60) == 0 {
            rig.store
                .compact(rig.store.revision(), 40)
                .await
                .expect("compaction");
        }
    }
    let compacted = rig.store.compacted();
    for (revision, state) in states.range(compacted.0..) {
        for prefix in ["", "/m/0/", "/m/"] {
            let place = format!("seed {seed}, revision {revision}, prefix {prefix:?}");
            let at = Revision(*revision);
            list_and_watch(&rig.store, prefix, at, state, &model, &place).await;
        }
    }
    rig.stop().await;
}

/// Does something random; the model decides by itself whether it must succeed.
async fn random_write(store: &Store, random: &Random, step: u64, model: &mut State) {
    let key = format!("/m/{}/{}", random.below(3), random.below(6));
    let current = model.get(&key).map(|(_, revision)| *revision);
    let (precondition, holds) = match random.below(5) {
        0 => (Precondition::Absent, current.is_none()),
        1 => (Precondition::Exists, current.is_some()),
        2 => (
            Precondition::Revision(Revision(current.unwrap_or(7))),
            current.is_some(),
        ),
        3 => (
            Precondition::Revision(Revision(current.unwrap_or(7) + 1)),
            false,
        ),
        _ => (Precondition::Any, true),
    };
    let delete = random.below(3) == 0;
    let write = if delete {
        Write::delete(key.as_str(), precondition)
    } else {
        Write::put(key.as_str(), precondition, step.to_string().into_bytes())
    };
    let result = store.write(write).await;
    assert_eq!(
        result.is_ok(),
        holds && (current.is_some() || !delete),
        "{precondition:?} on {key}"
    );
    if let Ok(committed) = result {
        if delete {
            model.remove(&key);
        } else {
            model.insert(key, (step.to_string(), committed.revision.0));
        }
    }
}

/// The list as of `at` is `state`, and the events after it lead to `end`.
async fn list_and_watch(
    store: &Store,
    prefix: &str,
    at: Revision,
    state: &State,
    end: &State,
    place: &str,
) {
    let within_prefix = |s: &State| -> State {
        s.iter()
            .filter(|(k, _)| k.starts_with(prefix))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    let options = ListOptions {
        at: Some(at),
        ..ListOptions::default()
    };
    let page = store.list(prefix, options).await.expect(place);
    let mut seen: State = page
        .entries
        .iter()
        .map(|e| (e.key.to_string(), shown(e)))
        .collect();
    assert_eq!(seen, within_prefix(state), "{place}: the list");
    let mut watcher = store.watch(prefix, at).expect(place);
    let mut last = at;
    while watcher.progress() < store.revision() {
        let event = within("an event", watcher.next()).await.expect(place);
        assert!(event.revision > last, "{place}: {event:?} after {last}");
        last = event.revision;
        let before = event.previous.as_ref().map(|entry| shown(entry));
        assert_eq!(
            before.as_ref(),
            seen.get(&**event.key()),
            "{place}: the previous value of {event:?}"
        );
        match event.kind {
            EventKind::Put { .. } => seen.insert(event.key().to_string(), shown(&event.entry)),
            EventKind::Delete => seen.remove(&**event.key()),
        };
    }
    assert_eq!(seen, within_prefix(end), "{place}: after all events");
}

fn shown(entry: &Entry) -> (String, u64) {
    (
        String::from_utf8_lossy(&entry.value).into_owned(),
        entry.mod_revision.0,
    )
}
