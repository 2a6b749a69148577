//! The system calls on files, as Emscripten's C library makes them.

use super::errno::{Errno, flags};
use super::files::{Files, Status};
use super::{Answer, Call, clock};
use crate::format::Width;

/// The folder that a path without a leading `/` starts from.
const HERE: i32 = -100;
const EMPTY_PATH: i64 = 0x1000;
const NO_FOLLOW: i64 = 0x100;
const REMOVE_FOLDER: i64 = 0x200;
/// Parts of one read or write.
const PARTS_MAX: u64 = 1024;

/// Who answers to that name. Calls named `__syscall_*` answer with minus the error, the others with it.
pub(super) fn answer(name: &str) -> Option<Answer> {
    Some(match name {
        "fd_write" => |call| done(call, write),
        "fd_read" => |call| done(call, read),
        "fd_close" => |call| done(call, close),
        "fd_seek" => |call| done(call, seek),
        "fd_sync" => |call| done(call, sync),
        "fd_fdstat_get" => |call| done(call, describe),
        "_munmap_js" => |_| Ok(0),
        "__syscall_openat" => |call| made(call, open),
        "__syscall_fcntl64" => |call| made(call, control),
        "__syscall_ioctl" => |call| made(call, terminal),
        "__syscall_dup3" => |call| made(call, duplicate),
        "__syscall_unlinkat" => |call| made(call, unlink),
        "__syscall_rmdir" => |call| made(call, remove_folder),
        "__syscall_renameat" => |call| made(call, rename),
        "__syscall_readlinkat" => |call| made(call, read_link),
        "__syscall_mkdirat" => |call| made(call, make_folder),
        "__syscall_faccessat" => |call| made(call, access),
        "__syscall_chmod" => |call| made(call, change_mode),
        "__syscall_fchmod" => |call| made(call, change_mode_at),
        "__syscall_fchown32" => |call| made(call, change_owner),
        "__syscall_stat64" => |call| made(call, |call| stat(call, HERE, 0, 1, 0)),
        "__syscall_lstat64" => |call| made(call, |call| stat(call, HERE, 0, 1, NO_FOLLOW)),
        "__syscall_newfstatat" => |call| made(call, |call| stat(call, call.i32(0), 1, 2, call.int(3))),
        "__syscall_fstat64" => |call| made(call, stat_at),
        "__syscall_ftruncate64" => |call| made(call, truncate),
        "__syscall_getcwd" => |call| made(call, here),
        "__syscall_utimensat" => |call| made(call, touch),
        _ => return None,
    })
}

/// The oldest format has no files at all: its glue answers without looking.
pub(super) fn answer_of_none(name: &str) -> Option<Answer> {
    Some(match name {
        "fd_write" => |call| {
            let parts = parts(call)?;
            let n = parts.iter().map(|(_, n)| n).sum();
            call.put_word(call.pointer(3), n)?;
            Ok(0)
        },
        "fd_read" | "fd_close" => |_| Ok(Errno::NoCall as i64),
        "fd_seek" => |_| Ok(Errno::NotSeekable as i64),
        name if name.starts_with("__syscall_") => |_| Ok(0),
        _ => return None,
    })
}

/// A trap, or what the call came to.
type Made = wasmtime::Result<Result<i64, Errno>>;

fn made(call: &mut Call<'_, '_>, make: fn(&mut Call<'_, '_>) -> Made) -> wasmtime::Result<i64> {
    Ok(make(call)?.unwrap_or_else(|error| -(error as i64)))
}

fn done(call: &mut Call<'_, '_>, make: fn(&mut Call<'_, '_>) -> Made) -> wasmtime::Result<i64> {
    Ok(make(call)?.unwrap_or_else(|error| error as i64))
}

fn files<'a>(call: &'a mut Call<'_, '_>) -> &'a mut Files {
    call.moment().files.ready()
}

/// The path at an argument, from the folder that `fd` is.
fn path(
    call: &mut Call<'_, '_>,
    fd: i32,
    argument: usize,
    how: i64,
) -> wasmtime::Result<Result<String, Errno>> {
    let path = call.string(call.pointer(argument))?;
    if path.starts_with('/') {
        return Ok(Ok(path));
    }
    let folder = if fd == HERE { Ok("") } else { files(call).path_at(fd) };
    Ok(match folder {
        Err(error) => Err(error),
        Ok(_) if path.is_empty() && how & EMPTY_PATH == 0 => Err(Errno::Missing),
        Ok(folder) => Ok(format!("{folder}/{path}")),
    })
}

