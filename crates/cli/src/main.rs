//! The `pirn` binary.
//!
//! BEING WRITTEN BY TWO (02:07): the http engineer writes commands/{dev,node,config}.rs and their tests; the lead writes
//! main.rs, ui.rs, error.rs, network.rs and every client command (env spawn send eval dry result log trace wallet accounts
//! fund publish completions) and lands them by 02:30. Add `Dev(commands::dev::Dev)` etc. to the tree when they are there.
fn main() {}
