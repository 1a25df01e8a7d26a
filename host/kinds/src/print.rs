//! Texts that several kinds print in their cells.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::{Map, Value};

/// What a cell shows for nothing.
pub(crate) const NONE: &str = "<none>";
/// What a cell shows for a value that should be there.
pub(crate) const UNKNOWN: &str = "<unknown>";
/// What a cell shows for a pointer that is not set.
pub(crate) const UNSET: &str = "<unset>";

/// The object's name.
pub(crate) fn name(object: &Value) -> Value {
    tree::text(object, "metadata.name").into()
}

/// Time since creation.
pub(crate) fn age(object: &Value, now: Timestamp) -> Value {
    since(tree::text(object, "metadata.creationTimestamp"), now).into()
}

/// Time since an RFC 3339 text; `<unknown>` when there is none.
pub(crate) fn since(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => human_duration(now.as_second() - time.as_second()),
        Err(_) => UNKNOWN.to_owned(),
    }
}

/// `duration.HumanDuration` of apimachinery: seconds as `5s`, `3m20s`, `7d2h`, two units at most.
#[must_use]
pub(crate) fn human_duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        // A second of clock skew is no reason to print nonsense.
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

fn two(major: i64, major_unit: &str, minor: i64, minor_unit: &str) -> String {
    if minor == 0 {
        format!("{major}{major_unit}")
    } else {
        format!("{major}{major_unit}{minor}{minor_unit}")
    }
}

/// `a=1,b=2` of a label map, `<none>` when empty (`labels.FormatLabels`).
pub(crate) fn labels(labels: &Map<String, Value>) -> String {
    if labels.is_empty() {
        return NONE.to_owned();
    }
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.join(",")
}

/// A `metav1.LabelSelector` in its text form, `<none>` when it is missing or selects everything.
pub(crate) fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else {
        return NONE.to_owned();
    };
    let mut terms: Vec<(String, String)> = tree::map(selector, "matchLabels")
        .iter()
        .map(|(key, value)| {
            (
                key.clone(),
                format!("{key}={}", value.as_str().unwrap_or_default()),
            )
        })
        .collect();
    for expression in tree::list(selector, "matchExpressions") {
        let key = tree::text(expression, "key");
        let mut values = tree::texts(expression, "values");
        values.sort_unstable();
        let values = values.join(",");
        let term = match tree::text(expression, "operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => "<error>".to_owned(),
        };
        terms.push((key.to_owned(), term));
    }
    terms.sort();
    if terms.is_empty() {
        NONE.to_owned()
    } else {
        terms
            .into_iter()
            .map(|(_, term)| term)
            .collect::<Vec<_>>()
            .join(",")
    }
}

/// Names and images of a pod template's containers, comma separated (`layoutContainerCells`).
pub(crate) fn containers(pod_spec: Option<&Value>) -> (Value, Value) {
    let containers = pod_spec.map_or(&[][..], |spec| tree::list(spec, "containers"));
    let join = |key: &str| {
        containers
            .iter()
            .map(|container| tree::text(container, key))
            .collect::<Vec<_>>()
            .join(",")
    };
    (join("name").into(), join("image").into())
}

/// An integer cell; 0 when missing, as Go prints its zero value.
pub(crate) fn integer(object: &Value, path: &str) -> Value {
    tree::int(object, path).unwrap_or(0).into()
}

/// The text of an `IntOrString`.
pub(crate) fn int_or_string(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// `have/want` of two counts.
pub(crate) fn ratio(object: &Value, have: &str, want: &str) -> String {
    format!(
        "{}/{}",
        tree::int(object, have).unwrap_or(0),
        tree::int(object, want).unwrap_or(0)
    )
}

/// The text of a quantity; a missing one is zero, as in Go.
pub(crate) fn quantity(object: &Value, path: &str) -> Value {
    tree::get(object, path)
        .map_or_else(|| "0".to_owned(), int_or_string)
        .into()
}

/// Short names of access modes in their fixed order: `RWO,ROX,RWX,RWOP`.
pub(crate) fn access_modes(object: &Value, path: &str) -> Value {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let modes = tree::texts(object, path);
    let short = SHORT
        .iter()
        .filter(|(mode, _)| modes.contains(mode))
        .map(|(_, short)| *short);
    short.collect::<Vec<_>>().join(",").into()
}

/// The phase of a volume or claim, `Terminating` while it is being deleted.
pub(crate) fn phase(object: &Value) -> Value {
    if tree::has(object, "metadata.deletionTimestamp") {
        return "Terminating".into();
    }
    tree::text(object, "status.phase").into()
}

/// The storage class of a volume or claim; the old annotation still counts.
pub(crate) fn storage_class(object: &Value) -> Value {
    match tree::map(object, "metadata.annotations").get("volume.beta.kubernetes.io/storage-class") {
        Some(class) => class.clone(),
        None => tree::text(object, "spec.storageClassName").into(),
    }
}

/// Sorted addresses of the load balancers of a service or ingress.
pub(crate) fn load_balancer(object: &Value) -> String {
    let mut addresses: Vec<&str> = tree::list(object, "status.loadBalancer.ingress")
        .iter()
        .map(|ingress| match tree::text(ingress, "ip") {
            "" => tree::text(ingress, "hostname"),
            ip => ip,
        })
        .filter(|address| !address.is_empty())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.join(",")
}

/// At most three texts, then a count of the rest; `<unset>` when there is none.
pub(crate) fn first_three(texts: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 3;
    let all: Vec<String> = texts.collect();
    let shown = all
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(",");
    match all.len() {
        0 => UNSET.to_owned(),
        count if count > SHOWN => format!("{shown} + {} more...", count - SHOWN),
        _ => shown,
    }
}

/// The text at `path`, `<unset>` when the field is missing.
pub(crate) fn or_unset(object: &Value, path: &str) -> Value {
    tree::get(object, path)
        .cloned()
        .unwrap_or_else(|| UNSET.into())
}

/// A text that shows `<none>` when empty.
pub(crate) fn or_none(text: &str) -> Value {
    if text.is_empty() {
        NONE.into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_those_of_upstream() {
        let cases = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (10_860, "3h1m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn selectors_print_sorted_by_key() {
        let value = json!({"matchLabels": {"b": "2"}, "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["y", "x"]}, {"key": "c", "operator": "DoesNotExist"}]});
        assert_eq!(selector(Some(&value)), "a in (x,y),b=2,!c");
        assert_eq!(selector(None), "<none>");
    }
}
