//! The one build tool: what `cargo` alone does not do for this workspace. `cargo xtask help` lists it.

mod demos;
mod dist;
mod peers;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks, packs and measures the workspace")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the house rules that no compiler knows
    Tidy,
    /// Build a release archive and an OCI image layout under target/dist
    Dist,
    /// Run `kandela demo` with one seed after another, and say how often the loop closes
    Demos(demos::Demos),
    /// Measure Kandela beside other systems
    #[command(subcommand)]
    Peers(peers::Command),
}

/// Exits with 0 when done, 1 when a check failed, 2 when it could not be carried out.
fn main() -> ExitCode {
    let root = workspace_root();
    let outcome = match Arguments::parse().command {
        Command::Tidy => tidy(&root),
        Command::Dist => dist::run(&root).map(|()| ExitCode::SUCCESS),
        Command::Demos(demos) => demos::run(&demos).map(|()| ExitCode::SUCCESS),
        Command::Peers(command) => peers::run(&root, &command).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn tidy(root: &Path) -> anyhow::Result<ExitCode> {
    let tree = tidy::Tree::read(root)?;
    let violations = tidy::check(&tree);
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!("tidy: {} files, nothing to mend", tree.files().count());
        Ok(ExitCode::SUCCESS)
    } else {
        eprintln!("tidy: {} to mend", violations.len());
        Ok(ExitCode::FAILURE)
    }
}

/// The folder of the workspace that this tool was built from.
fn workspace_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        super::Arguments::command().debug_assert();
    }
}
