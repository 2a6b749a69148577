//! The metrics of this program, in the words of Prometheus.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Seconds: from a tenth of a millisecond to a minute.
const BUCKETS: [f64; 15] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0];

/// What renders the metrics. There is one recorder in a program, whatever runs in it.
pub(crate) fn recorder() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || PrometheusBuilder::new().set_buckets(&BUCKETS).ok()?.install_recorder().ok();
    HANDLE.get_or_init(install).as_ref()
}

/// The text of `/metrics`.
pub(crate) fn render() -> String {
    metrics::gauge!("pirn_resident_bytes").set(resident_bytes().unwrap_or(0) as f64);
    match recorder() {
        Some(recorder) => {
            recorder.run_upkeep();
            recorder.render()
        }
        None => String::new(),
    }
}

/// Bytes of memory that this program holds, as Linux counts them.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
