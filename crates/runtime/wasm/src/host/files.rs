//! Files: a small tree in memory, new for every message.

use super::{Answer, Call};

const ENOSYS: i64 = 52;

/// The tree and what is open.
#[derive(Default)]
pub(crate) struct Files {}

/// Who answers to that name.
pub(super) fn answer(name: &str) -> Option<Answer> {
    Some(match name {
        "fd_write" => write,
        "fd_read" => |_| Ok(ENOSYS),
        "fd_close" => |_| Ok(ENOSYS),
        "fd_seek" => |_| Ok(70),
        name if name.starts_with("__syscall_") => |_| Ok(-44),
        _ => return None,
    })
}

fn write(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let (mut at, n, written) = (call.pointer(1), call.pointer(2), call.pointer(3));
    let word = call.width().bytes();
    let mut total = 0;
    for _ in 0..n.min(1024) {
        total += call.get_word(at + word)?;
        at += 2 * word;
    }
    call.put_word(written, total)?;
    Ok(0)
}
