//! `chandlery plugin test`: a plugin held against its cases.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde_json::json;

use super::{Output, build::built, inspect::grouped, read, runtime};
use crate::{
    cli::{code, say},
    error::{Error, Result},
    workbench::{self, Case, Outcome, Tested, Workbench},
};

/// The arguments.
#[derive(Args)]
pub(in crate::cli) struct Test {
    /// The component, a `.wasm` file; or the folder of a project, which is built first
    #[arg(value_name = "COMPONENT", default_value = ".")]
    component: PathBuf,
    /// Files of cases, or folders of them [default: `cases` beside the component or here]
    #[arg(value_name = "CASES")]
    cases: Vec<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Shows answers and log lines of cases that hold, too
    #[arg(short, long)]
    verbose: bool,
    /// As what the outcome is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

impl Test {
    /// Runs the cases. Exit codes: 0 all hold, 1 some do not, 2 the command, the component
    /// or a case is wrong.
    pub(super) fn run(&self) -> ExitCode {
        match self.report() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => code(Err(error)),
        }
    }

    /// Whether all cases hold.
    fn report(&self) -> Result<bool> {
        let component = match self.component.is_dir() {
            true => built(&self.component, None)?.1,
            false => read(&self.component)?,
        };
        let bench = Workbench::new(component)?;
        let files = self.files()?;
        let runtime = runtime()?;
        let mut tested = Vec::new();
        if self.output == Output::Table {
            let facts = &bench.facts;
            let size = grouped(facts.size_bytes as u64);
            say(&format!("{} {}, {size} bytes", facts.name, facts.version));
        }
        let width = files.iter().flat_map(|(_, it)| it).map(|it| it.name.chars().count()).max();
        for (path, cases) in &files {
            if self.output == Output::Table {
                say(&format!("\n{}", path.display()));
            }
            for case in cases {
                let done = runtime.block_on(bench.run(case)).map_err(|it| in_file(path, it))?;
                if self.output == Output::Table {
                    say(&self.lines(case, &done, width.unwrap_or(0)));
                }
                tested.push((path, case, done));
            }
        }
        let failed = tested.iter().filter(|(_, _, it)| it.outcome != Outcome::Passed).count();
        match self.output {
            Output::Table => say(&format!("\n{}, {failed} failed", counted(tested.len()))),
            Output::Json => say(&as_json(&tested)),
        }
        Ok(failed == 0)
    }

    /// The chosen cases by file, in the order of the names where a folder was named.
    fn files(&self) -> Result<Vec<(PathBuf, Vec<Case>)>> {
        let mut files = Vec::new();
        for path in if self.cases.is_empty() { self.default_cases()? } else { self.cases.clone() } {
            if path.is_dir() {
                files.extend(folder(&path)?);
            } else {
                files.push(path);
            }
        }
        let wanted = |it: &Case| self.only.as_ref().is_none_or(|only| it.name.contains(only));
        let mut all = Vec::new();
        for path in files {
            let mut cases = workbench::read(&path)?;
            cases.retain(wanted);
            if !cases.is_empty() {
                all.push((path, cases));
            }
        }
        if all.is_empty() {
            return Err(Error::invalid("cases", "there is no case to run"));
        }
        Ok(all)
    }

    fn default_cases(&self) -> Result<Vec<PathBuf>> {
        let folder = match self.component.is_dir() {
            true => self.component.as_path(),
            false => self.component.parent().unwrap_or(Path::new("")),
        };
        let found =
            [folder.join("cases"), PathBuf::from("cases")].into_iter().find(|it| it.is_dir());
        found.map(|it| vec![it]).ok_or_else(|| {
            Error::invalid("cases", "there is no folder `cases`: name the files of cases")
        })
    }

    /// A case for people.
    fn lines(&self, case: &Case, tested: &Tested, width: usize) -> String {
        let used = tested.used;
        let problems: &[String] = match &tested.outcome {
            Outcome::Passed => &[],
            Outcome::Failed(problems) => problems,
        };
        let word = if problems.is_empty() { "ok  " } else { "FAIL" };
        let mut lines = vec![format!(
            "  {word}  {:<width$}  {:>13} fuel  {:>9.3} ms  {:>7} KiB",
            case.name,
            grouped(used.fuel),
            used.guest.as_secs_f64() * 1_000.0,
            grouped(used.memory_bytes as u64 >> 10),
        )];
        lines.extend(problems.iter().map(|it| format!("        {it}")));
        if self.verbose || !problems.is_empty() {
            lines.push(format!("        answer: {}", tested.answer));
            lines.extend(tested.log.iter().map(|it| format!("        log: {it}")));
        }
        lines.join("\n")
    }
}

/// The `.toml` files of a folder, by name.
fn folder(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).map_err(|it| {
        Error::invalid("cases", format!("`{}` cannot be read: {it}", path.display()))
    })?;
    let files = entries.flatten().map(|it| it.path());
    let mut files: Vec<PathBuf> =
        files.filter(|it| it.extension().is_some_and(|it| it == "toml")).collect();
    files.sort();
    Ok(files)
}

fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Invalid { field, message } => {
            Error::Invalid { field, message: format!("`{}`: {message}", path.display()) }
        }
        other => other,
    }
}

fn counted(cases: usize) -> String {
    if cases == 1 { "1 case".to_owned() } else { format!("{cases} cases") }
}

fn as_json(tested: &[(&PathBuf, &Case, Tested)]) -> String {
    let one = |(path, case, it): &(&PathBuf, &Case, Tested)| {
        let problems: &[String] = match &it.outcome {
            Outcome::Passed => &[],
            Outcome::Failed(problems) => problems,
        };
        json!({
            "file": path,
            "case": case.name,
            "passed": problems.is_empty(),
            "problems": problems,
            "answer": it.answer,
            "log": it.log,
            "fuel": it.used.fuel,
            "guest-ns": it.used.guest.as_nanos() as u64,
            "memory-bytes": it.used.memory_bytes,
        })
    };
    let all: Vec<serde_json::Value> = tested.iter().map(one).collect();
    serde_json::Value::Array(all).to_string()
}
