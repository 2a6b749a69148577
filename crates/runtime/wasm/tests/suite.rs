//! Machines of WebAssembly pass the suite of machines.

#[expect(dead_code, reason = "shared with the other tests")]
mod guest;

use std::sync::Arc;

use guest::{LIMITS, METERED, NARROW, WIDE, of_text, runtime};
use runtime::suite::{Subject, check_machines};

#[test]
fn machines_of_every_width_pass_the_suite_metered_or_not() {
    for format in [NARROW, WIDE, METERED[0], METERED[1]] {
        let words = match format.starts_with("wasm64") {
            true => [("WIDE", "i64"), ("NARROWED", "i64.add (i64.const 0)"), ("PTR", "i64")],
            false => [("WIDE", ""), ("NARROWED", "i32.wrap_i64"), ("PTR", "i32")],
        };
        let text = include_str!("suite.wat").split_once("(module").expect("a module behind its comment").1;
        let text = words.iter().fold(format!("(module{text}"), |text, (word, with)| text.replace(word, with));
        check_machines(&Subject {
            runtime: Arc::new(runtime()),
            module: of_text(format, &text),
            limits: LIMITS,
        });
    }
}
