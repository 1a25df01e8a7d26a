//! Replaces the links of an HTML page that streams by. Only values of attributes that hold links change; every
//! other byte is passed on as it came.
//!
//! A reader of tags, not of documents: it knows comments and elements whose content is text, so that it takes
//! no script for a tag.

/// Elements and their attributes that hold links (`apimachinery/pkg/util/proxy/transport.go`).
const LINKS: [(&str, &[&str]); 25] = [
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];
/// Elements whose content is text up to their end tag.
const TEXT_ELEMENTS: [&str; 8] = [
    "script", "style", "textarea", "title", "iframe", "noembed", "noframes", "xmp",
];
/// A longer tag is passed on unread: what makes tags long is data in the place of a link.
const MAX_TAG_BYTES: usize = 64 << 10;

enum State {
    Text,
    /// In a tag, or what may become one.
    Tag {
        held: Vec<u8>,
        value: Value,
    },
    /// In text that ends with `end`, in whatever case.
    Until {
        end: Vec<u8>,
        tail: Vec<u8>,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Value {
    No,
    /// After `=`.
    Begins,
    Quoted(u8),
}

pub(super) struct Rewriter<F> {
    state: State,
    link: F,
}

impl<F: Fn(&str) -> Option<String>> Rewriter<F> {
    /// `link` says what takes the place of a link; `None` leaves it.
    pub(super) fn new(link: F) -> Self {
        Self {
            state: State::Text,
            link,
        }
    }

    /// What can be passed on once `chunk` has come.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len());
        for byte in chunk {
            let state = std::mem::replace(&mut self.state, State::Text);
            self.state = self.step(state, *byte, &mut out);
        }
        out
    }

    /// What was held back when the page ends.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.state, State::Text) {
            State::Tag { held, .. } => held,
            State::Text | State::Until { .. } => Vec::new(),
        }
    }

    fn step(&self, state: State, byte: u8, out: &mut Vec<u8>) -> State {
        match state {
            State::Text if byte == b'<' => State::Tag {
                held: vec![byte],
                value: Value::No,
            },
            State::Text => {
                out.push(byte);
                State::Text
            }
            State::Tag { held, value } => self.step_tag(held, value, byte, out),
            State::Until { end, mut tail } => {
                out.push(byte);
                tail.push(byte.to_ascii_lowercase());
                if tail.len() > end.len() {
                    tail.remove(0);
                }
                if tail == end {
                    return State::Text;
                }
                State::Until { end, tail }
            }
        }
    }

    fn step_tag(&self, mut held: Vec<u8>, value: Value, byte: u8, out: &mut Vec<u8>) -> State {
        if !continues(&held, byte) {
            out.append(&mut held);
            return self.step(State::Text, byte, out);
        }
        held.push(byte);
        if held == b"<!--" {
            out.append(&mut held);
            return until("-->");
        }
        if byte == b'>' && !matches!(value, Value::Quoted(_)) {
            return self.finish_tag(&held, out);
        }
        if held.len() > MAX_TAG_BYTES {
            out.append(&mut held);
            return State::Text;
        }
        let value = match (value, byte) {
            (Value::Quoted(quote), _) if byte == quote => Value::No,
            (Value::Quoted(_), _) => value,
            (Value::Begins, b'"' | b'\'') => Value::Quoted(byte),
            (_, b'=') => Value::Begins,
            (Value::Begins, _) if byte.is_ascii_whitespace() => Value::Begins,
            _ => Value::No,
        };
        State::Tag { held, value }
    }

    fn finish_tag(&self, tag: &[u8], out: &mut Vec<u8>) -> State {
        let Ok(tag) = std::str::from_utf8(tag) else {
            out.extend_from_slice(tag);
            return State::Text;
        };
        let name = element(tag);
        let links = LINKS.iter().find(|(element, _)| *element == name);
        let names = links.map_or(&[][..], |(_, names)| *names);
        let mut done = 0;
        for attribute in attributes(tag) {
            let changes = names
                .iter()
                .any(|name| attribute.name.eq_ignore_ascii_case(name));
            let link = if changes {
                (self.link)(attribute.value)
            } else {
                None
            };
            if let Some(link) = link {
                out.extend_from_slice(tag.get(done..attribute.at).unwrap_or_default().as_bytes());
                out.extend_from_slice(link.as_bytes());
                done = attribute.at.saturating_add(attribute.value.len());
            }
        }
        out.extend_from_slice(tag.get(done..).unwrap_or_default().as_bytes());
        if TEXT_ELEMENTS.contains(&name.as_str()) && !tag.ends_with("/>") {
            return until(&format!("</{name}"));
        }
        State::Text
    }
}

fn until(end: &str) -> State {
    State::Until {
        end: end.as_bytes().to_vec(),
        tail: Vec::new(),
    }
}

