//! How much code the hypervisor is: lines that are neither empty nor a comment, in all its sources but tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

/// The promise of SPECIFICATION.md 9.10.
const MOST: usize = 10_000;

/// Code lines of a source: up to its modules of tests, which are its end.
fn code_lines(source: &str) -> usize {
    let (code, _tests) = source.split_at(source.find("\n#[cfg(test)]").unwrap_or(source.len()));
    let lines = code.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let lines = entries.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        match name {
            "tests" | "tests.rs" | "testing.rs" => 0,
            _ if path.is_dir() => count(&path),
            _ if name.ends_with(".rs") => code_lines(&fs::read_to_string(&path).unwrap()),
            _ => 0,
        }
    });
    lines.sum()
}

#[test]
fn comments_empty_lines_and_tests_are_no_code() {
    let source = "//! Doc.\n\nuse a;\n/// Doc.\nfn f() {} // code\n\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n";
    assert_eq!(code_lines(source), 2);
}

#[test]
fn the_hypervisor_has_at_most_ten_thousand_code_lines() {
    let lines = count(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));

    println!("{lines} code lines");
    assert!((8000..=MOST).contains(&lines), "{lines} code lines, at most {MOST}");
}
