//! The product's own `main`: Cargo tells the tests of a package only about the
//! binaries of that package.

fn main() -> std::process::ExitCode {
    chandlery::cli::main()
}
