//! What a file lies on decides whether it may be opened, and is found out for any name.

use super::*;

/// A network file system cannot be mounted in a test, so its number is handed in.
#[test]
fn network_file_systems_are_refused_by_name() {
    let path = Path::new("state.db");
    for (magic, name) in [(0x6969, "NFS"), (0xff53_4d42, "SMB"), (0x0102_1997, "9P")] {
        let refused = refuse_magic(path, magic);
        assert!(
            matches!(&refused, Err(StoreError::UnsupportedFileSystem { file_system, .. }) if *file_system == name),
            "{refused:?}"
        );
    }
    // ext4, btrfs, tmpfs, overlayfs, FUSE.
    for magic in [0xef53, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x6573_5546] {
        assert!(refuse_magic(path, magic).is_ok(), "{magic:#x}");
    }
}

#[test]
fn a_name_with_any_character_can_be_looked_at() {
    assert_eq!(
        immutable_uri(Path::new("/a b/50%?x#é")),
        "file:/a%20b/50%25%3fx%23%c3%a9?immutable=1"
    );
}
