//! A cpio archive in the kernel's "newc" format: entries sorted by path, all times zero, owner root, so that the same
//! content gives the same bytes.

use std::collections::BTreeMap;

enum Node {
    Directory,
    File { mode: u32, data: Vec<u8> },
    Link(String),
    Device { mode: u32, major: u32, minor: u32 },
}

/// The archive being put together.
#[derive(Default)]
pub struct Archive {
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// Adds a directory and its parents; `path` has no leading slash.
    pub fn directory(&mut self, path: &str) {
        self.parents(path);
        self.nodes.entry(path.to_owned()).or_insert(Node::Directory);
    }

    /// Adds a regular file with permission bits `mode`.
    pub fn file(&mut self, path: &str, mode: u32, data: Vec<u8>) {
        self.parents(path);
        self.nodes.insert(path.to_owned(), Node::File { mode, data });
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.nodes.insert(path.to_owned(), Node::Link(target.to_owned()));
    }

    /// Adds a character device.
    pub fn device(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.parents(path);
        self.nodes.insert(path.to_owned(), Node::Device { mode, major, minor });
    }

    /// The bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (inode, (path, node)) in (1_u32..).zip(&self.nodes) {
            match node {
                Node::Directory => entry(&mut bytes, inode, path, 0o040_755, (0, 0), &[]),
                Node::File { mode, data } => entry(&mut bytes, inode, path, 0o100_000 | mode, (0, 0), data),
                Node::Link(target) => entry(&mut bytes, inode, path, 0o120_777, (0, 0), target.as_bytes()),
                Node::Device { mode, major, minor } => {
                    entry(&mut bytes, inode, path, 0o020_000 | mode, (*major, *minor), &[]);
                }
            }
        }
        entry(&mut bytes, 0, "TRAILER!!!", 0, (0, 0), &[]);
        bytes
    }

    fn parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            self.nodes.entry(path[..end].to_owned()).or_insert(Node::Directory);
        }
    }
}

/// One header (13 fields of 8 hex digits after the magic), name and data, each padded to 4 bytes.
fn entry(bytes: &mut Vec<u8>, inode: u32, path: &str, mode: u32, device: (u32, u32), data: &[u8]) {
    let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
    let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let name_size = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
    bytes.extend_from_slice(b"070701");
    for field in [
        inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0,
    ] {
        bytes.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    bytes.extend_from_slice(path.as_bytes());
    bytes.push(0);
    pad(bytes);
    bytes.extend_from_slice(data);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(order: &[&str]) -> Vec<u8> {
        let mut archive = Archive::default();
        for path in order {
            archive.file(path, 0o644, path.as_bytes().to_vec());
        }
        archive.finish()
    }

    #[test]
    fn the_same_content_in_any_order_gives_the_same_bytes() {
        assert_eq!(archive(&["usr/bin/a", "etc/b"]), archive(&["etc/b", "usr/bin/a"]));
    }

    #[test]
    fn parents_come_before_their_children_and_the_trailer_last() {
        let text = String::from_utf8(archive(&["usr/bin/a"])).unwrap_or_default();

        let positions: Vec<_> = ["usr\0", "usr/bin\0", "usr/bin/a\0", "TRAILER!!!\0"]
            .iter()
            .map(|name| text.find(name))
            .collect();

        assert!(
            positions.iter().all(Option::is_some) && positions.is_sorted(),
            "{positions:?}"
        );
    }
}
