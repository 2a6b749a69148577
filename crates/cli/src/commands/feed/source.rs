//! What a source says: a value out of its JSON, and a decimal number as the whole number that a process reckons with.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Bytes of a value. Processes take no more (`processes/agents/lib/feeds.lua`).
pub const VALUE_MAX: usize = 256;
/// Digits of a scaled number. Processes take no more (`processes/agents/lib/amount.lua`).
const DIGITS_MAX: usize = 38;
/// Digits of a number as the source writes it, and its exponent: beyond, it is no price of anything.
const WRITTEN_MAX: usize = 100;

/// The text, number or truth value at a JSON pointer (RFC 6901), as the source writes it: no digit of a number is lost.
pub fn pick(body: &str, pointer: &str) -> Result<String, String> {
    let mut at = body;
    if !pointer.is_empty() {
        let tokens = pointer.strip_prefix('/').ok_or("a pointer begins with /")?;
        for token in tokens.split('/') {
            let token = token.replace("~1", "/").replace("~0", "~");
            at = member(at, &token)?;
        }
    }
    let text = match at.trim_start().as_bytes().first() {
        Some(b'{' | b'[') => {
            return Err(format!("there are more values at {pointer:?}: point at one of them"));
        }
        Some(b'"') => serde_json::from_str(at).map_err(|error| error.to_string())?,
        _ => match serde_json::from_str::<&RawValue>(at).map_err(|error| error.to_string())?.get() {
            "null" => return Err(format!("it says null at {pointer:?}")),
            plain => plain.to_owned(),
        },
    };
    if text.is_empty() || text.len() > VALUE_MAX {
        return Err(format!("the value at {pointer:?} has {} bytes, not 1 to {VALUE_MAX}", text.len()));
    }
    Ok(text)
}

/// A member of an object, or an element of a list, as it is written.
fn member<'a>(at: &'a str, token: &str) -> Result<&'a str, String> {
    let wrong = |error: serde_json::Error| error.to_string();
    let found = match at.trim_start().as_bytes().first() {
        Some(b'{') => {
            serde_json::from_str::<BTreeMap<String, &'a RawValue>>(at).map_err(wrong)?.get(token).copied()
        }
        Some(b'[') => {
            let list = serde_json::from_str::<Vec<&'a RawValue>>(at).map_err(wrong)?;
            token.parse::<usize>().ok().and_then(|place| list.get(place).copied())
        }
        _ => None,
    };
    found.map(RawValue::get).ok_or_else(|| format!("it has no {token:?} there"))
}

/// A decimal number from 0 on, times ten to the power of `digits`. What is smaller than one is cut off.
pub fn scale(text: &str, digits: u8) -> Result<String, String> {
    let wrong = || format!("{text:?} is no number from 0 on");
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().map_err(|_| wrong())?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut all = format!("{whole}{fraction}");
    let is_number = !whole.is_empty() && all.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || all.len() > WRITTEN_MAX || usize::from(exponent.unsigned_abs()) > WRITTEN_MAX {
        return Err(wrong());
    }
    // Where the point comes to stand.
    let point = whole.len() as i64 + i64::from(exponent) + i64::from(digits);
    let point = usize::try_from(point).unwrap_or(0);
    all.truncate(point);
    all.extend(std::iter::repeat_n('0', point - all.len()));
    let number = all.trim_start_matches('0');
    match number.len() {
        0 => Ok("0".to_owned()),
        length if length > DIGITS_MAX => Err(format!("{text:?} has more than {DIGITS_MAX} digits")),
        _ => Ok(number.to_owned()),
    }
}

/// Whether what such a URL says can be believed to be its host's: by https, or from this computer.
pub fn is_safe(url: &str) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains(['@', '\\']) {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_pick(body: &str, pointer: &str, expected: Result<&str, &str>) {
        match (pick(body, pointer), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected),
            (Err(got), Err(part)) => assert!(got.contains(part), "{got}"),
            (got, expected) => panic!("{got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_value_is_what_the_source_wrote() {
        let body =
            r#"{"a": {"b/c": [1, 12.340000000000000000001, "yes", null, true]}, "": "x", "big": 1e30}"#;
        check_pick(body, "/a/b~1c/1", Ok("12.340000000000000000001"));
        check_pick(body, "/a/b~1c/2", Ok("yes"));
        check_pick(body, "/a/b~1c/4", Ok("true"));
        check_pick(body, "/big", Ok("1e30"));
        check_pick(body, "/", Ok("x"));
        check_pick("  42 ", "", Ok("42"));
    }

    #[test]
    fn what_is_not_there_is_told() {
        let body = r#"{"a": [1, null]}"#;
        check_pick(body, "/b", Err("no \"b\""));
        check_pick(body, "/a/7", Err("no \"7\""));
        check_pick(body, "/a/0/x", Err("no \"x\""));
        check_pick(body, "/a/1", Err("null"));
        check_pick(body, "/a", Err("more values"));
        check_pick(body, "a", Err("begins with /"));
        check_pick("<html>", "/a", Err("no \"a\""));
        check_pick("<html>", "", Err("expected"));
        check_pick("{", "/a", Err("EOF"));
        check_pick("", "", Err("EOF"));
        check_pick(&format!("\"{}\"", "x".repeat(257)), "", Err("257"));
        // However deep: no stack is used up.
        check_pick(&"[".repeat(100_000), "/0", Err(""));
    }

    #[test]
    fn a_scaled_number_is_exact() {
        for (text, digits, expected) in [
            ("12.34", 2, "1234"),
            ("12.349", 2, "1234"),
            ("0.1", 18, "100000000000000000"),
            ("12", 0, "12"),
            ("1.5e3", 0, "1500"),
            ("15E-1", 1, "15"),
            ("1e-9", 2, "0"),
            ("0.000", 8, "0"),
            ("007", 1, "70"),
            ("99999999999999999999999999999999999999", 0, "99999999999999999999999999999999999999"),
        ] {
            assert_eq!(scale(text, digits).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", ".5", "-1", "+1", "1,5", "NaN", "1e", "1e999", "1e-99999", "0x10", "1.2.3", "½"] {
            assert!(scale(text, 2).is_err(), "{text}");
        }
        assert!(scale("99999999999999999999999999999999999999", 1).is_err());
        assert!(scale(&"1".repeat(200), 0).is_err());
    }

    #[test]
    fn only_https_or_this_computer_is_safe() {
        for url in ["https://example.com/x", "http://127.0.0.1:80/x", "http://localhost", "http://[::1]:9/?a"]
        {
            assert!(is_safe(url), "{url}");
        }
        for url in [
            "http://example.com",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com",
            "http://127.0.0.1:80@example.com/",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!is_safe(url), "{url}");
        }
    }
}
