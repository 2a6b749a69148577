//! `docs/commands.md` is what the commands say of themselves.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};
use expect_test::expect_file;

/// A command and all below it, as a page shows them.
fn write(page: &mut String, command: &Command, path: &str, depth: usize) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(page, "\n{} {path}\n\n{about}.", "#".repeat(depth)).unwrap();
    let shown: Vec<&Arg> =
        command.get_arguments().filter(|arg| !arg.is_hide_set() && is_own(arg, depth)).collect();
    let verbs: Vec<&Command> =
        command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help").collect();
    if verbs.is_empty() {
        let positional =
            shown.iter().filter(|arg| arg.is_positional()).map(|arg| match arg.is_required_set() {
                true => format!(" <{}>", value(arg)),
                false => format!(" [{}]", value(arg)),
            });
        writeln!(page, "\n```text\n{path} [OPTIONS]{}\n```", positional.collect::<String>()).unwrap();
    }
    if !shown.is_empty() {
        writeln!(page, "\n| | |\n|---|---|").unwrap();
    }
    for arg in shown {
        let help = arg.get_help().map(|help| help.to_string().replace('\n', " ").replace('|', "\\|"));
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let takes_value = arg.get_action().takes_values();
        let default = match defaults.is_empty() || !takes_value {
            true => String::new(),
            false => format!(" Default: `{}`.", defaults.join(" ").replace('|', "\\|")),
        };
        let help = help.unwrap_or_default();
        let stop = if help.is_empty() || help.ends_with(['.', ']']) { "" } else { "." };
        writeln!(page, "| `{}` | {help}{stop}{default} |", name(arg)).unwrap();
    }
    for verb in verbs {
        write(page, verb, &format!("{path} {}", verb.get_name()), depth + 1);
    }
}

/// What every command takes is said once, at the top.
fn is_own(arg: &Arg, depth: usize) -> bool {
    let every = ["help", "version", "json", "context"];
    !["help", "version"].contains(&arg.get_id().as_str())
        && (depth == 1 || !every.contains(&arg.get_id().as_str()))
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn name(arg: &Arg) -> String {
    let Some(long) = arg.get_long() else { return value(arg) };
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    match arg.get_action().takes_values() {
        true => format!("{short}--{long} {}", value(arg)),
        false => format!("{short}--{long}"),
    }
}

/// `UPDATE_EXPECT=1 cargo test -p pirn-cli` writes it.
#[test]
fn the_page_of_commands_is_what_they_say_themselves() {
    let mut page = String::new();
    let mut command = super::Cli::command();
    command.build();
    write(&mut page, &command, "pirn", 1);
    let said = "Written by the test in `crates/cli/src/docs.rs` from what `--help` says.\n\
                Exit status: 0, it was done; 1, it failed; 2, it was not asked for properly, or a port is taken.";
    let page = page.trim_start().replacen("\n\n", &format!("\n\n{said}\n\n"), 1);
    expect_file!["../../../docs/commands.md"].assert_eq(&page);
}