/// The pieces of memory of a read or write.
fn parts(call: &mut Call<'_, '_>) -> wasmtime::Result<Vec<(u64, u64)>> {
    let (mut at, n, word) = (call.pointer(1), call.pointer(2), call.width().bytes());
    let mut parts = Vec::new();
    for _ in 0..n.min(PARTS_MAX) {
        parts.push((call.get_word(at)?, call.get_word(at + word)?));
        at += 2 * word;
    }
    Ok(parts)
}

fn write(call: &mut Call<'_, '_>) -> Made {
    let fd = call.i32(0);
    if let Err(error) = files(call).status_at(fd) {
        return Ok(Err(error));
    }
    let mut total = 0;
    for (at, n) in parts(call)? {
        let (memory, moment) = call.memory_and_moment()?;
        let bytes = super::slice(memory, at, n)?;
        match moment.files.write(fd, bytes, moment.clock) {
            Ok(looked) => moment.clock += u64::from(looked),
            Err(error) => return Ok(Err(error)),
        }
        total += n;
    }
    call.put_word(call.pointer(3), total)?;
    Ok(Ok(0))
}

fn read(call: &mut Call<'_, '_>) -> Made {
    let fd = call.i32(0);
    if let Err(error) = files(call).status_at(fd) {
        return Ok(Err(error));
    }
    let mut total = 0;
    for (at, n) in parts(call)? {
        let got = match super::drive::fill(call, fd, at, n)? {
            Some(got) => got,
            None => {
                let (memory, moment) = call.memory_and_moment()?;
                match moment.files.read(fd, super::slice(memory, at, n)?) {
                    Ok(got) => got as u64,
                    Err(error) => return Ok(Err(error)),
                }
            }
        };
        total += got;
        if got < n {
            break;
        }
    }
    call.put_word(call.pointer(3), total)?;
    Ok(Ok(0))
}

fn close(call: &mut Call<'_, '_>) -> Made {
    let fd = call.i32(0);
    Ok(files(call).close(fd).map(|()| 0))
}

fn sync(call: &mut Call<'_, '_>) -> Made {
    let fd = call.i32(0);
    Ok(files(call).status_at(fd).map(|_| 0))
}

fn seek(call: &mut Call<'_, '_>) -> Made {
    // The offset is one argument of 64 bits or two of 32.
    let (offset, next) = match call.n_arguments() {
        5 => (i64::from(call.i32(1) as u32) | (call.int(2) << 32), 3),
        _ => (call.int(1), 2),
    };
    let (fd, whence, to) = (call.i32(0), call.i32(next), call.pointer(next + 1));
    match files(call).seek(fd, offset, whence) {
        Ok(position) => call.put(to, &position.to_le_bytes()).map(|()| Ok(0)),
        Err(error) => Ok(Err(error)),
    }
}

fn describe(call: &mut Call<'_, '_>) -> Made {
    let (fd, to) = (call.i32(0), call.pointer(1));
    let files = files(call);
    let kind = match (files.is_terminal(fd), files.status_at(fd)) {
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
        (Ok(true), _) => 2u8,
        (_, Ok(status)) => match status.mode & 0o170_000 {
            0o040_000 => 3,
            0o120_000 => 7,
            _ => 4,
        },
    };
    call.put(to, &[kind])?;
    call.put(to + 2, &[0, 0])?;
    call.put(to + 8, &[0; 16])?;
    Ok(Ok(0))
}

fn open(call: &mut Call<'_, '_>) -> Made {
    let path = match path(call, call.i32(0), 1, 0)? {
        Ok(path) => path,
        Err(error) => return Ok(Err(error)),
    };
    let how = call.i32(2);
    let mode = if call.pointer(3) == 0 { 0 } else { call.get_i32(call.pointer(3))? as u32 };
    let now = clock::peek(call);
    let existed = files(call).status(&path, how & flags::NO_FOLLOW == 0).is_ok();
    let opened = files(call).open(&path, how, mode, now);
    // A new file and a cut one have the time of a look at the clock.
    if opened.is_ok() && (!existed || how & flags::TRUNCATE != 0) {
        clock::look(call);
    }
    Ok(opened.map(i64::from))
}

fn control(call: &mut Call<'_, '_>) -> Made {
    let (fd, argument) = (call.i32(0), call.pointer(2));
    if let Err(error) = files(call).status_at(fd) {
        return Ok(Err(error));
    }
    match call.i32(1) {
        0 => {
            let least = call.get_i32(argument)?;
            Ok(files(call).duplicate(fd, least).map(i64::from))
        }
        1 | 2 | 6 | 7 => Ok(Ok(0)),
        3 => Ok(files(call).flags_mut(fd).map(|flags| i64::from(*flags))),
        4 => {
            let more = call.get_i32(argument)?;
            Ok(files(call).flags_mut(fd).map(|flags| {
                *flags |= more;
                0
            }))
        }
        5 => {
            // Nobody holds a lock.
            let lock = call.get_word(argument)?;
            call.put(lock, &2u16.to_le_bytes())?;
            Ok(Ok(0))
        }
        _ => Ok(Err(Errno::Invalid)),
    }
}

