//! An outcome in the making: routes and diagnostics of one object.

use crate::key::Key;
use crate::wit::{Diagnostic, Outcome, Reference, Severity};

/// What is served otherwise than its author may think.
pub(crate) type Warnings = Vec<String>;

impl Outcome {
    /// Nothing yet.
    pub(crate) fn of(key: &Key) -> Self {
        Self {
            key: key.to_wit(),
            routes: Vec::new(),
            tcp_routes: Vec::new(),
            certificates: Vec::new(),
            diagnostics: Vec::new(),
            publish_address: false,
        }
    }

    /// Something is not served.
    pub(crate) fn error(&mut self, reason: &str, message: impl Into<String>) {
        self.say(Severity::Error, reason, message.into());
    }

    /// Something is served otherwise than its author may think.
    pub(crate) fn warn(&mut self, reason: &str, message: impl Into<String>) {
        self.say(Severity::Warning, reason, message.into());
    }

    /// Several of one reason.
    pub(crate) fn warn_all(&mut self, reason: &str, warnings: Warnings) {
        warnings
            .into_iter()
            .for_each(|warning| self.warn(reason, warning));
    }

    fn say(&mut self, severity: Severity, reason: &str, message: String) {
        let diagnostic = Diagnostic {
            severity,
            reason: reason.to_owned(),
            message,
        };
        // The same Service may be missing under many paths.
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Adds a certificate once.
    pub(crate) fn certificate(&mut self, namespace: &str, secret: &str) {
        let reference = Reference {
            namespace: namespace.to_owned(),
            name: secret.to_owned(),
        };
        if !self.certificates.contains(&reference) {
            self.certificates.push(reference);
        }
    }
}