/// Whether what is held and `byte` may be the start of an element or of a comment.
fn continues(held: &[u8], byte: u8) -> bool {
    match held {
        b"<" => byte.is_ascii_alphabetic() || byte == b'!',
        b"<!" | b"<!-" => byte == b'-',
        _ => true,
    }
}

/// The lower-case name of a tag's element.
fn element(tag: &str) -> String {
    let inside = tag.trim_start_matches('<');
    let end = inside.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>');
    let name = inside.get(..end.unwrap_or(inside.len()));
    name.unwrap_or_default().to_ascii_lowercase()
}

struct Attribute<'a> {
    name: &'a str,
    value: &'a str,
    /// Where in the tag the value begins.
    at: usize,
}

/// The attributes of a whole tag that have a value.
fn attributes(tag: &str) -> Vec<Attribute<'_>> {
    let mut found = Vec::new();
    let end = tag.len().saturating_sub(1);
    let find = |from: usize, stop: &dyn Fn(char) -> bool| {
        let rest = tag.get(from..end).unwrap_or_default();
        rest.find(stop).map_or(end, |at| from.saturating_add(at))
    };
    let name_end = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '=');
    let mut at = find(1, &name_end);
    while at < end {
        let start = find(at, &|c| !name_end(c));
        let name_stop = find(start, &name_end);
        let after = find(name_stop, &|c| !c.is_ascii_whitespace());
        at = name_stop;
        if tag.get(after..after.saturating_add(1)) != Some("=") || name_stop == start {
            continue;
        }
        let mut begin = find(after.saturating_add(1), &|c| !c.is_ascii_whitespace());
        let quote = tag.get(begin..).and_then(|rest| rest.chars().next());
        let quote = quote.filter(|c| matches!(c, '"' | '\''));
        begin = begin.saturating_add(usize::from(quote.is_some()));
        at = match quote {
            Some(quote) => find(begin, &|c| c == quote),
            None => find(begin, &|c| c.is_ascii_whitespace()),
        };
        found.push(Attribute {
            name: tag.get(start..name_stop).unwrap_or_default(),
            value: tag.get(begin..at).unwrap_or_default(),
            at: begin,
        });
        at = at.saturating_add(usize::from(quote.is_some()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(page: &str, chunk_bytes: usize) -> String {
        let link = |link: &str| link.starts_with('/').then(|| format!("/p{link}"));
        let mut rewriter = Rewriter::new(link);
        let mut out = Vec::new();
        for chunk in page.as_bytes().chunks(chunk_bytes) {
            out.extend(rewriter.feed(chunk));
        }
        out.extend(rewriter.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn links_change_and_nothing_else_does() {
        for (page, expected) in [
            (r#"<a href="/x">t</a>"#, r#"<a href="/p/x">t</a>"#),
            ("<A  HREF='/x' id=b>", "<A  HREF='/p/x' id=b>"),
            ("<a href=/x>", "<a href=/p/x>"),
            ("<a href = \"/x\" >", "<a href = \"/p/x\" >"),
            ("<a href=x>", "<a href=x>"),
            ("<a href>", "<a href>"),
            ("<a id=1/href=/x>", "<a id=1/href=/x>"),
            (
                r#"<img alt="a > b" src="/i" usemap='/m'/>"#,
                r#"<img alt="a > b" src="/p/i" usemap='/p/m'/>"#,
            ),
            (r#"<p title="/x">"#, r#"<p title="/x">"#),
            (
                r#"<!-- <a href="/x"> --><a href="/y">"#,
                r#"<!-- <a href="/x"> --><a href="/p/y">"#,
            ),
            (
                r#"<script src="/s">"<a href='/x'>"</SCRIPT><a href="/y">"#,
                r#"<script src="/p/s">"<a href='/x'>"</SCRIPT><a href="/p/y">"#,
            ),
            ("1 < 2 <<a href='/x'>", "1 < 2 <<a href='/p/x'>"),
            ("<!doctype html><a href='/x'", "<!doctype html><a href='/x'"),
            (
                "<a \u{e9}='/x' href='/\u{e9}'>",
                "<a \u{e9}='/x' href='/p/\u{e9}'>",
            ),
        ] {
            for chunk_bytes in [1, 3, page.len()] {
                assert_eq!(
                    rewritten(page, chunk_bytes),
                    expected,
                    "in chunks of {chunk_bytes}"
                );
            }
        }
    }

    #[test]
    fn a_tag_without_end_is_passed_on_before_it_fills_memory() {
        let mut rewriter = Rewriter::new(|_| None);
        let page = format!("<a href=\"{}", "x".repeat(2 * MAX_TAG_BYTES));
        let passed = rewriter.feed(page.as_bytes()).len();
        assert!(passed > MAX_TAG_BYTES, "{passed}");
        assert_eq!(passed + rewriter.finish().len(), page.len());
    }
}
