//! Who has a port, as far as Linux tells.

use std::fs;
use std::path::Path;

/// The program that listens on a port: `pirn (pid 4121) in /home/ada`. None where that cannot be told.
pub(crate) fn of_port(port: u16) -> Option<String> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let inodes: Vec<&str> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (local, _, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
            let local = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
            // 0A: it listens.
            (local == port && state == "0A").then(|| fields.nth(5)).flatten()
        })
        .collect();
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    // `self` is there as well.
    let processes =
        processes.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let holder = processes.map(|entry| entry.path()).find(|process| holds(process, &wanted))?;
    let name = fs::read_to_string(holder.join("comm")).ok()?;
    let folder = fs::read_link(holder.join("cwd")).map(|folder| format!(" in {}", folder.display()));
    let pid = holder.file_name()?.to_str()?.to_owned();
    Some(format!("{} (pid {pid}){}", name.trim(), folder.unwrap_or_default()))
}

/// Whether a process has one of those sockets open. Other users' processes do not tell.
fn holds(process: &Path, sockets: &[String]) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files.flatten().any(|file| {
        fs::read_link(file.path())
            .is_ok_and(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = of_port(listener.local_addr().unwrap().port()).unwrap();
        assert!(holder.contains(&format!("(pid {})", std::process::id())), "{holder}");
    }
}
