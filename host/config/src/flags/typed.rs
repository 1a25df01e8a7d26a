//! Flags with the type of their value. Settings are read through them, so that a misspelt name or the
//! parser of another flag does not compile.

use super::{Flag, Shape};
use crate::error::{ConfigError, Refusal};

/// A flag that has a value of a certain type.
pub(crate) trait TypedFlag {
    /// The type of its value.
    type Value;

    /// Its row.
    fn flag(&self) -> &Flag;

    /// Its value, from the given texts; none where the flag was not given.
    ///
    /// # Errors
    /// When a value has a wrong form, or cannot be honoured.
    fn read(&self, given: &[String]) -> Result<Self::Value, ConfigError>;
}

/// The parser of one value.
type Parse<T> = fn(&str) -> Result<T, Refusal>;

/// A switch that is off by default.
pub(crate) struct SwitchFlag(Flag);

/// A value that may be missing. An empty text counts as missing, as it does for K3s.
pub(crate) struct OptionalFlag<T> {
    flag: Flag,
    parse: Parse<T>,
}

/// A value with a default. An empty text means the default, as it does for K3s.
pub(crate) struct DefaultFlag<T> {
    flag: Flag,
    default: &'static str,
    parse: Parse<T>,
}

/// Any number of values.
pub(crate) struct ListFlag<T> {
    flag: Flag,
    parse: Parse<T>,
}

impl SwitchFlag {
    pub(super) const fn new(name: &'static str, help: &'static str) -> Self {
        Self(Flag::new(name, Shape::Switch, help))
    }

    pub(super) const fn env(self, env: &'static str) -> Self {
        Self(self.0.env(env))
    }

    pub(super) const fn row(&self) -> Flag {
        self.0
    }
}

impl TypedFlag for SwitchFlag {
    type Value = bool;

    fn flag(&self) -> &Flag {
        &self.0
    }

    fn read(&self, given: &[String]) -> Result<bool, ConfigError> {
        Ok(given.last().is_some_and(|text| text == "true"))
    }
}

impl<T> OptionalFlag<T> {
    pub(super) const fn new(flag: Flag, parse: Parse<T>) -> Self {
        Self { flag, parse }
    }

    pub(super) const fn row(&self) -> Flag {
        self.flag
    }
}

impl<T> TypedFlag for OptionalFlag<T> {
    type Value = Option<T>;

    fn flag(&self) -> &Flag {
        &self.flag
    }

    fn read(&self, given: &[String]) -> Result<Option<T>, ConfigError> {
        let text = given.last().filter(|text| !text.is_empty());
        text.map(|text| parse_one(&self.flag, self.parse, text))
            .transpose()
    }
}

impl<T> DefaultFlag<T> {
    pub(super) const fn new(mut flag: Flag, default: &'static str, parse: Parse<T>) -> Self {
        flag.default = Some(default);
        Self {
            flag,
            default,
            parse,
        }
    }

    pub(super) const fn row(&self) -> Flag {
        self.flag
    }
}

impl<T> TypedFlag for DefaultFlag<T> {
    type Value = T;

    fn flag(&self) -> &Flag {
        &self.flag
    }

    fn read(&self, given: &[String]) -> Result<T, ConfigError> {
        // Upstream accepts one value per address family.
        if let (Shape::ManyByComma, [_, second, ..]) = (self.flag.shape, given) {
            let reason = "only one IPv4 network is supported so far";
            return Err(ConfigError::value(self.flag.name, second, reason));
        }
        let given = given.last().filter(|text| !text.is_empty());
        let text = given.map_or(self.default, String::as_str);
        parse_one(&self.flag, self.parse, text)
    }
}

impl<T> ListFlag<T> {
    pub(super) const fn new(flag: Flag, parse: Parse<T>) -> Self {
        Self { flag, parse }
    }

    pub(super) const fn row(&self) -> Flag {
        self.flag
    }
}

impl<T> TypedFlag for ListFlag<T> {
    type Value = Vec<T>;

    fn flag(&self) -> &Flag {
        &self.flag
    }

    fn read(&self, given: &[String]) -> Result<Vec<T>, ConfigError> {
        given
            .iter()
            .map(|text| parse_one(&self.flag, self.parse, text))
            .collect()
    }
}

fn parse_one<T>(flag: &Flag, parse: Parse<T>, text: &str) -> Result<T, ConfigError> {
    parse(text).map_err(|refusal| ConfigError::refused(flag.name, text, refusal))
}
