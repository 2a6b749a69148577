//! What was measured, as a table and as JSON, beside the peers and beside an earlier report.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::conditions::Conditions;
use super::peers::{self, Scale};
use super::program::Row;

/// One figure, in all runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) values: Vec<f64>,
}

impl Series {
    fn min(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(super) fn median(&self) -> f64 {
        median(&self.values)
    }

    fn max(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// The middle one; of an even number, what lies between the two in the middle. NaN of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

/// Adds the rows of one run to those of the runs before, in the order in which they first came.
pub(super) fn collect(series: &mut Vec<Series>, rows: Vec<Row>) {
    for Row { name, unit, value } in rows {
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.values.push(value),
            None => series.push(Series { name, unit, values: vec![value] }),
        }
    }
}

/// Everything that came of it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) conditions: Conditions,
    pub(super) series: Vec<Series>,
    pub(super) scale: Option<Scale>,
    /// What could not be measured, and why: one each.
    pub(super) failures: Vec<String>,
}

impl Report {
    pub(super) fn new(conditions: Conditions) -> Report {
        Report { conditions, series: Vec::new(), scale: None, failures: Vec::new() }
    }

    /// One row each, failures at the end.
    pub(super) fn table(&self, baseline: Option<&Baseline>) -> String {
        let mut rows =
            vec![row(["measurement", "unit", "min", "median", "max", "peer, scaled", "", "ratio"])];
        if baseline.is_some() {
            rows[0].extend(["earlier".to_owned(), "ratio".to_owned()]);
        }
        for series in &self.series {
            let mut cells = row([&series.name, &series.unit]);
            cells.extend([series.min(), series.median(), series.max()].map(figure));
            cells.extend(match self.peer(series) {
                Some((who, scaled, ratio)) => [figure(scaled), who.to_owned(), format!("{}x", figure(ratio))],
                None => Default::default(),
            });
            if let Some(baseline) = baseline {
                cells.extend(match baseline.compare(series) {
                    Some((earlier, ratio)) => [figure(earlier), format!("{ratio:.2}x")],
                    None => Default::default(),
                });
            }
            rows.push(cells);
        }
        let mut text = align(&rows);
        for failure in &self.failures {
            text += &format!("failed: {failure}\n");
        }
        text
    }

    /// Everything, to be read by programs and by [`Baseline::read`].
    pub(super) fn json(&self) -> Value {
        let rows = self.series.iter().map(|series| {
            let mut row = json!({
                "name": series.name, "unit": series.unit, "values": series.values,
                "min": series.min(), "median": series.median(), "max": series.max(),
            });
            if let Some(peer) = peers::of(&series.name) {
                row["peer"] = json!({ "who": peer.who, "recorded": peer.recorded });
            }
            if let Some((_, scaled, ratio)) = self.peer(series) {
                row["peer"]["scaled"] = json!(scaled);
                row["peer"]["ratio"] = json!(ratio);
            }
            row
        });
        json!({
            "conditions": self.conditions.json(),
            "scale": self.scale.map(|Scale(scale)| scale),
            "rows": rows.collect::<Vec<_>>(),
            "failures": self.failures,
        })
    }

    /// Who did the same, how well on this computer, and how many times better we are.
    fn peer(&self, series: &Series) -> Option<(&'static str, f64, f64)> {
        let peer = peers::of(&series.name)?;
        let scaled = self.scale?.apply(&series.unit, peer.recorded);
        Some((peer.who, scaled, peers::better(&series.unit, series.median(), scaled)))
    }
}

/// The medians of an earlier report, by name and unit.
#[derive(Debug)]
pub(super) struct Baseline(BTreeMap<(String, String), f64>);

impl Baseline {
    /// Reads what [`Report::json`] wrote.
    pub(super) fn read(file: &Path) -> anyhow::Result<Baseline> {
        let name = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("could not read {name}"))?;
        let value: Value = serde_json::from_str(&text).with_context(|| format!("{name} is no JSON"))?;
        Baseline::parse(&value).with_context(|| format!("{name} is no report of `cargo xtask bench`"))
    }

