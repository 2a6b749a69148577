//! What other implementations did under the same programs, and how that is compared with what is measured here.
//!
//! They cannot be run everywhere, so their figures are recorded, of two shared vCPUs. The loader ran there, too: what it
//! takes here against what it took there says how much faster this computer is.

/// Milliseconds that the loader took where the peers were recorded, by Node.js.
const LOADER_MS: [(u32, f64); 2] = [(20, 100.0), (22, 71.0)];

/// A recorded figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Peer {
    pub(super) who: &'static str,
    pub(super) recorded: f64,
}

/// How much faster this computer is than the one of the recordings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale(pub(super) f64);

impl Scale {
    /// Of what the loader takes here, on this Node.js. None for one that was not recorded.
    pub(super) fn of(loader_ms: f64, node: &str) -> Option<Scale> {
        let major: u32 = node.trim_start_matches('v').split('.').next()?.parse().ok()?;
        let (_, recorded) = LOADER_MS.iter().find(|(recorded, _)| *recorded == major)?;
        Some(Scale(recorded / loader_ms))
    }

    /// What a peer would do here. Memory is what it was.
    pub(super) fn apply(self, unit: &str, recorded: f64) -> f64 {
        match unit {
            unit if is_rate(unit) => recorded * self.0,
            "ms" | "s" => recorded / self.0,
            _ => recorded,
        }
    }
}

/// Whether more is better.
pub(super) fn is_rate(unit: &str) -> bool {
    unit.ends_with("/s")
}

/// How many times better one figure is than another of the same unit.
pub(super) fn better(unit: &str, ours: f64, theirs: f64) -> f64 {
    if is_rate(unit) { ours / theirs } else { theirs / ours }
}

/// Who did the same, by the name of a row. Where several figures were recorded, the best of the peer.
pub(super) fn of(row: &str) -> Option<Peer> {
    RECORDED.iter().find(|(name, ..)| *name == row).map(|&(_, who, recorded)| Peer { who, recorded })
}

const PERMAWEB: &str = "permaweb/ao";
const HYPERBEAM: &str = "HyperBEAM";

/// Row, peer, figure in the row's unit.
const RECORDED: &[(&str, &str, f64)] = &[
    ("su 1 process, 1 connection", PERMAWEB, 37.0),
    ("su 1 process, 8 connections", PERMAWEB, 41.0),
    ("su 1 process, 32 connections", PERMAWEB, 41.0),
    ("su 8 processes, 1 connection", PERMAWEB, 33.0),
    ("su 8 processes, 8 connections", PERMAWEB, 61.0),
    ("su 8 processes, 32 connections", PERMAWEB, 64.0),
    ("cu-aos stream", PERMAWEB, 8.3),
    ("cu-aos one message, outcome p50", PERMAWEB, 280.0),
    ("cu-lua stream", HYPERBEAM, 75.0),
    ("cu-lua one message, schedule and outcome p50", HYPERBEAM, 109.0),
    // With eight in flight; with one in flight, 2.8.
    ("e2e 1 process", PERMAWEB, 3.2),
    ("e2e 10 processes", PERMAWEB, 3.4),
    ("pingpong 1 pair", PERMAWEB, 1.25),
    ("pingpong 4 pairs", PERMAWEB, 1.6),
    // 2,000 messages in 235 s.
    ("replay cold, log over HTTP", PERMAWEB, 8.51),
    // The least that its three units were seen to hold together.
    ("memory with ten aos processes after 1000 messages each", PERMAWEB, 644.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_computer_twice_as_slow_halves_rates_and_doubles_times() {
        let scale = Scale::of(142.0, "v22.23.3").unwrap();
        assert_eq!(scale, Scale(0.5));
        assert_eq!(scale.apply("messages/s", 8.0), 4.0);
        assert_eq!(scale.apply("ms", 280.0), 560.0);
        assert_eq!(scale.apply("s", 235.0), 470.0);
        assert_eq!(scale.apply("MB", 644.0), 644.0);
    }

    #[test]
    fn each_node_has_its_own_floor() {
        assert_eq!(Scale::of(50.0, "v20.1.0"), Some(Scale(2.0)));
        assert_eq!(Scale::of(71.0, "v22.0.0"), Some(Scale(1.0)));
        assert_eq!(Scale::of(71.0, "v24.0.0"), None);
        assert_eq!(Scale::of(71.0, "what"), None);
    }

    #[test]
    fn better_is_more_of_a_rate_and_less_of_anything_else() {
        assert_eq!(better("messages/s", 20.0, 5.0), 4.0);
        assert_eq!(better("ms", 5.0, 20.0), 4.0);
        assert_eq!(better("times", 1.0, 2.0), 2.0);
    }
}