fn terminal(call: &mut Call<'_, '_>) -> Made {
    let fd = call.i32(0);
    let is_terminal = match files(call).is_terminal(fd) {
        Ok(is_terminal) => is_terminal,
        Err(error) => return Ok(Err(error)),
    };
    if !is_terminal {
        let known = matches!(call.i32(1), 21505..=21512 | 21515 | 21519 | 21520 | 21523 | 21524 | 21531);
        return Ok(Err(if known { Errno::NotTerminal } else { Errno::Invalid }));
    }
    match call.i32(1) {
        21505 => {
            let to = call.get_word(call.pointer(2))?;
            for (index, value) in [25856, 5, 191, 35387].into_iter().enumerate() {
                call.put_i32(to + 4 * index as u64, value)?;
            }
            let mut characters = [0u8; 32];
            characters[..16].copy_from_slice(&[3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22]);
            call.put(to + 17, &characters)?;
            Ok(Ok(0))
        }
        21506..=21512 | 21515 | 21524 => Ok(Ok(0)),
        21519 => {
            let to = call.get_word(call.pointer(2))?;
            call.put_i32(to, 0)?;
            Ok(Ok(0))
        }
        21523 => {
            let to = call.get_word(call.pointer(2))?;
            call.put(to, &[24, 0, 80, 0])?;
            Ok(Ok(0))
        }
        21531 => Ok(Err(Errno::NotTerminal)),
        _ => Ok(Err(Errno::Invalid)),
    }
}

fn duplicate(call: &mut Call<'_, '_>) -> Made {
    let (fd, to) = (call.i32(0), call.i32(1));
    let files = files(call);
    if let Err(error) = files.status_at(fd) {
        return Ok(Err(error));
    }
    if fd == to {
        return Ok(Err(Errno::Invalid));
    }
    // What had that number is closed; if nothing had, that is no error.
    let _ = files.close(to);
    Ok(files.duplicate(fd, to).map(i64::from))
}

fn unlink(call: &mut Call<'_, '_>) -> Made {
    let (path, how) = (path(call, call.i32(0), 1, 0)?, call.int(2));
    clock::look(call);
    Ok(path
        .and_then(|path| match how {
            0 => files(call).remove(&path),
            REMOVE_FOLDER => files(call).remove_folder(&path),
            _ => Err(Errno::Invalid),
        })
        .map(|()| 0))
}

fn remove_folder(call: &mut Call<'_, '_>) -> Made {
    let path = path(call, HERE, 0, 0)?;
    clock::look(call);
    Ok(path.and_then(|path| files(call).remove_folder(&path)).map(|()| 0))
}

fn rename(call: &mut Call<'_, '_>) -> Made {
    let (old, new) = (path(call, call.i32(0), 1, 0)?, path(call, call.i32(2), 3, 0)?);
    clock::look(call);
    Ok(old.and_then(|old| files(call).rename(&old, &new?)).map(|()| 0))
}

fn read_link(call: &mut Call<'_, '_>) -> Made {
    let path = path(call, call.i32(0), 1, 0)?;
    let (to, room) = (call.pointer(2), call.pointer(3));
    if room == 0 {
        return Ok(Err(Errno::Invalid));
    }
    let target = path.and_then(|path| files(call).link_target(&path).map(str::to_owned));
    match target {
        Ok(target) => {
            let n = target.len().min(room as usize);
            call.put(to, &target.as_bytes()[..n])?;
            Ok(Ok(n as i64))
        }
        Err(error) => Ok(Err(error)),
    }
}

fn make_folder(call: &mut Call<'_, '_>) -> Made {
    let path = path(call, call.i32(0), 1, 0)?;
    let (mode, now) = (call.i32(2) as u32, clock::peek(call));
    let made = path.and_then(|path| files(call).make_folder(&path, mode, now));
    if made.is_ok() {
        clock::look(call);
    }
    Ok(made.map(|()| 0))
}

fn access(call: &mut Call<'_, '_>) -> Made {
    let (path, how) = (path(call, call.i32(0), 1, 0)?, call.i32(2));
    if how & !7 != 0 {
        return Ok(Err(Errno::Invalid));
    }
    let status = path.and_then(|path| files(call).status(&path, true));
    Ok(status.and_then(|status| {
        let lacks = |bit: i32, bits: u32| how & bit != 0 && status.mode & bits == 0;
        if lacks(4, 0o444) || lacks(2, 0o222) || lacks(1, 0o111) { Err(Errno::Access) } else { Ok(0) }
    }))
}

