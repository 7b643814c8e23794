//! Names that our file can have, each once: letters, digits, `_` and `-`, at most 32.

use std::collections::BTreeSet;

use policy::file::MAX_NAME;

/// Names of one kind that are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// With names that are not to be had.
    pub fn without(reserved: &[&str]) -> Self {
        let taken = reserved.iter().map(|&name| name.to_owned()).collect();
        Self { taken }
    }

    /// The wanted name as far as it can be one, or with a number if it is taken; of nothing usable, `otherwise`.
    pub fn take(&mut self, wanted: &str, otherwise: &str) -> String {
        let usable = plain(wanted);
        let base = if usable.is_empty() {
            otherwise.to_owned()
        } else {
            usable
        };
        let numbered = (2_u32..).map(|number| {
            let end = format!("-{number}");
            let room = MAX_NAME - end.len();
            format!("{}{end}", base.chars().take(room).collect::<String>())
        });
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        let free = candidates.find(|name| !self.taken.contains(name)).unwrap_or(base);
        self.taken.insert(free.clone());
        free
    }
}

/// Runs of other characters as one `-`.
pub(super) fn plain(name: &str) -> String {
    let mut out = String::new();
    for c in name.trim().chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    let out: String = out.trim_matches('-').chars().take(MAX_NAME).collect();
    out.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_what_it_can_and_is_had_once() {
        let mut names = Names::without(&["chime"]);

        let all = ["primary zone", "primary.zone", "Überholspur  links!", "", "chime"].map(|it| names.take(it, "zone"));

        assert_eq!(
            all,
            ["primary-zone", "primary-zone-2", "berholspur-links", "zone", "chime-2"]
        );
    }

    #[test]
    fn long_names_stay_apart() {
        let mut names = Names::default();
        let long = "a".repeat(100);

        let all = [names.take(&long, "x"), names.take(&long, "x")];

        assert_eq!(all[0].len(), MAX_NAME);
        assert_eq!(all[1].len(), MAX_NAME);
        assert_ne!(all[0], all[1]);
    }
}
