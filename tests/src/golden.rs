//! Texts that a program must say word for word, kept in files. With `BLESS` set in the environment they are written anew: read the
//! difference before you commit it.

use std::path::PathBuf;

/// Compares each text with the file it is kept in; those that differ, are missing or empty, with what was said.
#[must_use]
pub fn differences(said: impl IntoIterator<Item = (PathBuf, String)>) -> String {
    let mut wrong = Vec::new();
    for (path, said) in said {
        let blessed = if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &said)
        } else {
            Ok(())
        };
        let kept = blessed.and_then(|()| std::fs::read_to_string(&path));
        if said.is_empty() || kept.ok().as_ref() != Some(&said) {
            wrong.push(format!("{}:\n{said}", path.display()));
        }
    }
    wrong.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_no_file_and_no_text_are_told() {
        let kept = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let text = std::fs::read_to_string(&kept).unwrap_or_default();
        let said = |path: &PathBuf, text: &str| differences([(path.clone(), text.to_owned())]);

        assert_eq!(said(&kept, &text), "");
        assert!(said(&kept, "other").contains("Cargo.toml:\nother"));
        assert!(!said(&kept.with_extension("none"), "text").is_empty());
        assert!(!said(&PathBuf::from("/dev/null"), "").is_empty());
    }
}
