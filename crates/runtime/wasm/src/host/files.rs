//! Files: a small tree in memory, new for every message.
//!
//! It has what Emscripten's has at the start and its rules, errors included; only random devices give zeros
//! and nobody types.

use std::collections::BTreeMap;

use runtime::Opened;

use super::errno::{Errno, flags};

/// Bytes in all files together.
const BYTES_MAX: usize = 64 << 20;
/// Files and folders together.
const NODES_MAX: usize = 1 << 16;
/// Open files.
const OPEN_MAX: usize = 4096;
/// Links that a path may lead over.
const LINKS_MAX: usize = 40;

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const DEVICE: u32 = 0o020_000;
const LINK: u32 = 0o120_000;

/// Number of a node.
type Node = usize;
const ROOT: Node = 0;

#[derive(Debug)]
enum Content {
    Folder(BTreeMap<String, Node>),
    File(Vec<u8>),
    Link(String),
    Null,
    Zeros,
    Terminal,
    /// Something of the weave.
    Weave(Opened),
}

#[derive(Debug)]
struct Entry {
    content: Content,
    mode: u32,
    /// Milliseconds.
    changed: u64,
    parent: Node,
}

#[derive(Debug, Clone)]
struct Stream {
    node: Node,
    path: String,
    flags: i32,
    position: u64,
    /// It was moved to the end of something of the weave, and not read since.
    is_at_end: bool,
}

/// What `stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub inode: u64,
    pub mode: u32,
    pub size: u64,
    pub changed_ms: u64,
    pub is_device: bool,
}

/// The tree and what is open. Nothing exists until something is asked: most messages open nothing.
#[derive(Debug, Default)]
pub(crate) struct Files {
    nodes: Vec<Entry>,
    streams: Vec<Option<Stream>>,
    bytes: usize,
}

type Result<T> = std::result::Result<T, Errno>;

impl Files {
    /// The tree that there is at the start.
    pub fn ready(&mut self) -> &mut Files {
        if !self.nodes.is_empty() {
            return self;
        }
        self.nodes.push(Entry {
            content: Content::Folder(BTreeMap::new()),
            mode: FOLDER | 0o777,
            changed: 0,
            parent: ROOT,
        });
        for folder in [
            "/tmp",
            "/home",
            "/home/web_user",
            "/dev",
            "/dev/shm",
            "/dev/shm/tmp",
            "/proc",
            "/proc/self",
            "/proc/self/fd",
            "/data",
        ] {
            self.plant(folder, Content::Folder(BTreeMap::new()), FOLDER | 0o777);
        }
        self.plant("/dev/null", Content::Null, DEVICE | 0o666);
        self.plant("/dev/tty", Content::Terminal, DEVICE | 0o666);
        self.plant("/dev/tty1", Content::Terminal, DEVICE | 0o666);
        self.plant("/dev/random", Content::Zeros, DEVICE | 0o666);
        self.plant("/dev/urandom", Content::Zeros, DEVICE | 0o666);
        for (name, target, flags) in
            [("/dev/stdin", "/dev/tty", 0), ("/dev/stdout", "/dev/tty", 1), ("/dev/stderr", "/dev/tty1", 1)]
        {
            self.plant(name, Content::Link(target.to_owned()), LINK | 0o777);
            let opened = self.open(name, flags, 0, 0);
            debug_assert!(opened.is_ok());
        }
        self
    }

    fn plant(&mut self, path: &str, content: Content, mode: u32) {
        let planted =
            self.place(path, true).and_then(|(folder, name, _)| self.add(folder, name, content, mode, 0));
        debug_assert!(planted.is_ok());
    }

