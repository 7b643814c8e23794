//! The Carillon audio daemon.

fn main() -> std::process::ExitCode {
    // The processes that `audiod run` becomes, before anything is read that is for people.
    audiod::process::dispatch().unwrap_or_else(audiod::cli::main)
}
