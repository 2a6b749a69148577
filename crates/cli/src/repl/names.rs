//! What a process has: asked of it by a dry run, which it does not notice.

use std::collections::BTreeMap;

use unit::Code;

use crate::error::{Failure, Result};
use crate::evaluate::{Script, dry};
use crate::render::{self, Paint};

use super::session::Shared;

/// Names that are taken from a process at most.
const NAMES_MAX: usize = 5_000;

/// Writes a line for each name: its path, a tab, its type. Two levels deep, since more is rarely typed.
const NAMES: &str = r#"
local out, left = {}, 5000
local function names(of, before, depth)
  for key, value in next, of do
    if left == 0 then return end
    if type(key) == "string" and key:match("^[%a_][%w_]*$") then
      left = left - 1
      out[#out + 1] = before .. key .. "\t" .. type(value)
      if depth > 0 and type(value) == "table" and key ~= "_G" and key ~= "package" then
        names(value, before .. key .. ".", depth - 1)
      end
    end
  end
end
for key, value in next, string do
  if type(key) == "string" then out[#out + 1] = ":" .. key .. "\tmethod" end
end
if type(Handlers) == "table" and type(Handlers.list) == "table" then
  for _, handler in ipairs(Handlers.list) do
    out[#out + 1] = "'" .. tostring(handler.name) .. "\thandler"
  end
end
names(_G, "", 1)
return "names:\n" .. table.concat(out, "\n")
"#;

/// A line for each message of the inbox, the newest last: number, sender, action, beginning of the data.
const INBOX: &str = r#"
local out, count = {}, #Inbox
for at = math.max(1, count - 19), count do
  local message = Inbox[at]
  local action = message.Action or (type(message.Tags) == "table" and message.Tags.Action) or ""
  local data = tostring(message.Data or ""):sub(1, 60):gsub("[\n\t]", " ")
  out[#out + 1] = at .. "\t" .. tostring(message.From) .. "\t" .. tostring(action) .. "\t" .. data
end
return "names:\n" .. table.concat(out, "\n")
"#;

/// What only these scripts print: a process that does not evaluate for the sender says something else.
const MARK: &str = "names:";

/// What a name stands for: the path, and the type of its value.
pub type Names = BTreeMap<String, String>;

impl Shared {
    /// The lines that a script gives, if the process evaluates it for `owner`.
    async fn lines(&self, owner: &str, script: &str) -> Result<Option<Vec<String>>> {
        let script = Script { text: script, file: None };
        let outcome = dry(&self.clients, self.process, owner, script).await?.outcome;
        let text = render::output(&outcome, Paint { colours: false });
        // What else it prints comes before what it returns.
        let lines = text.rsplit_once(MARK).map(|(_, lines)| lines.lines().filter(|line| !line.is_empty()));
        Ok(lines.map(|lines| lines.take(NAMES_MAX).map(str::to_owned).collect()))
    }

    /// The lines that a script gives, each in its parts.
    pub async fn ask(&self, script: &str) -> Result<Vec<Vec<String>>> {
        let Some(lines) = self.lines(&self.reader(), script).await? else {
            let what = format!("{} does not evaluate Lua for its owner, as aos does", self.process);
            return Err(Failure::new(Code::REFUSED, what).hint("`.whoami` shows whom it belongs to"));
        };
        Ok(lines.iter().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// The names that the process has now.
    pub async fn names(&self) -> Result<Names> {
        let rows = self.ask(NAMES).await?;
        Ok(rows.into_iter().filter_map(|mut row| Some((row.first()?.clone(), row.pop()?))).collect())
    }

    /// Number, sender, action and data of the newest messages in the inbox.
    pub async fn inbox(&self) -> Result<Vec<Vec<String>>> {
        self.ask(INBOX).await
    }

    /// Whether the process evaluates what `owner` sends; and the line that it wants before the cursor.
    pub async fn evaluates_for(&self, owner: &str) -> Result<(bool, Option<String>)> {
        let script = Script { text: "return \"names:yes\"", file: None };
        let outcome = dry(&self.clients, self.process, owner, script).await?.outcome;
        let trusted = render::output(&outcome, Paint { colours: false }).contains("names:yes");
        Ok((trusted, render::prompt(&outcome, self.paint)))
    }
}