    /// Opens a file; the smallest free number is its.
    pub fn open(&mut self, path: &str, mut how: i32, mode: u32, now: u64) -> Result<i32> {
        if path.is_empty() {
            return Err(Errno::Missing);
        }
        let found = self.find(path, how & flags::NO_FOLLOW == 0);
        let created = found.is_err() && how & flags::CREATE != 0;
        let node = match found {
            Ok(_) if how & flags::CREATE != 0 && how & flags::EXCLUSIVE != 0 => return Err(Errno::Exists),
            Ok(node) => node,
            Err(_) if created => {
                let (folder, name, _) = self.place(path, true)?;
                self.add(folder, name, Content::File(Vec::new()), FILE | (mode & 0o7777), now)?
            }
            Err(_) => return Err(Errno::Missing),
        };
        let entry = &self.nodes[node];
        let is_folder = matches!(entry.content, Content::Folder(_));
        if entry.mode & DEVICE == DEVICE && entry.mode & LINK != LINK {
            how &= !flags::TRUNCATE;
        }
        if how & flags::FOLDER != 0 && !is_folder {
            return Err(Errno::NotFolder);
        }
        if !created {
            if matches!(entry.content, Content::Link(_)) {
                return Err(Errno::Loop);
            }
            if is_folder && (how & flags::ACCESS != 0 || how & flags::TRUNCATE != 0) {
                return Err(Errno::IsFolder);
            }
            let needs = [0o444, 0o222, 0o666][(how & 3).min(2) as usize];
            if (needs & 0o444 != 0 && entry.mode & 0o444 == 0)
                || (needs & 0o222 != 0 && entry.mode & 0o222 == 0)
            {
                return Err(Errno::Access);
            }
            if how & flags::TRUNCATE != 0 {
                self.resize(node, 0, now)?;
            }
        }
        how &= !(flags::EXCLUSIVE | flags::TRUNCATE | flags::NO_FOLLOW);
        let path = self.path_of(node);
        self.stream(Stream { node, path, flags: how, position: 0, is_at_end: false }, 0)
    }

    /// Opens something of the weave, to be read. It has no place in the tree.
    pub fn open_weave(&mut self, path: &str, opened: Opened) -> Result<i32> {
        if self.nodes.len() >= NODES_MAX {
            return Err(Errno::NoSpace);
        }
        let node = self.nodes.len();
        self.nodes.push(Entry {
            content: Content::Weave(opened),
            mode: FILE | 0o444,
            changed: 0,
            parent: ROOT,
        });
        self.stream(Stream { node, path: path.to_owned(), flags: 0, position: 0, is_at_end: false }, 0)
    }

    /// What of the weave is open under that number, and from where its next read is; `None` for other files.
    ///
    /// Moved to its end it is read from its start: guests ask for as many bytes as its size is, which they have just
    /// learned that way, and the reference gives them these.
    pub fn weave_at(&self, fd: i32) -> Option<(Opened, u64)> {
        let stream = self.at(fd).ok()?;
        let Content::Weave(opened) = &self.nodes[stream.node].content else { return None };
        Some((opened.clone(), if stream.is_at_end { 0 } else { stream.position }))
    }

    /// Something of the weave was read up to there.
    pub fn set_position(&mut self, fd: i32, position: u64) {
        if let Ok(stream) = self.at_mut(fd) {
            (stream.position, stream.is_at_end) = (position, false);
        }
    }

    fn stream(&mut self, stream: Stream, least: usize) -> Result<i32> {
        let free = (least..).find(|&fd| self.streams.get(fd).is_none_or(Option::is_none)).unwrap_or(OPEN_MAX);
        if free >= OPEN_MAX {
            return Err(Errno::TooManyOpen);
        }
        if self.streams.len() <= free {
            self.streams.resize(free + 1, None);
        }
        self.streams[free] = Some(stream);
        Ok(free as i32)
    }

    /// Opens the same again, under the smallest free number from `least` on.
    pub fn duplicate(&mut self, fd: i32, least: i32) -> Result<i32> {
        let stream = self.at(fd)?.clone();
        let least = usize::try_from(least).map_err(|_| Errno::Invalid)?;
        self.stream(stream, least)
    }

    /// Closes it.
    pub fn close(&mut self, fd: i32) -> Result<()> {
        self.at(fd)?;
        self.streams[fd as usize] = None;
        Ok(())
    }

    /// Reads from where it is, as much as there is.
    pub fn read(&mut self, fd: i32, to: &mut [u8]) -> Result<usize> {
        let stream = self.at(fd)?;
        if stream.flags & flags::ACCESS == flags::WRITE_ONLY {
            return Err(Errno::BadFile);
        }
        let (node, position) = (stream.node, stream.position as usize);
        let n = match &self.nodes[node].content {
            Content::Folder(_) => return Err(Errno::IsFolder),
            Content::Link(_) => return Err(Errno::Invalid),
            Content::Null | Content::Terminal | Content::Weave(_) => 0,
            Content::Zeros => {
                to.fill(0);
                to.len()
            }
            Content::File(bytes) => {
                let rest = bytes.get(position..).unwrap_or_default();
                let n = rest.len().min(to.len());
                to[..n].copy_from_slice(&rest[..n]);
                n
            }
        };
        self.at_mut(fd)?.position += n as u64;
        Ok(n)
    }

