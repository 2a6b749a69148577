//! Modules that can put their stack aside: how the reference waits for what takes time.
//!
//! The reference answers every WeaveDrive call later, so the guest unwinds its stack into memory that it
//! allocates, and rewinds it when the answer is there. We have the answer at once and make the guest do the
//! same: its heap, its addresses and its gas are then those of the reference. A guest that is kept [`awake`]
//! is answered at once, after the same allocations.
//!
//! [`awake`]: crate::awake

use std::sync::Arc;

use super::{Call, Stop};
use crate::format::Width;

/// Bytes of stack that the reference sets aside, besides a header.
const STACK_BYTES: u64 = 41_943_040;

/// Where a guest is between asking and being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// Running.
    Awake,
    /// Returning to us, its stack goes to this address.
    FallingAsleep(u64),
    /// Called again, its stack comes from this address.
    WakingUp(u64),
}

/// Answers what takes time, after a sleep if the guest can sleep. `find` is called once.
pub(super) fn answer_later(
    call: &mut Call<'_, '_>,
    find: fn(&mut Call<'_, '_>) -> wasmtime::Result<i64>,
) -> wasmtime::Result<i64> {
    let exports = Arc::clone(call.exports()?);
    let (Some(asyncify), Some(malloc), Some(free)) = (&exports.asyncify, &exports.malloc, &exports.free)
    else {
        return find(call);
    };
    match call.moment().sleep {
        Sleep::Awake => {
            let header = match call.width() {
                Width::W32 => 12,
                Width::W64 => 24,
            };
            let at = malloc.call(&mut *call.caller, &[header + STACK_BYTES])?;
            if at == 0 {
                // Its memory is full. The reference would write to address 0.
                return Ok(0);
            }
            if call.caller.data().is_awake {
                free.call(&mut *call.caller, &[at])?;
                return find(call);
            }
            let word = call.width().bytes();
            call.put_word(at, at + header)?;
            call.put_word(at + word, at + header + STACK_BYTES)?;
            call.put_i32(at + 2 * word, 0)?;
            call.moment().sleep = Sleep::FallingAsleep(at);
            asyncify.start_unwind.call(&mut *call.caller, &[at])?;
            Ok(0)
        }
        Sleep::WakingUp(at) => {
            call.moment().sleep = Sleep::Awake;
            asyncify.stop_rewind.call(&mut *call.caller, &[])?;
            free.call(&mut *call.caller, &[at])?;
            find(call)
        }
        Sleep::FallingAsleep(_) => Err(Stop::Abort("it does not fall asleep".into()).into()),
    }
}
