//! `kandela-shop`.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "kandela-shop", version, about = "A shop of six small services, to measure and to tune")]
struct Arguments {
    #[command(subcommand)]
    command: kandela_shop::Command,
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    match std::env::current_exe() {
        Ok(program) => kandela_shop::main(command, vec![program.into()]),
        Err(error) => {
            eprintln!("kandela-shop: finding this program: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
