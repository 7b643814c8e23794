//! A source entry for the release's backports, derived from the machine's own apt sources: same host, same keyring.

use anyhow::{Context, bail};
use system_tests::guest::apt::{Source, codename, sources};

const ENTRY: &str = "/etc/apt/sources.list.d/carillon-backports.sources";

/// Makes sure that the running release's backports are among the sources; returns the suite's name.
///
/// # Errors
/// No source of the release itself is found, or the entry can't be written.
pub fn enable() -> anyhow::Result<String> {
    let codename = codename().context("no VERSION_CODENAME in /etc/os-release: not a Debian release")?;
    let sources = sources()?;
    let suite = format!("{codename}-backports");
    if sources.iter().any(|source| source.suites.contains(&suite)) {
        return Ok(suite);
    }
    let Some(main) = sources.into_iter().find(|source| source.suites.contains(&codename)) else {
        bail!("no apt source has the suite {codename}; add {suite} by hand");
    };
    std::fs::write(ENTRY, entry(&main, &suite)).with_context(|| format!("writing {ENTRY}"))?;
    eprintln!("setup: added {ENTRY}");
    Ok(suite)
}

fn entry(main: &Source, suite: &str) -> String {
    let mut text = format!("Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n", main.uri);
    if let Some(key) = &main.signed_by {
        text.push_str(&format!("Signed-By: {key}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_has_the_same_host_and_key_as_the_release() {
        let main = Source {
            uri: "http://mirror.example/debian".to_owned(),
            suites: vec!["bookworm".to_owned()],
            signed_by: Some("/k.gpg".to_owned()),
        };

        let text = entry(&main, "bookworm-backports");

        assert_eq!(
            text,
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\nSigned-By: /k.gpg\n"
        );
    }
}