    /// Writes where it is. Whether the clock was looked at, besides.
    pub fn write(&mut self, fd: i32, from: &[u8], now: u64) -> Result<bool> {
        let stream = self.at(fd)?;
        if stream.flags & flags::ACCESS == 0 {
            return Err(Errno::BadFile);
        }
        let (node, append, mut position) = (stream.node, stream.flags & flags::APPEND != 0, stream.position);
        let mut looked = false;
        match &mut self.nodes[node].content {
            Content::Folder(_) => return Err(Errno::IsFolder),
            Content::Link(_) => return Err(Errno::Invalid),
            Content::Null | Content::Zeros | Content::Weave(_) => {}
            Content::Terminal => looked = !from.is_empty(),
            Content::File(bytes) => {
                if append {
                    position = bytes.len() as u64;
                }
                if !from.is_empty() {
                    let end = usize::try_from(position).ok().and_then(|start| start.checked_add(from.len()));
                    let end = end.filter(|end| *end <= BYTES_MAX).ok_or(Errno::NoSpace)?;
                    let more = end.saturating_sub(bytes.len());
                    if self.bytes + more > BYTES_MAX {
                        return Err(Errno::NoSpace);
                    }
                    self.bytes += more;
                    if end > bytes.len() {
                        bytes.resize(end, 0);
                    }
                    bytes[end - from.len()..end].copy_from_slice(from);
                    looked = true;
                }
            }
        }
        if looked {
            self.nodes[node].changed = now;
        }
        self.at_mut(fd)?.position = position + from.len() as u64;
        Ok(looked)
    }

    /// Moves to another place; answers where that is.
    pub fn seek(&mut self, fd: i32, offset: i64, whence: i32) -> Result<u64> {
        let stream = self.at(fd)?;
        let base = match (&self.nodes[stream.node].content, whence) {
            (Content::Terminal, _) => return Err(Errno::NotSeekable),
            (_, 0) => 0,
            (_, 1) => stream.position,
            (Content::File(bytes), 2) => bytes.len() as u64,
            (Content::Weave(opened), 2) => size_of(opened),
            (_, 2) => 0,
            _ => return Err(Errno::Invalid),
        };
        let position = base.checked_add_signed(offset).filter(|at| *at <= i64::MAX as u64);
        let position = position.ok_or(Errno::Invalid)?;
        let is_at_end = match whence {
            0 => false,
            1 => offset == 0 && stream.is_at_end,
            _ => offset == 0 && matches!(self.nodes[stream.node].content, Content::Weave(_)),
        };
        let stream = self.at_mut(fd)?;
        (stream.position, stream.is_at_end) = (position, is_at_end);
        Ok(position)
    }

    /// What it was opened with.
    pub fn flags_mut(&mut self, fd: i32) -> Result<&mut i32> {
        Ok(&mut self.at_mut(fd)?.flags)
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self, fd: i32) -> Result<bool> {
        Ok(matches!(self.nodes[self.at(fd)?.node].content, Content::Terminal))
    }

    /// Where it is.
    pub fn path_at(&self, fd: i32) -> Result<&str> {
        Ok(&self.at(fd)?.path)
    }

    /// What is known of something open.
    pub fn status_at(&self, fd: i32) -> Result<Status> {
        Ok(self.status_of(self.at(fd)?.node))
    }

    /// What is known of something.
    pub fn status(&self, path: &str, follow: bool) -> Result<Status> {
        Ok(self.status_of(self.find(path, follow)?))
    }

    fn status_of(&self, node: Node) -> Status {
        let entry = &self.nodes[node];
        let size = match &entry.content {
            Content::Folder(_) => 4096,
            Content::File(bytes) => bytes.len() as u64,
            Content::Link(target) => target.len() as u64,
            Content::Weave(opened) => size_of(opened),
            _ => 0,
        };
        let is_device = matches!(entry.content, Content::Null | Content::Zeros | Content::Terminal);
        Status { inode: node as u64 + 1, mode: entry.mode, size, changed_ms: entry.changed, is_device }
    }

