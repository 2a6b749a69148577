//! The line: editing, history, what stands before it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nu_ansi_term::Style;
use protocol::ProcessId;
use reedline::{
    Color, ColumnarMenu, DefaultHinter, EditCommand, Emacs, ExternalPrinter, FileBackedHistory, HistoryItem,
    KeyCode, KeyModifiers, MenuBuilder as _, Prompt, PromptEditMode, PromptHistorySearch,
    PromptHistorySearchStatus, Reedline, ReedlineEvent, ReedlineMenu, ValidationResult, Validator,
    default_emacs_keybindings,
};
use rustix::termios::{InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::runtime::Handle;
use unit::Code;

use super::complete::Complete;
use super::highlight::Colours;
use super::lua::Compiler;
use super::session::Shared;
use crate::error::{Context as _, Result};
use crate::folders;

/// Lines of history that are kept for each process.
const HISTORY_LINES: usize = 10_000;

/// The line editor of a session.
pub struct Editor {
    line: Option<Reedline>,
    before: Before,
    between: Between,
}

/// What reading a line came to.
pub enum Read {
    /// A line, or several that belong together.
    Line(String),
    /// Ctrl-C: never mind.
    Cancelled,
    /// Ctrl-D: the end.
    End,
}

impl Editor {
    /// An editor whose `printer` prints above the line. Without a history file there is one for this session.
    pub fn open(shared: Arc<Shared>, printer: ExternalPrinter<String>) -> Result<Editor> {
        let colours = shared.paint.colours;
        let mut keys = default_emacs_keybindings();
        let complete = ReedlineEvent::UntilFound(vec![
            ReedlineEvent::Menu("complete".to_owned()),
            ReedlineEvent::MenuNext,
        ]);
        keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
        keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
        let newline = ReedlineEvent::Edit(vec![EditCommand::InsertNewline]);
        keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, newline);
        let mut menu = ColumnarMenu::default().with_name("complete").with_marker("").with_column_padding(2);
        if !colours {
            // Without colours the chosen one is seen by its place in the line only.
            let plain = Style::new();
            menu = menu.with_text_style(plain).with_selected_text_style(plain).with_match_text_style(plain);
            menu = menu.with_selected_match_text_style(plain).with_description_text_style(plain);
        }
        let mut line = Reedline::create()
            .with_history(Box::new(history(shared.process)?))
            .with_validator(Box::new(Finished { compiler: Compiler, shared: shared.clone() }))
            .with_completer(Box::new(Complete::new(shared.clone(), Handle::current())))
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_edit_mode(Box::new(Emacs::new(keys)))
            .with_external_printer(printer)
            .with_ansi_colors(colours)
            .use_bracketed_paste(true);
        if colours {
            line = line.with_highlighter(Box::new(Colours));
            line = line.with_hinter(Box::new(DefaultHinter::default().with_style(Style::new().dimmed())));
        }
        Ok(Editor { line: Some(line), before: Before(shared), between: Between::lines() })
    }

    /// Reads a line. Blocks; what the printer is sent appears above meanwhile.
    pub fn read(&mut self) -> Result<Read> {
        // What is collected for one script goes into the history as one.
        let collecting = self.before.0.collecting.load(Ordering::Relaxed);
        let prefix = collecting.then(String::new);
        let line = self.line.take().expect("it is put back below").with_history_exclusion_prefix(prefix);
        let line = self.line.insert(line);
        let signal = line.read_line(&self.before).context(Code::FILE, "the terminal does not answer")?;
        // A full disk must not keep anybody from working; the session's own history is still there.
        let _ = line.sync_history();
        Ok(match signal {
            reedline::Signal::Success(text) => Read::Line(text),
            reedline::Signal::CtrlD => Read::End,
            _ => Read::Cancelled,
        })
    }

    /// Does something in a terminal that is as it was before the session.
    pub fn lend<T>(&self, what: impl FnOnce() -> T) -> T {
        self.between.end();
        let done = what();
        self.between.begin();
        done
    }

    /// Puts a script into the history that was not typed as one line.
    pub fn remember(&mut self, script: &str) {
        if let Some(line) = &mut self.line {
            let _ = line.history_mut().save(HistoryItem::from_command_line(script));
            let _ = line.sync_history();
        }
    }
}

/// How the terminal is between two lines, while something is evaluated: what is typed then is not shown before it is the
/// next line's turn, and Enter stays what it is when the line is edited. As it was before, when this is dropped.
struct Between(Option<Termios>);

impl Between {
    fn lines() -> Between {
        let between = Between(tcgetattr(std::io::stdin()).ok());
        between.begin();
        between
    }

    fn begin(&self) {
        if let Some(before) = &self.0 {
            let mut between = before.clone();
            between.local_modes.remove(LocalModes::ECHO);
            between.input_modes.remove(InputModes::ICRNL);
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &between);
        }
    }

    fn end(&self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.end();
    }
}

/// The history of a process, in the person's own data folder.
fn history(process: ProcessId) -> Result<FileBackedHistory> {
    let file = folders::data().ok().map(|folder| folder.join("history").join(format!("{process}.txt")));
    let kept = file.and_then(|file| FileBackedHistory::with_file(HISTORY_LINES, file).ok());
    match kept {
        Some(history) => Ok(history),
        None => FileBackedHistory::new(HISTORY_LINES).context(Code::FILE, "the history does not start"),
    }
}

/// Whether Enter ends the script or only its line.
struct Finished {
    compiler: Compiler,
    shared: Arc<Shared>,
}

impl Validator for Finished {
    fn validate(&self, text: &str) -> ValidationResult {
        let as_is = text.starts_with('.') || self.shared.collecting.load(Ordering::Relaxed);
        match !as_is && self.compiler.is_unfinished(text) {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Complete,
        }
    }
}

/// What stands before the line. It follows the process, also while a line is edited.
struct Before(Arc<Shared>);

impl Prompt for Before {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        let paint = self.0.paint;
        if self.0.collecting.load(Ordering::Relaxed) {
            return paint.dim("· ").into();
        }
        let mark = if self.0.dry.load(Ordering::Relaxed) { paint.red("dry ") } else { String::new() };
        format!("{mark}{}", self.0.prompt()).into()
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "· ".into()
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let found = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "nothing ",
        };
        format!("({found}found for {:?}) ", search.term).into()
    }

    fn get_prompt_color(&self) -> Color {
        Color::Default
    }

    fn get_indicator_color(&self) -> Color {
        Color::Default
    }

    fn get_prompt_multiline_color(&self) -> Color {
        Color::DarkGray
    }
}
