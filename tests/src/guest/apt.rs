//! The machine's own apt sources: same host, same keyring for what else is needed of the archive.

use std::path::Path;

use super::{GuestError, at};

/// One suite of one archive, as apt reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where.
    pub uri: String,
    /// Releases.
    pub suites: Vec<String>,
    /// Keyring file, or the key itself.
    pub signed_by: Option<String>,
}

/// All binary sources that are switched on.
///
/// # Errors
/// A source file can't be read.
pub fn sources() -> Result<Vec<Source>, GuestError> {
    let directory = Path::new("/etc/apt/sources.list.d");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files.insert(0, "/etc/apt/sources.list".into());
    let mut sources = Vec::new();
    for path in files.iter().filter(|path| path.is_file()) {
        let text = || std::fs::read_to_string(path).map_err(at(path));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(text()?.lines().filter_map(one_line)),
            Some("sources") => sources.extend(text()?.split("\n\n").filter_map(stanza)),
            _ => {}
        }
    }
    Ok(sources)
}

/// `deb [signed-by=KEY …] URI SUITE COMPONENT…`
fn one_line(line: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb ")?.trim();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?.to_owned(), words.next()?.to_owned());
    let signed_by = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="))
        .map(str::to_owned);
    Some(Source {
        uri,
        suites: vec![suite],
        signed_by,
    })
}

/// A deb822 stanza; a field may go on in lines that start with a space (an embedded key does).
fn stanza(text: &str) -> Option<Source> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            let (_, value) = fields.last_mut()?;
            value.push('\n');
            value.push_str(line);
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let field = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let enabled = field("enabled").is_none_or(|value| value != "no");
    let binary = field("types")?.split_whitespace().any(|kind| kind == "deb");
    let uri = field("uris")?.split_whitespace().next()?.to_owned();
    let suites = field("suites")?.split_whitespace().map(str::to_owned).collect();
    (enabled && binary).then(|| Source {
        uri,
        suites,
        signed_by: field("signed-by"),
    })
}

/// The running release's name, `bookworm`; `None` where it is not Debian's.
#[must_use]
pub fn codename() -> Option<String> {
    codename_in(&std::fs::read_to_string("/etc/os-release").ok()?)
}

fn codename_in(release: &str) -> Option<String> {
    let value = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(signed_by: Option<&str>) -> Source {
        let suites = vec!["bookworm".to_owned()];
        Source {
            uri: "http://mirror.example/debian".to_owned(),
            suites,
            signed_by: signed_by.map(str::to_owned),
        }
    }

    #[test]
    fn a_deb822_stanza_with_comments_is_understood() {
        let text = "Types: deb deb-src\n# note\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\nSigned-By: /k.gpg\n";

        assert_eq!(stanza(text), Some(source(Some("/k.gpg"))));
    }

    #[test]
    fn a_disabled_or_source_only_stanza_is_not_taken() {
        let text = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n";

        assert_eq!(stanza(text), Some(source(None)));
        assert_eq!(stanza(&format!("{text}Enabled: no\n")), None);
        assert_eq!(stanza(&text.replace("deb\n", "deb-src\n")), None);
    }

    #[test]
    fn a_one_line_source_with_options_is_understood() {
        let line = "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main";

        assert_eq!(one_line(line), Some(source(Some("/k.gpg"))));
        assert_eq!(one_line("# deb http://mirror.example/debian bookworm main"), None);
    }
}