    /// Cuts or extends a file.
    pub fn resize_at(&mut self, fd: i32, size: u64, now: u64) -> Result<()> {
        let stream = self.at(fd)?;
        if stream.flags & flags::ACCESS == 0 {
            return Err(Errno::Invalid);
        }
        self.resize(stream.node, size, now)
    }

    fn resize(&mut self, node: Node, size: u64, now: u64) -> Result<()> {
        let entry = &mut self.nodes[node];
        let Content::File(bytes) = &mut entry.content else {
            return Err(if matches!(entry.content, Content::Folder(_)) {
                Errno::IsFolder
            } else {
                Errno::Invalid
            });
        };
        let size = usize::try_from(size).map_err(|_| Errno::NoSpace)?;
        let others = self.bytes - bytes.len();
        if size.saturating_add(others) > BYTES_MAX {
            return Err(Errno::NoSpace);
        }
        bytes.resize(size, 0);
        self.bytes = others + size;
        entry.changed = now;
        Ok(())
    }

    /// Changes who may read and write.
    pub fn change_mode(&mut self, path: &str, mode: u32, now: u64) -> Result<()> {
        let node = self.find(path, true)?;
        self.set_mode(node, mode, now)
    }

    /// The same, of something open.
    pub fn change_mode_at(&mut self, fd: i32, mode: u32, now: u64) -> Result<()> {
        let node = self.at(fd)?.node;
        self.set_mode(node, mode, now)
    }

    fn set_mode(&mut self, node: Node, mode: u32, now: u64) -> Result<()> {
        let entry = &mut self.nodes[node];
        entry.mode = (mode & 0o7777) | (entry.mode & !0o7777);
        entry.changed = now;
        Ok(())
    }

    /// Says when something was changed.
    pub fn touch(&mut self, path: &str, changed_ms: u64) -> Result<()> {
        let node = self.find(path, true)?;
        self.nodes[node].changed = changed_ms;
        Ok(())
    }

    /// Makes a folder.
    pub fn make_folder(&mut self, path: &str, mode: u32, now: u64) -> Result<()> {
        let (folder, name, existing) = self.place(path, true)?;
        if existing.is_some() {
            return Err(Errno::Exists);
        }
        self.add(folder, name, Content::Folder(BTreeMap::new()), FOLDER | (mode & 0o1777), now)?;
        Ok(())
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &str) -> Result<()> {
        let (folder, name, existing) = self.place(path, false)?;
        let node = existing.ok_or(Errno::Missing)?;
        if matches!(self.nodes[node].content, Content::Folder(_)) {
            return Err(Errno::IsFolder);
        }
        self.forget(folder, &name);
        // What is still open keeps its content until the message is done; it counts no more.
        if let Content::File(bytes) = &self.nodes[node].content
            && !self.streams.iter().flatten().any(|stream| stream.node == node)
        {
            self.bytes -= bytes.len();
            self.nodes[node].content = Content::File(Vec::new());
        }
        Ok(())
    }

    /// Removes an empty folder.
    pub fn remove_folder(&mut self, path: &str) -> Result<()> {
        let (folder, name, existing) = self.place(path, false)?;
        let node = existing.ok_or(Errno::Missing)?;
        match &self.nodes[node].content {
            Content::Folder(_) if node == ROOT => Err(Errno::Busy),
            Content::Folder(entries) if !entries.is_empty() => Err(Errno::NotEmpty),
            Content::Folder(_) => {
                self.forget(folder, &name);
                Ok(())
            }
            _ => Err(Errno::NotFolder),
        }
    }

