//! The report that build servers read.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{FileReport, Status};

/// All tests as JUnit XML: a suite for each file.
pub fn xml(reports: &[FileReport]) -> Result<String, String> {
    let mut report = Report::new("pirn test");
    for file in reports {
        let mut suite = TestSuite::new(file.file.as_str());
        for test in &file.tests {
            let status = match test.status {
                Status::Passed => TestCaseStatus::success(),
                Status::Pending => TestCaseStatus::skipped(),
                Status::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
                Status::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
            };
            let mut case = TestCase::new(test.title.join(" › "), status);
            case.set_classname(file.file.trim_end_matches(".lua").replace('/', "."));
            case.set_time(Duration::from_secs_f64(test.ms.max(0.0) / 1000.0));
            case.extra.insert("file".into(), file.file.as_str().into());
            if let Some(line) = test.line {
                case.extra.insert("line".into(), line.to_string().into());
            }
            if let Some(problem) = &test.problem {
                let mut text = vec![problem.message.clone()];
                text.extend(problem.at.iter().map(|at| format!("at {at}")));
                text.extend(problem.expected.iter().map(|text| format!("expected: {text}")));
                text.extend(problem.got.iter().map(|text| format!("got: {text}")));
                text.extend(problem.trace.iter().cloned());
                case.status.set_message(problem.message.as_str()).set_description(text.join("\n"));
            }
            if !test.printed.is_empty() {
                // The library takes tabs for a terminal's commands, and drops them.
                case.set_system_out(test.printed.join("\n").replace('\t', "    "));
            }
            suite.add_test_case(case);
        }
        suite.set_time(Duration::from_secs_f64(
            file.tests.iter().map(|test| test.ms.max(0.0)).sum::<f64>() / 1000.0,
        ));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| error.to_string())
}