    fn parse(report: &Value) -> Option<Baseline> {
        let rows = report["rows"].as_array()?.iter().map(|row| {
            let key = (row["name"].as_str()?.to_owned(), row["unit"].as_str()?.to_owned());
            Some((key, row["median"].as_f64()?))
        });
        Some(Baseline(rows.collect::<Option<_>>()?))
    }

    /// The median of then, and how many times better now is.
    fn compare(&self, series: &Series) -> Option<(f64, f64)> {
        let earlier = *self.0.get(&(series.name.clone(), series.unit.clone()))?;
        Some((earlier, peers::better(&series.unit, series.median(), earlier)))
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Three digits that mean something.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Columns as wide as their widest cell: words to the left, figures to the right.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| match at {
            0 | 1 | 6 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows: &[(&str, &str, &[f64])]) -> Report {
        let series = |&(name, unit, values): &(&str, &str, &[f64])| Series {
            name: name.to_owned(),
            unit: unit.to_owned(),
            values: values.to_vec(),
        };
        let mut report = Report::new(Conditions::default());
        report.series = rows.iter().map(series).collect();
        report.scale = Some(Scale(0.5));
        report
    }

    #[test]
    fn runs_are_collected_by_name_in_their_order() {
        let mut series = Vec::new();
        collect(&mut series, vec![Row::new("b", "ms", 3.0), Row::new("a", "ms", 1.0)]);
        collect(&mut series, vec![Row::new("b", "ms", 5.0), Row::new("a", "ms", 2.0)]);
        let names: Vec<_> = series.iter().map(|series| (series.name.as_str(), &series.values[..])).collect();
        assert_eq!(names, [("b", &[3.0, 5.0][..]), ("a", &[1.0, 2.0][..])]);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_figure_has_three_digits() {
        for (value, text) in [
            (3393.4, "3393"),
            (99.99, "100"),
            (42.06, "42.1"),
            (9.999, "10.0"),
            (1.234, "1.23"),
            (0.0512, "0.051"),
        ] {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn a_table_has_the_peers_and_what_failed() {
        let mut report = report(&[
            ("cu-aos stream", "messages/s", &[830.0, 1000.0, 900.0]),
            ("cu-aos one message, outcome p50", "ms", &[2.0]),
            ("start until every unit answers", "ms", &[51.0, 50.0, 60.0]),
        ]);
        report.failures.push("su: POST to the scheduler: 503 instead of 200".to_owned());
        let table = "\
measurement                      unit         min  median   max  peer, scaled               ratio
cu-aos stream                    messages/s   830     900  1000          4.15  permaweb/ao   217x
cu-aos one message, outcome p50  ms          2.00    2.00  2.00           560  permaweb/ao   280x
start until every unit answers   ms          50.0    51.0  60.0
failed: su: POST to the scheduler: 503 instead of 200
";
        assert_eq!(report.table(None), table);
    }

    #[test]
    fn an_earlier_report_is_compared_row_by_row() {
        let earlier = report(&[("a", "messages/s", &[100.0]), ("b", "ms", &[10.0]), ("c", "ms", &[1.0])]);
        let baseline = Baseline::parse(&earlier.json()).unwrap();
        let now = report(&[("a", "messages/s", &[150.0]), ("b", "ms", &[5.0]), ("c", "s", &[1.0])]);
        let compared: Vec<_> = now.series.iter().map(|series| baseline.compare(series)).collect();
        assert_eq!(compared, [Some((100.0, 1.5)), Some((10.0, 2.0)), None]);
        let table = now.table(Some(&baseline));
        assert!(table.lines().nth(1).unwrap().ends_with("100  1.50x"), "{table}");
    }

    #[test]
    fn what_is_no_report_is_refused() {
        assert!(Baseline::parse(&json!({ "rows": [{ "name": "a" }] })).is_none());
        assert!(Baseline::parse(&json!([])).is_none());
    }
}
