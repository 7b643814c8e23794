//! `audiod schema`: the JSON schema of the file, from the readers themselves (see `Document::schema`) at work on a sample that has
//! every key. The sample is the reference for people, too.

use std::path::Path;

use policy::file::Document;
use policy::report::Report;

/// `docs/every-key.toml`.
pub const SAMPLE: &str = include_str!("../../../docs/every-key.toml");
/// The schema's title.
const TITLE: &str = "A system of Carillon's audiod";

/// The schema, and what was found in the sample.
pub fn schema() -> (serde_json::Value, Report) {
    let document = Document::watched(SAMPLE);
    super::read_all(&document, &super::context(Path::new("every-key.toml"), false));
    (document.schema(TITLE), document.finish("every-key.toml"))
}
