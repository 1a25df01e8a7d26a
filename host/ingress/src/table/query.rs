//! Reading query strings.

use std::borrow::Cow;

/// The decoded values of a parameter.
pub(crate) fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    query.split('&').filter_map(move |pair| {
        let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(found) == name).then(|| decode(value))
    })
}

/// `+` and percent signs resolved; what is malformed stays as it is.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let digit = |byte: Option<u8>| {
                    char::from(byte?)
                        .to_digit(16)
                        .and_then(|d| u8::try_from(d).ok())
                };
                match (digit(ahead.next()), digit(ahead.next())) {
                    (Some(high), Some(low)) => {
                        out.push(high << 4 | low);
                        rest = ahead;
                    }
                    _ => out.push(byte),
                }
            }
            byte => out.push(byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let all = |name| {
            values("a=1&b=x+y&a=%2F&c&d=%zz", name)
                .map(Cow::into_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(all("a"), ["1", "/"]);
        assert_eq!(all("b"), ["x y"]);
        assert_eq!(all("c"), [""]);
        assert_eq!(all("d"), ["%zz"]);
        assert!(all("e").is_empty());
    }
}
