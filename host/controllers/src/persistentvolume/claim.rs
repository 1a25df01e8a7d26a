//! Pure: what is to be done about a claim (`syncUnboundClaim`, `syncBoundClaim`).

use k3s_client::{EventType, Obj, Object};
use k3s_meta::object::annotation;
use k3s_meta::tree;
use k3s_volume::{
    Class, best_match, class_of, default_class, fits_requested, has_class, is_bound_to, names,
};

/// News about a claim: type, reason, message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News(
    pub(super) EventType,
    pub(super) &'static str,
    pub(super) String,
);

/// What to do with a claim.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    /// Bind it to this volume; parts that are already done are skipped.
    Bind(Object),
    /// Ask this provisioner for a volume.
    Provision(String),
    /// Give it this class first.
    SetClass(String),
    /// It goes on waiting.
    Wait(Option<News>),
    /// Its volume is gone.
    Lose(News),
    Nothing,
}

/// What the decision is made from.
pub(super) struct View<'a> {
    pub(super) volumes: &'a [Object],
    pub(super) classes: &'a [Object],
}

impl View<'_> {
    fn volume(&self, name: &str) -> Option<&Object> {
        self.volumes.iter().find(|volume| volume.name() == name)
    }

    fn class(&self, name: &str) -> Option<&Object> {
        self.classes.iter().find(|class| class.name() == name)
    }
}

pub(super) fn decide(claim: &Obj, view: &View<'_>) -> Decision {
    if claim.is_deleting() && k3s_volume::volume_name(claim.value()).is_empty() {
        return Decision::Nothing;
    }
    if annotation(claim.value(), names::BIND_COMPLETED).is_some() {
        return bound(claim, view);
    }
    match k3s_volume::volume_name(claim.value()) {
        "" => unbound(claim, view),
        name => requested(claim, name, view),
    }
}

/// The claim names no volume.
fn unbound(claim: &Obj, view: &View<'_>) -> Decision {
    let value = claim.value();
    if !has_class(value)
        && let Some(class) = default_class(view.classes.iter().map(|class| class.value()))
    {
        return Decision::SetClass(k3s_meta::object::name(class).to_owned());
    }
    let class_name = class_of(value);
    let class = view.class(class_name);
    let selected = annotation(value, names::SELECTED_NODE).is_some();
    let delayed =
        !selected && class.is_some_and(|class| k3s_volume::waits_for_consumer(class.value()));
    let found = best_match(
        value,
        view.volumes.iter().map(|volume| volume.value()),
        None,
        delayed,
    );
    if let Some(volume) = found.and_then(|volume| view.volume(k3s_meta::object::name(volume))) {
        return Decision::Bind(volume.clone());
    }
    if delayed {
        let message = "waiting for first consumer to be created before binding";
        return Decision::Wait(Some(News(
            EventType::Normal,
            "WaitForFirstConsumer",
            message.into(),
        )));
    }
    if class_name.is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set";
        return Decision::Wait(Some(News(
            EventType::Normal,
            "FailedBinding",
            message.into(),
        )));
    }
    let failed = |message: String| {
        Decision::Wait(Some(News(
            EventType::Warning,
            "ProvisioningFailed",
            message,
        )))
    };
    match class.map(|class| Class(class.value())) {
        None => failed(format!(
            "storageclass.storage.k8s.io \"{class_name}\" not found"
        )),
        Some(class) if !class.can_provision() => failed(format!(
            "no volume plugin matched name: {}",
            class.provisioner()
        )),
        Some(class) => Decision::Provision(class.provisioner().to_owned()),
    }
}

/// The claim names a volume, but the two are not tied yet.
fn requested(claim: &Obj, name: &str, view: &View<'_>) -> Decision {
    let Some(volume) = view.volume(name) else {
        return Decision::Wait(None);
    };
    if is_bound_to(volume.value(), claim.value()) {
        return Decision::Bind(volume.clone());
    }
    let warn = |reason, message| Decision::Wait(Some(News(EventType::Warning, reason, message)));
    if tree::get(volume.value(), "spec.claimRef").is_some() {
        return warn(
            "FailedBinding",
            format!("volume \"{name}\" already bound to a different claim."),
        );
    }
    match fits_requested(volume.value(), claim.value()) {
        Ok(()) => Decision::Bind(volume.clone()),
        Err(why) => warn(
            "VolumeMismatch",
            format!("Cannot bind to requested volume \"{name}\": {why}"),
        ),
    }
}

