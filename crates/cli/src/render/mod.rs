//! How an outcome looks to a person: one way for `pirn eval`, `pirn send` and `pirn repl`.
//!
//! What a process prints is a stranger's text. Colours pass where colours are wanted; whatever else would move the
//! cursor, set the title or touch the clipboard of a terminal does not.

mod fold;
mod frame;

use std::fmt::Write as _;
use std::time::Duration;

use protocol::{Outcome, Slot};
use serde_json::Value;
use unit::Code;

pub use fold::fold;
pub use frame::{Origin, Place, Typed};

use crate::error::Failure;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// Colours are wanted: a terminal, and no `NO_COLOR`.
    pub colours: bool,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        match self.colours {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    /// What is on the side.
    pub fn dim(self, text: &str) -> String {
        self.with("90", text)
    }

    /// What went wrong.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What is to be looked at.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// Names.
    pub fn cyan(self, text: &str) -> String {
        self.with("36", text)
    }
}

/// A stranger's text for a terminal: without anything that a terminal would obey, but for colours where they are
/// wanted. Tabs and ends of lines stay.
pub fn safe(text: &str, paint: Paint) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut coloured = false;
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\u{1b}' => match rest.next() {
                Some('[') => {
                    let mut sequence = String::from("\u{1b}[");
                    // Parameters, then one letter that says what it is.
                    while let Some(&c) = rest.peek() {
                        if !matches!(c, ' '..='~') {
                            break;
                        }
                        rest.next();
                        sequence.push(c);
                        if matches!(c, '@'..='~') {
                            break;
                        }
                    }
                    if paint.colours && sequence.ends_with('m') {
                        coloured = true;
                        out.push_str(&sequence);
                    }
                }
                // Titles, clipboards and the like: up to the bell or the terminator.
                Some(']' | 'P' | '_' | '^' | 'X') => {
                    while let Some(c) = rest.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            // Marks that turn the direction of text around make it read otherwise than it is.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    if coloured && !out.ends_with("\u{1b}[0m") {
        out.push_str("\u{1b}[0m");
    }
    out
}

/// The parts of `Output` that modules agree on; aos before 2.0 has them one level deeper.
fn part(outcome: &Outcome, name: &str) -> Option<Value> {
    let mut output = outcome.output.to::<Value>().ok()?;
    let inner = output.get_mut("data").and_then(|data| data.get_mut(name)).map(Value::take);
    inner.or_else(|| output.get_mut(name).map(Value::take))
}

/// What the process printed or returned, as a terminal may show it.
pub fn output(outcome: &Outcome, paint: Paint) -> String {
    safe(&raw(outcome), paint)
}

/// The process's own error, if the outcome has one, as a terminal may show it.
pub fn error(outcome: &Outcome) -> Option<String> {
    let error = outcome.error.as_ref()?;
    let text = error.to::<String>().unwrap_or_else(|_| error.get().to_owned());
    Some(safe(text.trim(), Paint { colours: false }))
}

/// What the process printed or returned, as it is.
pub fn raw(outcome: &Outcome) -> String {
    let text = |value: Value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let output = outcome.output.to::<Value>().unwrap_or_default();
    match output {
        Value::Object(mut output) => match output.remove("data") {
            Some(Value::Object(mut inner)) if inner.contains_key("output") => {
                text(inner.remove("output").unwrap_or_default())
            }
            // A prompt and nothing else: there was nothing to say.
            Some(Value::Object(inner)) if inner.contains_key("prompt") => String::new(),
            Some(data) => text(data),
            None if output.contains_key("prompt") => String::new(),
            None if output.is_empty() => String::new(),
            None => Value::Object(output).to_string(),
        },
        other => text(other),
    }
}

/// The line before the cursor that the process wants, if it says one.
pub fn prompt(outcome: &Outcome, paint: Paint) -> Option<String> {
    let Some(Value::String(prompt)) = part(outcome, "prompt") else { return None };
    let line: String = safe(&prompt, paint).lines().next().unwrap_or_default().to_owned();
    // A prompt takes part of a line, not a screen.
    (line.chars().count() <= 400 && !line.is_empty()).then_some(line)
}

/// Whether the process wants its owner to see this, whoever caused it: `print = true`.
pub fn is_news(outcome: &Outcome) -> bool {
    part(outcome, "print") == Some(Value::Bool(true))
}

/// The failure of an outcome, if it is one, with the place in the text that was sent.
pub fn failure(outcome: &Outcome, origin: &dyn Origin) -> Option<Failure> {
    let error = outcome.error.as_ref()?;
    let text = match error.to::<Value>() {
        Ok(Value::String(text)) => text,
        Ok(Value::Null) => return None,
        _ => error.get().to_owned(),
    };
    let trouble = frame::read(&safe(&text, Paint { colours: false }));
    let mut failure = Failure::new(Code::PROCESS_FAILED, format!("the process failed: {}", trouble.what));
    failure.frame = trouble.show(origin);
    Some(failure.hint("its state is as it was before"))
}

