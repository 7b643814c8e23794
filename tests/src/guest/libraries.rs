//! The shared libraries a program needs, as the machine's own loader finds them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{GuestError, output_of};

/// Absolute paths of all libraries and the loader, by `ldd`; a static program has none.
pub fn needed_by(program: &Path) -> Result<Vec<PathBuf>, GuestError> {
    match output_of(Command::new("ldd").arg(program)) {
        Ok(output) => parse(&String::from_utf8_lossy(&output)),
        Err(GuestError::Program { message, .. }) if message.contains("not a dynamic executable") => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> Result<Vec<PathBuf>, GuestError> {
    if let Some(line) = text.lines().find(|line| line.contains("not found")) {
        return Err(GuestError::Missing(format!("library {}", line.trim())));
    }
    let paths = text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_taken_but_the_vdso_is_not() {
        let text =
            "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n\t/lib64/ld-linux-x86-64.so.2 (0x3)\n";

        let paths = parse(text).ok();

        assert_eq!(
            paths,
            Some(vec![
                PathBuf::from("/lib/x/libc.so.6"),
                PathBuf::from("/lib64/ld-linux-x86-64.so.2")
            ])
        );
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse("\tlibx.so.1 => not found\n").map_err(|error| error.to_string());

        assert!(error.is_err_and(|message| message.contains("libx.so.1")));
    }
}
