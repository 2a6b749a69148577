//! `pirn module run`: evaluates messages on a module file without any unit.

use std::fs::File;
use std::io::{BufRead as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use protocol::{Id, Json, Tags, tag};
use runtime::{Environment, Limits, Machine as _, Memory, PAGE_BYTES, Start, parse_memory_limit};
use runtime_wasm::{Ended, Evaluation, Machine, Options, WasmProgram, WasmRuntime};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::commands::{Shown, check, outbox_of, output_of, text_of};
use unit::Code;

use crate::error::{Context as _, Failure, Result};
use crate::ui::Ui;

/// Bytes of one line of `--jsonl`: a message with its environment.
const LINE_BYTES_MAX: usize = 256 << 20;

/// Evaluate messages on a module file without any unit
///
/// Without --jsonl it evaluates one message. With it, each line of stdin is one request and each line of stdout
/// its answer:
///
///   {"message": {...}, "env": {...}, "memory": FILE, "save": FILE, "fresh": true}
///
/// `message` and `env` are given to the module as they stand. `memory` starts from a memory in a file, `fresh`
/// from none; otherwise the process goes on from the line before. `save` writes the memory afterwards.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Run {
    /// The module file.
    file: PathBuf,
    /// Its format, where it cannot be told from the file.
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// What its memory may grow to.
    #[arg(long, value_name = "SIZE", default_value = "1-gb", value_parser = memory_limit)]
    memory_limit: u64,
    /// What one message may cost.
    #[arg(long, value_name = "GAS", default_value_t = 9_000_000_000_000)]
    compute_limit: u64,
    /// The message, JSON: as text, @FILE, or - for stdin.
    #[arg(long, value_name = "JSON", required_unless_present = "jsonl", conflicts_with = "jsonl")]
    message: Option<String>,
    /// The environment, JSON, likewise.
    #[arg(long, value_name = "JSON", required_unless_present = "jsonl", conflicts_with = "jsonl")]
    env: Option<String>,
    /// The memory to go on from: the whole linear memory, as /state answers it.
    #[arg(long, value_name = "FILE", conflicts_with = "jsonl")]
    memory: Option<PathBuf>,
    /// Where to write the memory afterwards.
    #[arg(long, value_name = "FILE", conflicts_with = "jsonl")]
    save: Option<PathBuf>,
    /// Answer one request per line of stdin.
    #[arg(long)]
    jsonl: bool,
    /// Leave in the memory, byte for byte, what the reference leaves there: slower, same answers.
    #[arg(long)]
    exact: bool,
    /// Keep the compiled module in this folder.
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
}

fn memory_limit(text: &str) -> Result<u64, String> {
    parse_memory_limit(text).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(borrow)]
    env: &'a RawValue,
    memory: Option<PathBuf>,
    save: Option<PathBuf>,
    #[serde(default)]
    fresh: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    shown: Shown<'a>,
    #[serde(rename = "Gas")]
    gas: u64,
    /// The error is no answer of the module: the reference's loader throws it.
    #[serde(rename = "Thrown", skip_serializing_if = "std::ops::Not::not")]
    thrown: bool,
}

#[derive(Serialize)]
struct Refused {
    error: String,
}

impl Run {
    /// Evaluates one message, or what comes.
    pub fn run(self, ui: Ui) -> Result {
        let program = self.program()?;
        let limits = Limits { memory_bytes: self.memory_limit, compute: self.compute_limit };
        if self.jsonl {
            return serve(&program, limits);
        }
        let json = |given: Option<&String>, what: &str| {
            let text = text_of(given.map_or("", String::as_str))?;
            Json::parse(&text).ok_or_else(|| Failure::usage(format!("the {what} is not JSON")))
        };
        let message = json(self.message.as_ref(), "message")?;
        let environment = json(self.env.as_ref(), "environment")?;
        let mut process = Process { program: &program, limits, machine: None };
        let (memory, save) = (self.memory.as_deref(), self.save.as_deref());
        let evaluation = process.evaluate(message.get(), environment.get(), memory, save)?;
        let outcome = &evaluation.outcome;
        check(outcome)?;
        let text: Vec<String> = [output_of(outcome)].into_iter().chain(outbox_of(outcome)).collect();
        ui.answer(text.join("\n"), &answer(&evaluation));
        Ok(())
    }

