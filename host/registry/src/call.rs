//! Who asks for an operation, and how it is to be done.

use jiff::Timestamp;
use k3s_kinds::Context;
use k3s_meta::UserInfo;
use parking_lot::Mutex;

use crate::admission::Admission;

/// The circumstances of one write.
pub struct Call<'a> {
    /// Who asks.
    pub user: &'a UserInfo,
    /// Do everything but store.
    pub dry_run: bool,
    /// The admission chain.
    pub admission: &'a dyn Admission,
    /// Where texts for the client go that are no errors.
    pub warnings: &'a Warnings,
}

impl Call<'_> {
    /// The request as the rules of kinds see it.
    pub(crate) fn context(&self, now: Timestamp) -> Context<'_> {
        Context {
            user: self.user,
            now,
            dry_run: self.dry_run,
        }
    }
}

/// Texts for `Warning:` headers. At most [`Warnings::LIMIT`] are kept: headers have to fit.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// How many texts are kept; more would exceed what clients take in headers.
    pub const LIMIT: usize = 64;

    /// Adds a text unless it is there already.
    pub fn add(&self, text: impl Into<String>) {
        let (text, mut list) = (text.into(), self.0.lock());
        if list.len() < Self::LIMIT && !list.contains(&text) {
            list.push(text);
        }
    }

    /// All texts, in order.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}
