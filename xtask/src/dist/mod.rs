//! What users download: an archive of the binary, and an OCI image layout.
//!
//! The binary links the C library statically, so that the archive runs on any Linux of its architecture, whatever its
//! libc, and the image needs no base. The same binary, licence and readme give the same bytes, on any machine, at any
//! time.

mod archive;
mod oci;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use archive::Entry;

/// Builds the release under `target/dist` and prints where it is.
///
/// # Errors
/// When the build fails, when the host is no Linux with GNU libc, or when a file cannot be read or written.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let triple = host_triple()?;
    let architecture = oci::architecture(&triple)?;
    let version = workspace_version(root)?;
    let binary = fs::read(build(root, &triple)?).context("the built binary does not read")?;

    let folder = root.join("target/dist");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let name = format!("kandela-{version}-{triple}");

    let archive = folder.join(format!("{name}.tar.gz"));
    let entries = [
        Entry::directory(&name, 0o755),
        Entry::file(format!("{name}/LICENSE"), 0o644, read(root, "LICENSE")?),
        Entry::file(format!("{name}/README.md"), 0o644, read(root, "README.md")?),
        Entry::file(format!("{name}/kandela"), 0o755, binary.clone()),
    ];
    fs::write(&archive, archive::gzip(&archive::tar(&entries)?)?)
        .with_context(|| format!("{} cannot be written", archive.display()))?;

    let image = folder.join(format!("{name}-oci"));
    oci::write(&image, &oci::Image { version: &version, architecture, binary })?;
    oci::verify(&image).context("the image layout just written is not sound")?;

    for path in [archive, image] {
        println!("{}", path.strip_prefix(root).unwrap_or(&path).display());
    }
    Ok(())
}

/// Builds `kandela` with profile `dist`, stripped and static; gives its path.
fn build(root: &Path, triple: &str) -> anyhow::Result<PathBuf> {
    let given = std::env::var("RUSTFLAGS").unwrap_or_default();
    // With --target the flags reach neither build scripts nor procedural macros, which must stay dynamic.
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--locked", "--profile", "dist", "--package", "kandela-cli", "--bin", "kandela"])
        .args(["--target", triple])
        .env("RUSTFLAGS", format!("{given} -C target-feature=+crt-static"))
        .current_dir(root)
        .status()
        .context("cargo did not start")?;
    if !status.success() {
        bail!("the release build of kandela failed ({status}): see cargo's messages above");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join(triple).join("dist/kandela"))
}

fn host_triple() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc did not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

fn workspace_version(root: &Path) -> anyhow::Result<String> {
    let manifest: toml::Table = String::from_utf8(read(root, "Cargo.toml")?)?.parse()?;
    let version = manifest
        .get("workspace")
        .and_then(|value| value.get("package"))
        .and_then(|value| value.get("version"));
    version
        .and_then(toml::Value::as_str)
        .map(str::to_owned)
        .context("Cargo.toml has no workspace.package.version")
}

fn read(root: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    fs::read(root.join(name)).with_context(|| format!("{name} does not read, and belongs into the release"))
}
