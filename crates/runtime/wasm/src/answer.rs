//! The text that `handle` returns, read as an outcome. Encoding `JSON-1`.
//!
//! Elements are kept verbatim. What is missing or of the wrong kind is empty, as the reference has it; what
//! the module calls an error is one, unless it is `null`, `false`, `0` or an empty string.

use protocol::{Json, Outcome};
use runtime::GAS_SCHEDULE;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An output that ends so is an error, and the memory behind it is not kept.
const NO_BUFFER: &str = "not enough memory for buffer allocation";

/// What came of a message, and how it ended: to units an error is an error, but not to those who stand in for the
/// reference's loader, which throws some and returns others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// What came of it.
    pub outcome: Outcome,
    /// How it ended.
    pub ended: Ended,
}

/// How an evaluation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With an answer of the module; it may say that it is an error.
    Answered,
    /// Without one: the module said no, or was stopped.
    Stopped,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    ok: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Response<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    assignments: Option<&'a RawValue>,
    #[serde(borrow)]
    spawns: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
}

/// Reads an answer, as an outcome whose gas is for the caller to fill in; and who says that it failed.
pub(crate) fn read(text: &[u8]) -> Evaluation {
    let text = String::from_utf8_lossy(text);
    let Ok(answer) = serde_json::from_str::<Answer<'_>>(&text) else {
        return failed("the module answered something that is not JSON");
    };
    if !answer.ok.is_some_and(is_truthy) {
        return refused(answer.response.map_or(Json::string(""), keep), Ended::Stopped);
    }
    // A response that is no object has no members.
    let response = answer.response.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let response: Response<'_> = response.unwrap_or_default();
    if let Some(error) = response.error.filter(|raw| is_truthy(raw)) {
        return refused(keep(error), Ended::Answered);
    }
    let output = response.output.map_or(Json::string(""), keep);
    if output.get().starts_with('"') && output.to().is_ok_and(|text: String| text.ends_with(NO_BUFFER)) {
        return refused(output, Ended::Answered);
    }
    let outcome = Outcome {
        messages: elements(response.messages),
        assignments: elements(response.assignments),
        spawns: elements(response.spawns),
        output,
        error: None,
        gas_used: 0,
        gas: 0,
        gas_schedule: GAS_SCHEDULE,
        memory_bytes: 0,
    };
    Evaluation { outcome, ended: Ended::Answered }
}

/// An evaluation that failed before or beside the module's own words.
pub(crate) fn failed(error: &str) -> Evaluation {
    Evaluation { outcome: Outcome::failed(error, 0, GAS_SCHEDULE), ended: Ended::Stopped }
}

fn refused(error: Json, ended: Ended) -> Evaluation {
    let outcome = Outcome { error: Some(error), ..Outcome::failed("", 0, GAS_SCHEDULE) };
    Evaluation { outcome, ended }
}

fn keep(raw: &RawValue) -> Json {
    raw.to_owned().into()
}

fn elements(raw: Option<&RawValue>) -> Vec<Json> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

fn is_truthy(raw: &RawValue) -> bool {
    match raw.get() {
        "false" | "null" | "\"\"" => false,
        text if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            text.parse::<f64>().is_ok_and(|number| number != 0.0)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, output: &str, messages: &[&str], error: Option<&str>) {
        let outcome = read(answer.as_bytes()).outcome;
        assert_eq!(outcome.output.get(), output, "{answer}");
        assert_eq!(outcome.messages.iter().map(Json::get).collect::<Vec<_>>(), messages, "{answer}");
        assert_eq!(outcome.error.as_ref().map(Json::get), error, "{answer}");
    }

    #[test]
    fn what_a_module_says_is_kept_to_the_letter() {
        check(
            r#"{"ok":true,"response":{"Messages":[{"b":1.0,"a":"\u0041"},7],"Output":{"data":"x","z":[]}}}"#,
            r#"{"data":"x","z":[]}"#,
            &[r#"{"b":1.0,"a":"\u0041"}"#, "7"],
            None,
        );
        check(r#"{"response":{"Output":5},"ok":true}"#, "5", &[], None);
    }

    #[test]
    fn what_is_missing_is_empty() {
        check(r#"{"ok":true,"response":{}}"#, r#""""#, &[], None);
        check(r#"{"ok":true}"#, r#""""#, &[], None);
        check(r#"{"ok":true,"response":{"Messages":{},"Spawns":null,"Output":null}}"#, r#""""#, &[], None);
    }

    #[test]
    fn an_error_is_what_the_module_calls_one() {
        check(r#"{"ok":false,"response":"bad"}"#, r#""""#, &[], Some(r#""bad""#));
        check(r#"{"ok":true,"response":{"Error":{"a":1},"Messages":[1]}}"#, r#""""#, &[], Some(r#"{"a":1}"#));
        check(r#"{"ok":true,"response":{"Error":"","Output":"x"}}"#, r#""x""#, &[], None);
        check(r#"{"ok":true,"response":{"Error":null,"Output":"x"}}"#, r#""x""#, &[], None);
        check(r#"{"#, r#""""#, &[], Some(r#""the module answered something that is not JSON""#));
        let full = r#""Error: not enough memory for buffer allocation""#;
        check(&format!(r#"{{"ok":true,"response":{{"Output":{full}}}}}"#), r#""""#, &[], Some(full));
    }
}
