//! The canonical form: the largest suffix that leaves an integer.

use super::{Format, NANO, Quantity};
use std::fmt;

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        match self.format {
            Format::BinarySi
                if self.nano.unsigned_abs() >= (1024 * NANO).unsigned_abs()
                    && self.is_integer() =>
            {
                self.write_binary(f)
            }
            Format::DecimalExponent => self.write_decimal(f, true),
            _ => self.write_decimal(f, false),
        }
    }
}

impl Quantity {
    fn write_binary(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.nano / NANO;
        let mut suffix = "";
        for next in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
            if value % 1024 != 0 {
                break;
            }
            value /= 1024;
            suffix = next;
        }
        write!(f, "{value}{suffix}")
    }

    fn write_decimal(self, f: &mut fmt::Formatter<'_>, exponent_form: bool) -> fmt::Result {
        let mut value = self.nano;
        let mut exponent = -9;
        while value % 1000 == 0 && (exponent < 18 || exponent_form) {
            value /= 1000;
            exponent += 3;
        }
        let suffix = match exponent {
            -9 => "n",
            -6 => "u",
            -3 => "m",
            3 => "k",
            6 => "M",
            9 => "G",
            12 => "T",
            15 => "P",
            18 => "E",
            _ => "",
        };
        match (exponent_form, exponent) {
            (_, 0) => write!(f, "{value}"),
            (true, _) => write!(f, "{value}e{exponent}"),
            (false, _) => write!(f, "{value}{suffix}"),
        }
    }
}
