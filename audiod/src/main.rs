//! The Carillon audio daemon.

fn main() -> std::process::ExitCode {
    audiod::cli::main()
}