/// Bytes of a page of WebAssembly's memory.
const PAGE_BYTES: u64 = 65536;

/// What an evaluation cost, on one line: what is known of it.
pub struct Cost {
    /// Its slot.
    pub slot: Option<Slot>,
    /// From the request until the answer.
    pub took: Duration,
}

impl Cost {
    /// `slot 2 · 1.2 ms · 3 771 gas · 161 pages (+1) · 2 messages out`. `before` is the memory that the process had.
    pub fn show(&self, outcome: &Outcome, before: Option<u64>) -> String {
        let mut line = String::new();
        if let Some(slot) = self.slot {
            let _ = write!(line, "slot {slot} · ");
        }
        let _ = write!(line, "{:.1} ms", self.took.as_secs_f64() * 1000.0);
        // Other people's units do not say ours.
        match (outcome.gas, outcome.gas_used) {
            (0, 0) => {}
            (0, gas) | (gas, _) => {
                let _ = write!(line, " · {} gas", grouped(gas));
            }
        }
        if outcome.memory_bytes > 0 {
            let pages = outcome.memory_bytes.div_ceil(PAGE_BYTES);
            let _ = write!(line, " · {} pages", grouped(pages));
            // Memory is never given back.
            let more = before.map_or(0, |before| pages.saturating_sub(before.div_ceil(PAGE_BYTES)));
            if more > 0 {
                let _ = write!(line, " (+{})", grouped(more));
            }
        }
        let out = [
            (outcome.messages.len(), "message"),
            (outcome.spawns.len(), "spawn"),
            (outcome.assignments.len(), "assignment"),
        ];
        for (count, what) in out.into_iter().filter(|(count, _)| *count > 0) {
            let many = if count == 1 { "" } else { "s" };
            let _ = write!(line, " · {count} {what}{many} out");
        }
        line
    }
}

/// A number in groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use protocol::Json;

    use super::*;

    const PLAIN: Paint = Paint { colours: false };
    const COLOURS: Paint = Paint { colours: true };

    fn outcome(output: &str) -> Outcome {
        let output = Json::parse(output).unwrap();
        Outcome { output, ..Outcome::failed("", 12_402, 1) }
    }

    #[test]
    fn a_terminal_obeys_nothing_but_colours() {
        let text =
            "a\u{1b}[31mred\u{1b}[0m\u{1b}[2J\u{1b}]52;c;c3RlYWw=\u{7}b\u{7}\r\u{1b}]0;t\u{1b}\\c\u{202e}";
        assert_eq!(safe(text, PLAIN), "aredbc");
        assert_eq!(safe(text, COLOURS), "a\u{1b}[31mred\u{1b}[0mbc\u{1b}[0m");
        assert_eq!(safe("\u{1b}", COLOURS), "");
        assert_eq!(safe("\u{1b}[3", COLOURS), "");
    }

    #[test]
    fn every_form_of_output_is_read() {
        let shown = |json: &str| output(&outcome(json), PLAIN);
        assert_eq!(shown(r#"{"data":"2","prompt":"> "}"#), "2");
        assert_eq!(shown(r#"{"data":{"output":"2","json":"undefined","prompt":"> "}}"#), "2");
        assert_eq!(shown(r#"{"data":{"prompt":"> "}}"#), "");
        assert_eq!(shown(r#""text""#), "text");
        assert_eq!(shown(r#"{"data":7}"#), "7");
        assert_eq!(shown("[]"), "[]");
        assert_eq!(prompt(&outcome(r#"{"data":{"prompt":"old> "}}"#), PLAIN).unwrap(), "old> ");
        assert_eq!(prompt(&outcome(r#"{"data":"","prompt":"new> "}"#), PLAIN).unwrap(), "new> ");
        assert!(is_news(&outcome(r#"{"data":"x","print":true}"#)));
        assert!(!is_news(&outcome(r#"{"data":"x"}"#)));
    }

    #[test]
    fn what_it_cost_is_one_line() {
        let cost = Cost { slot: Some(Slot(2)), took: Duration::from_micros(1_234) };
        let mut outcome = outcome("\"\"");
        assert_eq!(cost.show(&outcome, None), "slot 2 · 1.2 ms · 12 402 gas", "others say no more");
        outcome.memory_bytes = 161 * PAGE_BYTES;
        assert_eq!(cost.show(&outcome, None), "slot 2 · 1.2 ms · 12 402 gas · 161 pages");
        let same = cost.show(&outcome, Some(161 * PAGE_BYTES));
        assert_eq!(same, "slot 2 · 1.2 ms · 12 402 gas · 161 pages");
        outcome.messages = vec![Json::parse("1").unwrap()];
        let more = cost.show(&outcome, Some(160 * PAGE_BYTES));
        assert_eq!(more, "slot 2 · 1.2 ms · 12 402 gas · 161 pages (+1) · 1 message out");
    }
}
