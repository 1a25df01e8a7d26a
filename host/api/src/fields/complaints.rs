//! What is wrong with a body beside the types of its values: unknown and repeated fields.

/// Most complaints about one body. Upstream stops there too.
pub(super) const MAX_COMPLAINTS: usize = 100;
/// Bytes of complaints, of which the last may be longer. Each text repeats the names above its field, so that one
/// long name over many fields would make an answer much larger than the body.
const MAX_BYTES: usize = 64 * 1024;

/// Complaints about one body, as many as its author can use.
#[derive(Debug, Default)]
pub struct Complaints {
    texts: Vec<String>,
    bytes: usize,
}

impl Complaints {
    /// Notes what `make` writes, while there is room.
    pub fn note(&mut self, make: impl FnOnce() -> String) {
        if self.texts.len() < MAX_COMPLAINTS && self.bytes < MAX_BYTES {
            let text = make();
            self.bytes += text.len();
            self.texts.push(text);
        }
    }

    /// The texts, in the order in which they were noted.
    #[must_use]
    pub fn into_texts(self) -> Vec<String> {
        self.texts
    }
}
