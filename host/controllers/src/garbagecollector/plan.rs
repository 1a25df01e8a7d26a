//! Pure: what to do with an object, given how its owners are.

use k3s_client::{Obj, PropagationPolicy};

use super::{FOREGROUND, ORPHAN};

/// How one owner is, by a live read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It is there.
    Solid,
    /// It is gone, or another object has its name.
    Absent,
    /// It is in foreground deletion.
    Waiting,
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Keep,
    /// Some owners hold it; the references to the others go.
    Trim,
    /// Delete it, with this treatment of its own dependents.
    Delete(PropagationPolicy),
}

pub(super) fn verdict(owners: &[Owner], has_dependents: bool, object: &Obj) -> Verdict {
    let any = |kind| owners.contains(&kind);
    if owners.is_empty() {
        return Verdict::Keep;
    }
    if any(Owner::Solid) {
        return if any(Owner::Absent) || any(Owner::Waiting) {
            Verdict::Trim
        } else {
            Verdict::Keep
        };
    }
    if any(Owner::Waiting) && has_dependents {
        // The owner waits for this object, so this object waits for its own.
        return Verdict::Delete(PropagationPolicy::Foreground);
    }
    Verdict::Delete(own_policy(object))
}

/// A finalizer that is already there says what the user asked for.
fn own_policy(object: &Obj) -> PropagationPolicy {
    if object.has_finalizer(ORPHAN) {
        PropagationPolicy::Orphan
    } else if object.has_finalizer(FOREGROUND) {
        PropagationPolicy::Foreground
    } else {
        PropagationPolicy::Background
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_goes_only_when_no_owner_holds_it() {
        let plain = Obj::from_value(json!({"metadata": {"name": "a"}})).unwrap();
        let orphaning =
            Obj::from_value(json!({"metadata": {"name": "a", "finalizers": ["orphan"]}})).unwrap();
        use Owner::{Absent, Solid, Waiting};
        let cases: [(&[Owner], bool, Verdict); 7] = [
            (&[], false, Verdict::Keep),
            (&[Solid], false, Verdict::Keep),
            (&[Solid, Absent], false, Verdict::Trim),
            (&[Solid, Waiting], true, Verdict::Trim),
            (
                &[Absent],
                true,
                Verdict::Delete(PropagationPolicy::Background),
            ),
            (
                &[Waiting, Absent],
                true,
                Verdict::Delete(PropagationPolicy::Foreground),
            ),
            (
                &[Waiting],
                false,
                Verdict::Delete(PropagationPolicy::Background),
            ),
        ];
        for (owners, has_dependents, expected) in cases {
            assert_eq!(
                verdict(owners, has_dependents, &plain),
                expected,
                "{owners:?}"
            );
        }
        assert_eq!(
            verdict(&[Absent], false, &orphaning),
            Verdict::Delete(PropagationPolicy::Orphan)
        );
    }
}
