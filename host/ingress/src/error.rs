//! Why the data plane does not start, and why it cannot use a part of an object. The object's author
//! reads these sentences in an Event, so each level says its own and `k3s_base::error::chain` joins
//! them.

use x509_parser::error::X509Error;
use x509_parser::nom;

use crate::compiler::CompilerError;
use crate::model::NamespacedName;

/// Why the data plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    /// The plugin did not say which kinds it decides on.
    #[error(transparent)]
    Compiler(#[from] CompilerError),
    /// A kind that no plugin may see.
    #[error("the ingress plugin asks for {0}, which no plugin may read")]
    Forbidden(String),
    /// The certificate for unknown server names.
    #[error("cannot generate the default certificate")]
    DefaultCertificate(#[source] GenerateError),
    /// The TLS settings of entry points.
    #[error("cannot prepare TLS for the entry points")]
    Tls(#[source] TlsError),
}

/// Why no certificate was generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The clock shows a time that a certificate cannot hold.
    #[error("the time is out of range")]
    Time(#[from] time::error::ComponentRange),
    /// The certificate could not be signed.
    #[error("cannot sign the certificate")]
    Sign(#[from] rcgen::Error),
    /// The new key is in a format that the TLS library does not read.
    #[error("cannot read the new key: {0}")]
    Key(&'static str),
    /// The TLS library refuses the pair.
    #[error("cannot use the new certificate")]
    Unusable(#[from] rustls::Error),
}

/// A regular expression that does not compile.
#[derive(Debug, thiserror::Error)]
#[error("bad regular expression {pattern:?}")]
pub struct PatternError {
    pub(crate) pattern: String,
    pub(crate) source: regex::Error,
}

/// A text that is neither an IP address nor a CIDR range.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an address or range")]
pub struct RangeError(pub(crate) String);

/// Why a rule cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// More conditions than the bound allows.
    #[error("the rule has more than {max} conditions")]
    TooLong {
        /// The bound.
        max: usize,
    },
    /// The postfix terms do not form a tree.
    #[error("the plugin gave a malformed rule")]
    Malformed,
    /// Not a token of HTTP.
    #[error("{0:?} is not an HTTP method")]
    Method(String),
    /// A regular expression.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A client address.
    #[error(transparent)]
    Range(#[from] RangeError),
}

/// Why TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A cipher suite that the TLS library lacks.
    #[error("cipher suite {0} is not supported")]
    CipherSuite(String),
    /// No version is left.
    #[error("the lowest version is above the highest")]
    Versions,
    /// `RequestClientCert` and `RequireAnyClientCert`.
    #[error("client certificates that are not verified are not supported")]
    UnverifiedClients,
    /// The authorities of client certificates.
    #[error("client authorities")]
    ClientAuthorities(#[source] rustls::server::VerifierBuilderError),
    /// The versions do not fit the cipher suites.
    #[error("the TLS settings cannot be combined")]
    Combination(#[source] rustls::Error),
}

/// Why a certificate and its key cannot be served. None of the variants holds any of the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("tls.crt is malformed")]
    Pem(#[source] rustls_pki_types::pem::Error),
    #[error("tls.crt is malformed")]
    X509(#[source] nom::Err<X509Error>),
    #[error("tls.crt holds no certificate")]
    NoCertificate,
    #[error("tls.key holds no private key")]
    NoKey,
    #[error("tls.key is not the key of tls.crt")]
    OtherKey,
    #[error("the pair cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// Why a list of users cannot be read. The variants name a line, never its text, which may be a hash.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsersError {
    #[error("line {line} is not NAME:HASH")]
    Line { line: usize },
    #[error("line {line}: only bcrypt, apr1 and SHA hashes are supported")]
    Hash { line: usize },
    #[error("no user is listed")]
    Empty,
}

/// Why a route or middleware cannot use a Secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("secret {0} does not exist")]
    NotFound(NamespacedName),
    #[error("secret {name}")]
    Invalid {
        name: NamespacedName,
        source: SecretDataError,
    },
}

/// Why the data of a Secret do not serve their purpose.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretDataError {
    #[error("tls.crt and tls.key are needed")]
    NoPair,
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("tls.ca or ca.crt is needed")]
    NoAuthorityKey,
    #[error("it holds no authority")]
    NoAuthority,
    #[error("username and password are needed")]
    NoPassword,
    #[error("users is needed")]
    NoUsers,
    #[error(transparent)]
    Users(#[from] UsersError),
}

impl SecretDataError {
    /// The error of the Secret that holds the data.
    pub(crate) fn of(self, name: &NamespacedName) -> SecretError {
        SecretError::Invalid {
            name: name.clone(),
            source: self,
        }
    }
}

/// Why there is no client for the servers of a target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why a middleware cannot be applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MiddlewareError {
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Range(#[from] RangeError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("{0:?} is not a header name")]
    HeaderName(String),
    #[error("header {name}: {value:?} is not a header value")]
    HeaderValue { name: String, value: String },
    #[error("the realm {0:?} cannot be sent in a header")]
    Realm(String),
    #[error("{0} is not a status code")]
    StatusCode(u16),
    #[error("the plugin gave a malformed expression")]
    Expression,
    #[error("{0:?} is not an address")]
    Address(String),
    #[error("the period is zero")]
    Period,
    #[error("attempts must be from 1 to {max}")]
    Attempts { max: u32 },
}

/// Why a route is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    #[error("middleware {name}")]
    Middleware {
        name: String,
        source: MiddlewareError,
    },
    #[error("TLS options {name}")]
    TlsOptions { name: String, source: TlsError },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Rule(#[from] RuleError),
}