    fn program(&self) -> Result<WasmProgram> {
        let bytes = std::fs::read(&self.file)
            .context(Code::FILE, format!("could not read {}", self.file.display()))?;
        let format = match &self.format {
            Some(format) => format,
            None => node::module_format(&bytes).ok_or_else(|| {
                Failure::new(
                    Code::FORMAT_UNKNOWN,
                    format!("cannot tell the format of {} from its imports", self.file.display()),
                )
                .hint("say it: --format wasm64-unknown-emscripten-draft_2024_02_15, for example")
            })?,
        };
        let tags = Tags::from_iter([(tag::MODULE_FORMAT, format)]);
        // Nobody published it: it has no name.
        let nobody = Id([0; 32]);
        let module = protocol::Module { id: nobody.into(), owner: nobody.into(), tags, data: bytes.into() };
        let options = Options { cache: self.cache.clone(), ..Options::default() };
        let mut runtime = WasmRuntime::new(options).context(Code::DOES_NOT_START, "could not start")?;
        if self.exact {
            runtime = runtime.with_sleep();
        }
        runtime
            .program(&module)
            .context(Code::MODULE_UNSUPPORTED, format!("could not load {}", self.file.display()))
    }
}

/// Answers each line of stdin with one of stdout.
fn serve(program: &WasmProgram, limits: Limits) -> Result {
    let mut process = Process { program, limits, machine: None };
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut line = String::new();
    loop {
        line.clear();
        let n = std::io::Read::take(&mut input, LINE_BYTES_MAX as u64).read_line(&mut line);
        if n.context(Code::FILE, "could not read stdin")? == 0 {
            return Ok(());
        }
        let text = match process.request(&line) {
            Ok(evaluation) => serde_json::to_string(&answer(&evaluation)),
            Err(failure) => serde_json::to_string(&Refused { error: failure.what }),
        };
        let text = text.expect("answers are JSON");
        writeln!(output, "{text}").and_then(|()| output.flush()).context(Code::FILE, "could not answer")?;
    }
}

fn answer(evaluation: &Evaluation) -> Answer<'_> {
    let Evaluation { outcome, ended } = evaluation;
    Answer { shown: Shown::of(outcome), gas: outcome.gas, thrown: *ended == Ended::Stopped }
}

/// The process that messages are evaluated on.
struct Process<'a> {
    program: &'a WasmProgram,
    limits: Limits,
    machine: Option<(Machine, Arc<Environment>)>,
}

impl Process<'_> {
    fn request(&mut self, line: &str) -> Result<Evaluation> {
        let request: Request<'_> = serde_json::from_str(line).context(Code::USAGE, "not a request")?;
        let Request { message, env, memory, save, fresh } = request;
        if fresh {
            self.machine = None;
        }
        self.evaluate(message.get(), env.get(), memory.as_deref(), save.as_deref())
    }

    fn evaluate(
        &mut self,
        message: &str,
        environment: &str,
        memory: Option<&Path>,
        save: Option<&Path>,
    ) -> Result<Evaluation> {
        let memory = memory.map(read_memory).transpose()?;
        self.be(environment, memory)?;
        let (machine, _) = self.machine.as_mut().expect("it was made just now");
        let evaluation =
            machine.evaluate_json(message).context(Code::MODULE_UNSUPPORTED, "could not evaluate")?;
        if let Some(path) = save {
            write_memory(path, &machine.memory().context(Code::INTERNAL, "could not take the memory")?)?;
        }
        Ok(evaluation)
    }

    /// Makes a machine with that environment, and with that memory or the one there is.
    fn be(&mut self, environment: &str, memory: Option<Memory>) -> Result {
        let memory = match (memory, &mut self.machine) {
            (None, Some((_, same))) if same.to_json() == environment => return Ok(()),
            (None, Some((machine, _))) => {
                Some(machine.memory().context(Code::INTERNAL, "could not take the memory")?)
            }
            (memory, _) => memory,
        };
        let environment = Arc::new(Environment::from_json(environment));
        let start = Start { environment: environment.clone(), limits: self.limits, memory, drive: None };
        let machine =
            self.program.machine(start).context(Code::MODULE_UNSUPPORTED, "could not start the process")?;
        self.machine = Some((machine, environment));
        Ok(())
    }
}

fn read_memory(path: &Path) -> Result<Memory> {
    let dense = std::fs::read(path).context(Code::FILE, format!("could not read {}", path.display()))?;
    Ok(Memory::from_dense(&dense))
}

/// Writes the whole linear memory. What is zero stays a hole in the file.
fn write_memory(path: &Path, memory: &Memory) -> Result {
    let written = File::create(path).and_then(|mut file| {
        file.set_len(memory.size_bytes)?;
        for (index, page) in &memory.pages {
            file.seek(SeekFrom::Start(index * PAGE_BYTES as u64))?;
            file.write_all(page)?;
        }
        Ok(())
    });
    written.context(Code::FILE, format!("could not write {}", path.display()))
}
