//! `make openapi`: prints the API's description, or with `--errors` the table of its errors.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--errors") {
        print!("{}", local::errors_page());
        return ExitCode::SUCCESS;
    }
    match local::openapi().to_pretty_json() {
        Ok(document) => println!("{document}"),
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
