//! The pull policy that follows from an image reference (`pkg/util/parsers`).

/// `Always` for an image without tag and digest or with tag `latest`, otherwise, also for what is no name of an
/// image, `IfNotPresent`.
pub(crate) fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image
        .split_once('@')
        .map_or((image, false), |(name, _)| (name, true));
    // A colon in the last path segment starts a tag; an earlier one belongs to a registry port.
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    match tag {
        Some("latest") if is_name(name) => "Always",
        None if !digest && is_name(name) => "Always",
        _ => "IfNotPresent",
    }
}

/// Whether the text is a repository, with or without a registry (distribution/reference, `ParseNormalizedNamed`).
fn is_name(name: &str) -> bool {
    const ID_LENGTH: usize = 64;
    let is_id =
        name.len() == ID_LENGTH && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let path = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => rest,
        _ => name,
    };
    !is_id && path.split('/').all(is_component)
}

fn is_registry(text: &str) -> bool {
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
    let marks = text.contains(['.', ':']) || text.bytes().any(|b| b.is_ascii_uppercase());
    (marks || text == "localhost") && text.bytes().all(is_host)
}

/// Lower-case letters and digits in groups, between which stand one dot, one or two underscores or any dashes.
fn is_component(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase();
    let separators = text
        .split(is_plain)
        .filter(|separator| !separator.is_empty());
    text.starts_with(is_plain)
        && text.ends_with(is_plain)
        && separators.into_iter().all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_latest_is_always_pulled() {
        let cases = [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("localhost:5000/nginx", "Always"),
            ("localhost:5000/nginx:v1", "IfNotPresent"),
            ("nginx@sha256:0123", "IfNotPresent"),
            ("", "IfNotPresent"),
            ("-other", "IfNotPresent"),
            ("Nginx", "IfNotPresent"),
            ("Registry/nginx", "Always"),
            ("a/b_c__d--e.f", "Always"),
            ("a..b", "IfNotPresent"),
            (
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "IfNotPresent",
            ),
        ];
        for (image, policy) in cases {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
