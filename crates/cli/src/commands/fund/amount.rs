//! Amounts as people write them, in text: tokens have more digits than numbers do.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::error::{Failure, Result};

/// Digits of an amount, before and after its point.
const DIGITS_MAX: usize = 76;

/// An amount that is more than nothing: `10`, `0.5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    whole: String,
    part: String,
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Amount, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let something = text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
        let pointed = !text.contains('.') || !part.is_empty();
        if whole.is_empty()
            || !pointed
            || !digits(whole)
            || !digits(part)
            || !something
            || text.len() > DIGITS_MAX
        {
            return Err("expected an amount such as 10 or 0.5".to_owned());
        }
        let whole = whole.trim_start_matches('0').to_owned();
        Ok(Amount { whole, part: part.trim_end_matches('0').to_owned() })
    }
}

impl Display for Amount {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let whole = if self.whole.is_empty() { "0" } else { &self.whole };
        match self.part.is_empty() {
            true => f.write_str(whole),
            false => write!(f, "{whole}.{}", self.part),
        }
    }
}

impl Amount {
    /// The amount in the smallest unit of something that has so many digits after the point.
    pub fn units(&self, digits: usize) -> Result<String> {
        let Some(zeros) = digits.checked_sub(self.part.len()) else {
            return Err(Failure::usage(format!("{self} has more than {digits} digits after its point"))
                .hint("the smallest unit is the last of them"));
        };
        let units = format!("{}{}{}", self.whole, self.part, "0".repeat(zeros));
        Ok(units.trim_start_matches('0').to_owned())
    }

    /// Units as an amount, for people.
    pub fn of_units(units: &str, digits: usize) -> String {
        if !units.bytes().all(|byte| byte.is_ascii_digit()) {
            return units.to_owned();
        }
        let padded = format!("{units:0>width$}", width = digits + 1);
        let (whole, part) = padded.split_at(padded.len() - digits);
        let part = part.trim_end_matches('0');
        if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_digit_by_digit() {
        for (text, digits, units) in
            [("10", 3, "10000"), ("0.5", 3, "500"), ("007.250", 2, "725"), ("3", 0, "3")]
        {
            assert_eq!(text.parse::<Amount>().unwrap().units(digits).unwrap(), units, "{text}");
        }
        let long = "9".repeat(40);
        assert_eq!(long.parse::<Amount>().unwrap().units(1).unwrap(), format!("{long}0"));
        assert!("0.001".parse::<Amount>().unwrap().units(2).is_err());
        for text in ["", ".", "1.", ".5", "-1", "1e3", "0", "0.0", "1.2.3", "\u{661}", &"9".repeat(77)] {
            assert!(text.parse::<Amount>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn units_are_shown_as_amounts() {
        for (units, digits, text) in
            [("10000", 3, "10"), ("500", 3, "0.5"), ("0", 12, "0"), ("7", 0, "7"), ("x", 3, "x")]
        {
            assert_eq!(Amount::of_units(units, digits), text);
        }
    }
}
