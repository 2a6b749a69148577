//! WeaveDrive: files whose content is on the weave.
//!
//! Which of them a process may read, and where their bytes come from, is the business of a [`runtime::Drive`]; without
//! one nothing is available. Here are the numbers of open files, their positions, and what reading costs.
//!
//! Deviations from the reference, where its answer is an accident: reading goes on where the last read ended, for
//! headers too (the reference starts them again each time, and never says that they end); at the end nothing is read
//! (the reference gives the text of the gateway's refusal).

use std::sync::Arc;

use runtime::{
    DRIVE_BYTES_MAX, DRIVE_BYTES_PER_OPERATOR, DRIVE_OPEN_OPERATORS, DRIVE_OPENS_MAX, Drive, Opened, Refusal,
    Unopened,
};

use super::asyncify::answer_later;
use super::{Answer, Call, Stop};

/// What one evaluation has to do with the weave.
#[derive(Default)]
pub(crate) struct Drives {
    /// What is evaluated, `JSON-1`. Empty without a drive.
    pub message: Box<str>,
    /// Why the evaluation is not gone on with.
    pub refusal: Option<Refusal>,
    n_opened: u64,
    n_read: u64,
}

/// Who answers to that name.
pub(super) fn answer(name: &str) -> Option<Answer> {
    Some(match name {
        "__asyncjs__weavedrive_open" => |call| answer_later(call, open),
        "__asyncjs__weavedrive_read" => |call| answer_later(call, read),
        "__asyncjs__weavedrive_close" => |call| answer_later(call, close),
        _ => return None,
    })
}

/// (path, mode) → number of the open file; 0 for what is not available.
fn open(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let Some(drive) = call.caller.data().drive.clone() else { return Ok(0) };
    let path = call.string(call.pointer(0))?;
    let drives = &mut call.moment().drives;
    drives.n_opened += 1;
    if drives.n_opened > DRIVE_OPENS_MAX {
        let why = format!("it opened more than {DRIVE_OPENS_MAX} files of the weave in one evaluation");
        return Err(Stop::Abort(why).into());
    }
    spend(call, DRIVE_OPEN_OPERATORS)?;
    let opened = match drive.open(&call.moment().drives.message, &path) {
        Ok(Opened::NotAvailable) => return Ok(0),
        Ok(opened) => opened,
        Err(Unopened::Failed(why)) => return Err(Stop::Abort(why).into()),
        Err(Unopened::Refused(refusal)) => return Err(refuse(call, refusal)),
    };
    Ok(call.moment().files.ready().open_weave(&path, opened).map_or(0, i64::from))
}

/// (number, address, length) → bytes read.
fn read(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let (fd, at, n) = (call.i32(0), call.pointer(1), call.pointer(2));
    Ok(fill(call, fd, at, n)?.unwrap_or(0) as i64)
}

/// (number) → 0.
fn close(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let fd = call.i32(0);
    if call.moment().files.weave_at(fd).is_some() {
        let _ = call.moment().files.close(fd);
    }
    Ok(0)
}

/// Reads from where the file is, as much as there is, to `n` bytes at `to`. `None` if it is not of the weave.
pub(super) fn fill(call: &mut Call<'_, '_>, fd: i32, to: u64, n: u64) -> wasmtime::Result<Option<u64>> {
    let Some((opened, position)) = call.moment().files.weave_at(fd) else { return Ok(None) };
    // Before anything is fetched for it.
    call.bytes(to, n)?;
    let size = match &opened {
        Opened::Data { size, .. } => *size,
        Opened::Text(text) => text.len() as u64,
        Opened::NotAvailable => 0,
    };
    let n = n.min(size.saturating_sub(position));
    let drives = &mut call.moment().drives;
    drives.n_read = drives.n_read.saturating_add(n);
    if drives.n_read > DRIVE_BYTES_MAX {
        let why = format!("it read more than {DRIVE_BYTES_MAX} bytes of the weave in one evaluation");
        return Err(Stop::Abort(why).into());
    }
    spend(call, n.div_ceil(DRIVE_BYTES_PER_OPERATOR))?;
    match opened {
        Opened::Text(text) => call.put(to, &text[position as usize..(position + n) as usize])?,
        Opened::Data { id, .. } => {
            let Some(drive) = call.caller.data().drive.clone() else { return Ok(Some(0)) };
            copy(call, &drive, id, position, to, n)?;
        }
        Opened::NotAvailable => {}
    }
    call.moment().files.set_position(fd, position + n);
    Ok(Some(n))
}

fn copy(
    call: &mut Call<'_, '_>,
    drive: &Arc<dyn Drive>,
    id: protocol::Id,
    from: u64,
    to: u64,
    n: u64,
) -> wasmtime::Result<()> {
    let mut done = 0;
    while done < n {
        let bytes = match drive.read(id, from + done, (n - done) as usize) {
            Ok(bytes) if !bytes.is_empty() => bytes,
            Ok(_) => {
                let what = format!("{id} ends before its end, at byte {}", from + done);
                return Err(refuse(call, Refusal::Weave { what }));
            }
            Err(refusal) => return Err(refuse(call, refusal)),
        };
        let taken = bytes.len().min((n - done) as usize);
        call.put(to + done, &bytes[..taken])?;
        done += taken as u64;
    }
    Ok(())
}

fn refuse(call: &mut Call<'_, '_>, refusal: Refusal) -> wasmtime::Error {
    let what = refusal.to_string();
    call.moment().drives.refusal = Some(refusal);
    Stop::Refused(what).into()
}

/// Counts operators, in formats where they are counted. A module that meters itself is not charged: the reference does
/// not either, and its count is part of what the module can see.
fn spend(call: &mut Call<'_, '_>, operators: u64) -> wasmtime::Result<()> {
    let exports = Arc::clone(call.exports()?);
    if exports.gas.is_some() {
        return Ok(());
    }
    let Some(count) = exports.operators else { return Ok(()) };
    let over = count.get(&mut *call.caller).i64().unwrap_or(0).saturating_add_unsigned(operators);
    count.set(&mut *call.caller, over.into())?;
    if over > 0 {
        return Err(wasmtime::Trap::UnreachableCodeReached.into());
    }
    Ok(())
}