fn change_mode(call: &mut Call<'_, '_>) -> Made {
    let (path, mode, now) = (path(call, HERE, 0, 0)?, call.i32(1) as u32, clock::look(call));
    Ok(path.and_then(|path| files(call).change_mode(&path, mode, now)).map(|()| 0))
}

fn change_mode_at(call: &mut Call<'_, '_>) -> Made {
    let (fd, mode, now) = (call.i32(0), call.i32(1) as u32, clock::look(call));
    Ok(files(call).change_mode_at(fd, mode, now).map(|()| 0))
}

/// Everything belongs to everybody.
fn change_owner(call: &mut Call<'_, '_>) -> Made {
    let fd = call.i32(0);
    clock::look(call);
    Ok(files(call).status_at(fd).map(|_| 0))
}

fn here(call: &mut Call<'_, '_>) -> Made {
    match call.pointer(1) {
        0 => Ok(Err(Errno::Invalid)),
        1 => Ok(Err(Errno::Range)),
        _ => call.put(call.pointer(0), b"/\0").map(|()| Ok(2)),
    }
}

fn truncate(call: &mut Call<'_, '_>) -> Made {
    let size = match (call.width(), call.n_arguments()) {
        (Width::W32, 3) => i64::from(call.i32(1) as u32) | (call.int(2) << 32),
        _ => call.int(1),
    };
    let (fd, now) = (call.i32(0), clock::look(call));
    let Ok(size) = u64::try_from(size) else { return Ok(Err(Errno::Invalid)) };
    Ok(files(call).resize_at(fd, size, now).map(|()| 0))
}

fn touch(call: &mut Call<'_, '_>) -> Made {
    let path = path(call, call.i32(0), 1, EMPTY_PATH)?;
    let times = call.pointer(2);
    let changed = if times == 0 {
        clock::look(call)
    } else {
        // Of the two times the second is that of the last change.
        let seconds = i64::from_le_bytes((&*call.bytes(times + 16, 8)?).try_into().expect("eight bytes"));
        let nanoseconds = i64::from(call.get_i32(times + 24)?);
        seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000).max(0) as u64
    };
    Ok(path.and_then(|path| files(call).touch(&path, changed)).map(|()| 0))
}

fn stat_at(call: &mut Call<'_, '_>) -> Made {
    let fd = call.i32(0);
    let status = files(call).status_at(fd);
    put_status(call, status, call.pointer(1))
}

fn stat(call: &mut Call<'_, '_>, fd: i32, name: usize, to: usize, how: i64) -> Made {
    let path = path(call, fd, name, how)?;
    let status = path.and_then(|path| files(call).status(&path, how & NO_FOLLOW == 0));
    put_status(call, status, call.pointer(to))
}

/// Writes a `struct stat`, of which there have been three.
fn put_status(call: &mut Call<'_, '_>, status: Result<Status, Errno>, to: u64) -> Made {
    let status = match status {
        Ok(status) => status,
        Err(error) => return Ok(Err(error)),
    };
    let Status { inode, mode, size, changed_ms, is_device } = status;
    let (device, blocks) = (if is_device { inode as i32 } else { 1 }, size.div_ceil(4096) as i32);
    let (seconds, nanoseconds) = (changed_ms / 1000, changed_ms % 1000 * 1000);
    if call.format().quadruple_strings {
        for (at, value) in [
            (0, device),
            (4, 0),
            (8, inode as i32),
            (12, mode as i32),
            (16, 1),
            (20, 0),
            (24, 0),
            (28, 0),
            (32, 0),
            (48, 4096),
            (52, blocks),
            (56, seconds as i32),
            (60, 0),
            (64, seconds as i32),
            (68, 0),
            (72, seconds as i32),
            (76, 0),
        ] {
            call.put_i32(to + at, value)?;
        }
        call.put(to + 40, &size.to_le_bytes())?;
        call.put(to + 80, &inode.to_le_bytes())?;
        return Ok(Ok(0));
    }
    call.put_i32(to, device)?;
    call.put_i32(to + 4, mode as i32)?;
    call.put_word(to + 8, 1)?;
    let rest = to + 8 + call.width().bytes();
    for at in [0, 4, 8] {
        call.put_i32(rest + at, 0)?;
    }
    let rest = (rest + 12).next_multiple_of(8);
    call.put(rest, &size.to_le_bytes())?;
    call.put_i32(rest + 8, 4096)?;
    call.put_i32(rest + 12, blocks)?;
    for at in [16, 32, 48] {
        call.put(rest + at, &seconds.to_le_bytes())?;
        call.put_word(rest + at + 8, nanoseconds)?;
    }
    call.put(rest + 64, &inode.to_le_bytes())?;
    Ok(Ok(0))
}
