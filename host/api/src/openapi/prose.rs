//! Descriptions of types and fields, embedded compressed and unpacked for one document at a time.

use crate::schema::{Field, Type};
use std::io::Read;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prose.bin"));

/// All descriptions, in table order.
pub(super) struct Prose {
    text: String,
    ends: Vec<usize>,
}

impl Prose {
    /// Unpacks the descriptions. What is embedded was packed by this crate's build, so it unpacks.
    pub(super) fn unpack() -> Self {
        let mut text = String::new();
        if flate2::read::ZlibDecoder::new(PACKED)
            .read_to_string(&mut text)
            .is_err()
        {
            text.clear();
        }
        let ends = text
            .match_indices('\0')
            .map(|(i, _)| i)
            .chain([text.len()])
            .collect();
        Self { text, ends }
    }

    fn part(&self, at: usize) -> &str {
        let start = at
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .map_or(0, |end| end + 1);
        self.ends
            .get(at)
            .and_then(|end| self.text.get(start..*end))
            .unwrap_or("")
    }

    /// The description of the type at `index` of the tables. Before it come those of all types and
    /// fields before.
    pub(super) fn of_type(&self, index: usize, t: &Type) -> &str {
        self.part(index + t.first_field())
    }

    /// Fields with their descriptions.
    pub(super) fn fields<'a>(
        &'a self,
        index: usize,
        t: &Type,
    ) -> impl Iterator<Item = (&'static Field, &'a str)> {
        let first = index + t.first_field() + 1;
        t.fields()
            .iter()
            .enumerate()
            .map(move |(i, field)| (field, self.part(first + i)))
    }
}
