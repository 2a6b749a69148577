//! What one evaluation may use: `Memory-Limit` and `Compute-Limit`, as process or module ask for it.

/// Bounds of one evaluation. They are the process's own, so every operator enforces the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `Memory-Limit`, bytes.
    pub memory_bytes: u64,
    /// `Compute-Limit`, units of gas.
    pub compute: u64,
}

/// A limit that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a limit: expected a number of bytes or, for example, 500-mb or 1-gb")]
pub struct BadLimit {
    /// What the tag says.
    pub text: String,
}

/// Reads a `Memory-Limit`: the first `-` is dropped, then a number with an optional unit (`b kb mb gb tb pb`,
/// any case, powers of 1024); a bare number is bytes. Fractions are rounded down.
pub fn parse_memory_limit(text: &str) -> Result<u64, BadLimit> {
    let refused = || BadLimit { text: text.chars().take(64).collect() };
    let compact = text.replacen('-', "", 1);
    let compact = compact.trim();
    let digits = compact.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(compact.len());
    let (number, unit) = compact.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        "tb" => 40,
        "pb" => 50,
        _ => return Err(refused()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 15 || fraction.len() > 9 || fraction.contains('.') {
        return Err(refused());
    }
    let whole: u128 = whole.parse().map_err(|_| refused())?;
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| refused())? };
    let bytes = (whole << shift) + ((part << shift) / 10u128.pow(fraction.len() as u32));
    u64::try_from(bytes).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_clients_write_them() {
        for (text, bytes) in [
            ("1-gb", 1 << 30),
            ("500-mb", 500 << 20),
            ("16-gb", 16 << 30),
            ("1.5-mb", 3 << 19),
            ("64", 64),
            ("2 KB", 2048),
        ] {
            assert_eq!(parse_memory_limit(text), Ok(bytes), "{text}");
        }
        for text in ["", "gb", "1-xb", "-", "1.2.3-mb", "99999999999999999-pb", "lots"] {
            assert!(parse_memory_limit(text).is_err(), "{text}");
        }
    }
}
