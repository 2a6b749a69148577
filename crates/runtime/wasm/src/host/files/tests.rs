//! Tests of the files of a guest.

use super::*;

fn files() -> Files {
    let mut files = Files::default();
    files.ready();
    files
}

#[test]
fn a_file_holds_what_was_written_until_it_is_removed() {
    let mut files = files();
    let fd = files.open("/tmp/a", flags::CREATE | 2, 0o644, 7).unwrap();
    assert_eq!(fd, 3);
    assert_eq!(files.write(fd, b"hello", 8), Ok(true));
    assert_eq!(files.seek(fd, -3, 2), Ok(2));
    let mut buffer = [0; 8];
    assert_eq!(files.read(fd, &mut buffer), Ok(3));
    assert_eq!(&buffer[..3], b"llo");
    let status = files.status("/tmp/a", true).unwrap();
    assert_eq!((status.size, status.mode, status.changed_ms), (5, 0o100_644, 8));
    files.rename("/tmp/a", "/home/b").unwrap();
    assert_eq!(files.status("/tmp/a", true), Err(Errno::Missing));
    files.remove("/home/b").unwrap();
    files.seek(fd, 0, 0).unwrap();
    assert_eq!(files.read(fd, &mut buffer), Ok(5), "it is open");
    files.close(fd).unwrap();
    assert_eq!(files.read(fd, &mut buffer), Err(Errno::BadFile));
}

#[test]
fn the_tree_has_bounds_and_says_no() {
    let mut files = files();
    assert_eq!(files.open("/none/a", flags::CREATE | 1, 0o644, 0), Err(Errno::Missing));
    assert_eq!(files.open("/tmp", 1, 0, 0), Err(Errno::IsFolder));
    assert_eq!(files.make_folder("/tmp", 0o777, 0), Err(Errno::Exists));
    assert_eq!(files.remove_folder("/home"), Err(Errno::NotEmpty));
    assert_eq!(files.rename("/home", "/home/web_user/x"), Err(Errno::Invalid));
    assert_eq!(files.seek(0, 0, 0), Err(Errno::NotSeekable));
    assert_eq!(files.read(0, &mut [0; 4]), Ok(0), "nobody types");
    let fd = files.open("/tmp/big", flags::CREATE | 2, 0o644, 0).unwrap();
    files.seek(fd, BYTES_MAX as i64, 0).unwrap();
    assert_eq!(files.write(fd, b"x", 0), Err(Errno::NoSpace));
    assert_eq!(files.resize_at(fd, u64::MAX, 0), Err(Errno::NoSpace));
    assert!((0..2 * OPEN_MAX).any(|_| files.open("/dev/null", 0, 0, 0) == Err(Errno::TooManyOpen)));
}