    /// Gives something another place; what was there is gone.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<()> {
        let (from, old_name, node) = self.place(old, false)?;
        let (to, new_name, there) = self.place(new, true)?;
        let node = node.ok_or(Errno::Missing)?;
        if there == Some(node) {
            return Ok(());
        }
        let mut above = to;
        while above != ROOT {
            if above == node {
                return Err(Errno::Invalid);
            }
            above = self.nodes[above].parent;
        }
        let is_folder = |node: Node| matches!(self.nodes[node].content, Content::Folder(_));
        if let Some(there) = there {
            match (is_folder(node), is_folder(there)) {
                (true, false) => return Err(Errno::NotFolder),
                (false, true) => return Err(Errno::IsFolder),
                _ => {}
            }
            if let Content::Folder(entries) = &self.nodes[there].content
                && !entries.is_empty()
            {
                return Err(Errno::NotEmpty);
            }
        }
        self.forget(from, &old_name);
        if let Content::Folder(entries) = &mut self.nodes[to].content {
            entries.insert(new_name, node);
        }
        self.nodes[node].parent = to;
        Ok(())
    }

    /// Where a link leads.
    pub fn link_target(&self, path: &str) -> Result<&str> {
        match &self.nodes[self.find(path, false)?].content {
            Content::Link(target) => Ok(target),
            _ => Err(Errno::Invalid),
        }
    }

    fn at(&self, fd: i32) -> Result<&Stream> {
        let stream = usize::try_from(fd).ok().and_then(|fd| self.streams.get(fd));
        stream.and_then(Option::as_ref).ok_or(Errno::BadFile)
    }

    fn at_mut(&mut self, fd: i32) -> Result<&mut Stream> {
        let stream = usize::try_from(fd).ok().and_then(|fd| self.streams.get_mut(fd));
        stream.and_then(Option::as_mut).ok_or(Errno::BadFile)
    }

    fn add(&mut self, folder: Node, name: String, content: Content, mode: u32, now: u64) -> Result<Node> {
        if self.nodes.len() >= NODES_MAX {
            return Err(Errno::NoSpace);
        }
        let node = self.nodes.len();
        let Content::Folder(entries) = &mut self.nodes[folder].content else { return Err(Errno::NotFolder) };
        entries.insert(name, node);
        self.nodes[folder].changed = now;
        self.nodes.push(Entry { content, mode, changed: now, parent: folder });
        Ok(node)
    }

    fn forget(&mut self, folder: Node, name: &str) {
        if let Content::Folder(entries) = &mut self.nodes[folder].content {
            entries.remove(name);
        }
    }

    /// The folder that `path` names something in, the name, and what has it. A new name must be one.
    fn place(&self, path: &str, new: bool) -> Result<(Node, String, Option<Node>)> {
        let trimmed = path.trim_end_matches('/');
        let (folder, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
        if name.is_empty() || name == "." || name == ".." {
            return Err(if new { Errno::Exists } else { Errno::Invalid });
        }
        let folder = self.walk(ROOT, folder, true, &mut 0)?;
        let Content::Folder(entries) = &self.nodes[folder].content else { return Err(Errno::NotFolder) };
        Ok((folder, name.to_owned(), entries.get(name).copied()))
    }

    fn find(&self, path: &str, follow: bool) -> Result<Node> {
        self.walk(ROOT, path, follow, &mut 0)
    }

    fn walk(&self, from: Node, path: &str, follow: bool, links: &mut usize) -> Result<Node> {
        let mut node = if path.starts_with('/') { ROOT } else { from };
        let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".").peekable();
        while let Some(part) = parts.next() {
            let Content::Folder(entries) = &self.nodes[node].content else { return Err(Errno::NotFolder) };
            let next = if part == ".." {
                self.nodes[node].parent
            } else {
                *entries.get(part).ok_or(Errno::Missing)?
            };
            node = match &self.nodes[next].content {
                Content::Link(target) if follow || parts.peek().is_some() => {
                    *links += 1;
                    if *links > LINKS_MAX {
                        return Err(Errno::Loop);
                    }
                    self.walk(node, target, true, links)?
                }
                _ => next,
            };
        }
        Ok(node)
    }

    fn path_of(&self, mut node: Node) -> String {
        let mut names = Vec::new();
        while node != ROOT {
            let parent = self.nodes[node].parent;
            if let Content::Folder(entries) = &self.nodes[parent].content {
                names
                    .extend(entries.iter().find(|(_, child)| **child == node).map(|(name, _)| name.as_str()));
            }
            node = parent;
        }
        names.iter().rev().fold(String::new(), |path, name| path + "/" + name)
    }
}

fn size_of(opened: &Opened) -> u64 {
    match opened {
        Opened::NotAvailable => 0,
        Opened::Data { size, .. } => *size,
        Opened::Text(text) => text.len() as u64,
    }
}

#[cfg(test)]
mod tests;
