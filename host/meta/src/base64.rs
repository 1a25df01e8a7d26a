//! What is wrong with base64 as Go's decoder sees it: answers of the API name the byte.

/// The forms of base64 that the API has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// `+` and `/`, padded: bytes in objects.
    Standard,
    /// `-` and `_`, without padding: continue tokens.
    Url,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        let special: &[u8] = match self {
            Self::Standard => b"+/",
            Self::Url => b"-_",
        };
        byte.is_ascii_alphanumeric() || special.contains(&byte)
    }

    fn is_padded(self) -> bool {
        self == Self::Standard
    }
}

/// Index of the byte that Go's `encoding/base64` refuses (`illegal base64 data at input byte 3`); `None` for text
/// that it decodes. Line breaks anywhere are skipped.
pub fn illegal_byte(text: &[u8], alphabet: Alphabet) -> Option<usize> {
    let mut at = 0;
    loop {
        let mut symbols = 0;
        while symbols < 4 {
            let Some(&byte) = text.get(at) else {
                let is_whole = symbols == 0 || (symbols > 1 && !alphabet.is_padded());
                return (!is_whole).then_some(at.saturating_sub(symbols));
            };
            at += 1;
            match byte {
                byte if alphabet.has(byte) => symbols += 1,
                b'\n' | b'\r' => {}
                b'=' if alphabet.is_padded() => return illegal_padding(text, at, symbols),
                _ => return Some(at - 1),
            }
        }
    }
}

/// The same from the first padding on, which ends before `at` and stands after so many symbols of four.
fn illegal_padding(text: &[u8], mut at: usize, symbols: usize) -> Option<usize> {
    let skip_breaks = |at: &mut usize| {
        while matches!(text.get(*at), Some(b'\n' | b'\r')) {
            *at += 1;
        }
    };
    match symbols {
        0 | 1 => return Some(at - 1),
        2 => {
            skip_breaks(&mut at);
            match text.get(at) {
                None => return Some(text.len()),
                Some(b'=') => at += 1,
                Some(_) => return Some(at - 1),
            }
        }
        _ => {}
    }
    skip_breaks(&mut at);
    (at < text.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_is_that_which_go_names() {
        for (text, want) in [
            ("", None),
            ("YQ==", None),
            ("YW\nI=\n", None),
            ("x", Some(0)),
            ("YWJjx", Some(4)),
            ("YQ", Some(0)),
            ("YQ=", Some(3)),
            ("Y!==", Some(1)),
            ("Y===", Some(1)),
            ("YQ=x", Some(2)),
            ("YQ==YQ==", Some(4)),
            ("!!!", Some(0)),
        ] {
            let found = illegal_byte(text.as_bytes(), Alphabet::Standard);
            assert_eq!(found, want, "{text:?}");
        }
        for (text, want) in [
            ("YQ", None),
            ("x", Some(0)),
            ("YQ==", Some(2)),
            ("a-_b", None),
        ] {
            let found = illegal_byte(text.as_bytes(), Alphabet::Url);
            assert_eq!(found, want, "{text:?}");
        }
    }
}
