//! The `chandlery` binary.

fn main() -> std::process::ExitCode {
    chandlery::cli::main()
}
