//! The Lua functions in which gas was used, by the names that people gave them.

use runtime::{Function, Profile};

use super::source::Source;

/// What the machine does around all functions: it reads the message, makes the process's Lua and writes the outcome.
const MACHINE: &str = "(machine)";

/// The functions of the boot library, and what they call of the built-in ones.
const BOOT: &str = "(boot library)";

/// Where the gas of a message went: functions in one another, the outermost first, and what the innermost used itself.
/// The sum is the gas of the message.
pub fn stacks(profile: &Profile, sources: &[Source]) -> Vec<(Vec<String>, u64)> {
    let named = |(stack, gas): (&Vec<Function>, &u64)| {
        let mut names: Vec<String> = Vec::with_capacity(stack.len());
        for function in stack {
            let under_boot = names.last().is_none_or(|last| last == BOOT);
            match function {
                Function::Builtin(_) if under_boot => {}
                Function::Script { .. } if is_boot(function, sources) => {
                    if names.last().is_none_or(|last| last != BOOT) {
                        names.push(BOOT.to_owned());
                    }
                }
                _ => names.push(name(function, sources)),
            }
        }
        if names.is_empty() {
            names.push(MACHINE.to_owned());
        }
        (names, *gas)
    };
    profile.stacks.iter().map(named).collect()
}

fn is_boot(function: &Function, sources: &[Source]) -> bool {
    let Function::Script { source, .. } = function else { return false };
    // A project may have a folder of that name, too.
    source.starts_with("@boot/") && sources.iter().all(|known| known.name != source[1..])
}

/// `src/counter.lua:12 count`
fn name(function: &Function, sources: &[Source]) -> String {
    let (source, line) = match function {
        Function::Builtin(name) => return name.as_deref().unwrap_or("(built in)").to_owned(),
        Function::Script { source, line } => (source, *line),
    };
    let file = match source.split_at_checked(1) {
        Some(("@" | "=", name)) => name,
        // What is evaluated as it is, and how a bundle begins its files.
        _ => "(script)",
    };
    if line == 0 {
        return file.to_owned();
    }
    let text = sources.iter().find(|known| known.name == file);
    let text = text.and_then(|known| known.text.lines().nth(line as usize - 1));
    match text.and_then(defined) {
        Some(name) => format!("{file}:{line} {name}"),
        None => format!("{file}:{line}"),
    }
}

/// What a line calls the one function that begins on it.
fn defined(line: &str) -> Option<String> {
    let (before, after) = line.split_once("function")?;
    if after.contains("function") {
        return None;
    }
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':');
    let after = after.trim_start();
    let own = &after[..after.find(|c| !is_part(c)).unwrap_or(after.len())];
    if !own.is_empty() {
        return Some(own.to_owned());
    }
    if let Some(handler) = handler(before) {
        return Some(handler);
    }
    let variable = before.trim_end().strip_suffix('=')?.trim_end();
    let start = variable
        .rfind(|c| !is_part(c))
        .map_or(0, |at| at + variable[at..].chars().next().map_or(1, char::len_utf8));
    Some(variable[start..].to_owned()).filter(|name| !name.is_empty())
}

/// `handler inc`, of `Handlers.add("inc", …`.
fn handler(before: &str) -> Option<String> {
    let (_, call) = before.split_once("Handlers.")?;
    let (_, arguments) = call.split_once('(')?;
    let quote = arguments.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, _) = arguments[1..].split_once(quote)?;
    Some(format!("handler {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_called_as_their_line_calls_them() {
        for (line, name) in [
            ("function count(n)", Some("count")),
            ("local function count (n)", Some("count")),
            ("function Account:pay(n)", Some("Account:pay")),
            ("local count = function(n)", Some("count")),
            ("  tokens.Balances = function()", Some("tokens.Balances")),
            ("Handlers.add(\"inc\", \"Inc\", function(msg)", Some("handler inc")),
            ("Handlers.add('tick', function(msg)", Some("handler tick")),
            ("  return function()", None),
            ("f(function() end, function() end)", None),
            ("local é = function()", Some("é")),
            ("end", None),
        ] {
            assert_eq!(defined(line).as_deref(), name, "{line}");
        }
    }

    #[test]
    fn what_the_boot_library_does_is_one_frame() {
        let script = |source: &str, line| Function::Script { source: source.into(), line };
        let builtin = |name: &str| Function::Builtin(Some(name.into()));
        let sources = [Source { name: "a.lua".to_owned(), text: "\nfunction count()\nend".to_owned() }];
        let boot = [script("@boot/process.lua", 3), builtin("pcall"), script("@boot/handlers.lua", 9)];
        let own = [script("@a.lua", 2), builtin("string.rep")];
        let mut profile = Profile::default();
        profile.stacks.insert(Vec::new(), 1);
        profile.stacks.insert(boot.to_vec(), 2);
        profile.stacks.insert([&boot[..], &own[..]].concat(), 3);
        profile.stacks.insert([&boot[..], &own[..1], &boot[2..], &[builtin("next")]].concat(), 4);
        let found = stacks(&profile, &sources);
        let found: Vec<(String, u64)> =
            found.into_iter().map(|(names, gas)| (names.join(" > "), gas)).collect();
        let expected = [
            ("(machine)", 1),
            ("(boot library)", 2),
            ("(boot library) > a.lua:2 count > (boot library)", 4),
            ("(boot library) > a.lua:2 count > string.rep", 3),
        ];
        assert_eq!(found, expected.map(|(names, gas)| (names.to_owned(), gas)));
    }
}