/// The claim was bound once; a volume that went away is never replaced.
fn bound(claim: &Obj, view: &View<'_>) -> Decision {
    let lose =
        |reason, message: &str| Decision::Lose(News(EventType::Warning, reason, message.into()));
    let name = k3s_volume::volume_name(claim.value());
    if name.is_empty() {
        return lose(
            "ClaimLost",
            "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
        );
    }
    let Some(volume) = view.volume(name) else {
        return lose(
            "ClaimLost",
            "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        );
    };
    let owner = tree::text(volume.value(), "spec.claimRef.uid");
    let free = tree::get(volume.value(), "spec.claimRef").is_none();
    if free
        || owner == claim.uid()
        || (owner.is_empty() && is_bound_to(volume.value(), claim.value()))
    {
        return Decision::Bind(volume.clone());
    }
    lose(
        "ClaimMisbound",
        "Two claims are bound to the same volume, this one is bound incorrectly",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(mut value: Value, extra: &Value) -> Object {
        k3s_meta::patch::merge_patch(&mut value, extra).unwrap();
        Obj::from_value(value).unwrap()
    }

    fn claim(extra: Value) -> Object {
        let base = json!({"metadata": {"name": "c", "namespace": "n", "uid": "1"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "s", "resources": {"requests": {"storage": "5Gi"}}}});
        object(base, &extra)
    }

    fn volume(name: &str, extra: Value) -> Object {
        let base = json!({"metadata": {"name": name}, "status": {"phase": "Available"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "s", "capacity": {"storage": "5Gi"}}});
        object(base, &extra)
    }

    fn class(name: &str, extra: Value) -> Object {
        object(
            json!({"metadata": {"name": name}, "provisioner": "example.com/disk"}),
            &extra,
        )
    }

    fn shown(claim: &Obj, volumes: &[Object], classes: &[Object]) -> String {
        match decide(claim, &View { volumes, classes }) {
            Decision::Bind(volume) => format!("bind {}", volume.name()),
            Decision::Provision(who) => format!("provision {who}"),
            Decision::SetClass(name) => format!("class {name}"),
            Decision::Wait(None) => "wait".into(),
            Decision::Wait(Some(News(_, reason, message))) => format!("{reason}: {message}"),
            Decision::Lose(News(_, reason, _)) => format!("lost {reason}"),
            Decision::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn claims_without_a_volume() {
        let delayed = class("s", json!({"volumeBindingMode": "WaitForFirstConsumer"}));
        let node =
            json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "a"}}});
        let no_class = json!({"spec": {"storageClassName": null}});
        let default = class(
            "d",
            json!({"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}),
        );
        let internal = class("s", json!({"provisioner": "kubernetes.io/no-provisioner"}));
        let free = volume("v", json!({}));
        for (claim, volumes, classes, expected) in [
            (claim(json!({})), vec![free.clone()], vec![], "bind v"),
            (
                claim(json!({})),
                vec![],
                vec![class("s", json!({}))],
                "provision example.com/disk",
            ),
            (
                claim(json!({})),
                vec![free.clone()],
                vec![delayed.clone()],
                "WaitForFirstConsumer: waiting for first consumer to be created before binding",
            ),
            (
                claim(node),
                vec![],
                vec![delayed],
                "provision example.com/disk",
            ),
            (
                claim(json!({})),
                vec![],
                vec![],
                "ProvisioningFailed: storageclass.storage.k8s.io \"s\" not found",
            ),
            (
                claim(json!({})),
                vec![],
                vec![internal],
                "ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner",
            ),
            (
                claim(no_class.clone()),
                vec![free],
                vec![],
                "FailedBinding: no persistent volumes available for this claim and no storage class is set",
            ),
            (claim(no_class), vec![], vec![default], "class d"),
        ] {
            assert_eq!(shown(&claim, &volumes, &classes), expected);
        }
    }

    #[test]
    fn claims_that_name_a_volume() {
        let named = || claim(json!({"spec": {"volumeName": "v"}}));
        let taken = volume(
            "v",
            json!({"spec": {"claimRef": {"name": "o", "namespace": "n", "uid": "2"}}}),
        );
        let small = volume("v", json!({"spec": {"capacity": {"storage": "1Gi"}}}));
        assert_eq!(shown(&named(), &[], &[]), "wait");
        assert_eq!(shown(&named(), &[volume("v", json!({}))], &[]), "bind v");
        assert_eq!(
            shown(&named(), std::slice::from_ref(&taken), &[]),
            "FailedBinding: volume \"v\" already bound to a different claim."
        );
        assert_eq!(
            shown(&named(), &[small], &[]),
            "VolumeMismatch: Cannot bind to requested volume \"v\": requested PV is too small"
        );
        let done = |volume: &str| {
            claim(
                json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": volume}}),
            )
        };
        let mine = volume(
            "v",
            json!({"spec": {"claimRef": {"name": "c", "namespace": "n", "uid": "1"}}}),
        );
        assert_eq!(shown(&done("v"), &[mine], &[]), "bind v");
        assert_eq!(shown(&done("v"), &[], &[]), "lost ClaimLost");
        assert_eq!(shown(&done("v"), &[taken], &[]), "lost ClaimMisbound");
    }
}
