//! An OCI image layout (image-spec 1.1): a folder that `skopeo`, `podman` and registries' clients take as an image.
//!
//! One layer holds the binary and the two folders that it writes to. There is no base image and no shell.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::archive::{self, Entry};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// What goes into an image.
pub(crate) struct Image<'a> {
    pub(crate) version: &'a str,
    /// In Go's naming, see [`architecture`].
    pub(crate) architecture: &'static str,
    pub(crate) binary: Vec<u8>,
}

/// A reference to a blob by what it holds.
#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// The image specification's name for the architecture of a Rust target.
///
/// # Errors
/// When the target is not Linux with GNU libc on an architecture that Kandela is released for.
pub(crate) fn architecture(triple: &str) -> anyhow::Result<&'static str> {
    match triple {
        "x86_64-unknown-linux-gnu" => Ok("amd64"),
        "aarch64-unknown-linux-gnu" => Ok("arm64"),
        other => bail!("no release is made for {other}: run dist on x86_64 or aarch64 Linux with GNU libc"),
    }
}

/// Writes the layout, replacing one that is there.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(folder: &Path, image: &Image<'_>) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be replaced", folder.display()))?;
    }
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("{} cannot be made", blobs.display()))?;

    let layer = archive::tar(&[
        Entry::directory("data", 0o755),
        Entry::directory("tmp", 0o1777),
        Entry::directory("usr", 0o755),
        Entry::directory("usr/bin", 0o755),
        Entry::file("usr/bin/kandela", 0o755, image.binary.clone()),
    ])?;
    let diff_id = digest(&layer);
    let layer = blob(&blobs, LAYER, &archive::gzip(&layer)?)?;
    let config = blob(&blobs, CONFIG, &serde_json::to_vec(&config(image, &diff_id))?)?;
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let mut manifest = blob(&blobs, MANIFEST, &serde_json::to_vec(&manifest)?)?;
    manifest["platform"] = json!({ "architecture": image.architecture, "os": "linux" });
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": image.version });

    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    fs::write(folder.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(folder.join("oci-layout"), serde_json::to_vec(&json!({ "imageLayoutVersion": "1.0.0" }))?)?;
    Ok(())
}

fn config(image: &Image<'_>, diff_id: &str) -> Value {
    json!({
        "created": EPOCH,
        "architecture": image.architecture,
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/kandela"],
            "Cmd": ["up"],
            "ExposedPorts": { "7676/tcp": {}, "4317/tcp": {}, "4318/tcp": {} },
            "Volumes": { "/data": {} },
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "kandela",
                "org.opencontainers.image.version": image.version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": EPOCH, "created_by": "cargo xtask dist" }],
    })
}

/// Stores `content` under its digest; gives its descriptor.
fn blob(blobs: &Path, media_type: &str, content: &[u8]) -> anyhow::Result<Value> {
    let digest = digest(content);
    let path = blobs.join(digest.trim_start_matches("sha256:"));
    fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(json!({ "mediaType": media_type, "digest": digest, "size": content.len() }))
}

fn digest(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Walks the layout from its index to its layers and compares every digest and size with what is there.
///
/// # Errors
/// Names the first blob that is missing, of another size, or of other content than its descriptor says; and a layer
/// whose unpacked content the config does not name.
pub(crate) fn verify(folder: &Path) -> anyhow::Result<()> {
    let layout: Value = read_json(&folder.join("oci-layout"))?;
    ensure!(layout["imageLayoutVersion"] == "1.0.0", "oci-layout is not of version 1.0.0: {layout}");
    let index: Index = read_json(&folder.join("index.json"))?;
    ensure!(!index.manifests.is_empty(), "index.json names no manifest");
    for manifest in &index.manifests {
        let manifest: Manifest = serde_json::from_slice(&checked(folder, manifest)?)?;
        let config: Config = serde_json::from_slice(&checked(folder, &manifest.config)?)?;
        let mut unpacked = Vec::new();
        for layer in &manifest.layers {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(checked(folder, layer)?.as_slice()).read_to_end(&mut plain)?;
            unpacked.push(digest(&plain));
        }
        ensure!(
            unpacked == config.rootfs.diff_ids,
            "the layers unpack to {unpacked:?}, and the config says {:?}",
            config.rootfs.diff_ids
        );
    }
    Ok(())
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = fs::read(path).with_context(|| format!("{} does not read", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not what the image layout asks for", path.display()))
}

/// The content of a blob, found to be what its descriptor says.
fn checked(folder: &Path, descriptor: &Descriptor) -> anyhow::Result<Vec<u8>> {
    let name = descriptor.digest.strip_prefix("sha256:").context("a digest that is not SHA-256")?;
    let path = folder.join("blobs/sha256").join(name);
    let content = fs::read(&path).with_context(|| format!("blob {name} does not read"))?;
    let size = content.len() as u64;
    ensure!(
        size == descriptor.size,
        "blob {name} has {size} bytes, and its descriptor says {}",
        descriptor.size
    );
    let found = digest(&content);
    ensure!(found == descriptor.digest, "blob {name} holds {found}");
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn written() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("folder");
        let layout = folder.path().join("image");
        let image = Image { version: "1.2.3", architecture: "amd64", binary: b"#!/bin/false\n".repeat(100) };
        write(&layout, &image).expect("written");
        (folder, layout)
    }

    fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let blobs = fs::read_dir(folder.join("blobs/sha256"))
            .expect("blobs")
            .map(|entry| entry.expect("entry").path());
        let files = ["index.json", "oci-layout"].map(|name| folder.join(name));
        let named = |path: PathBuf| {
            (path.file_name().expect("name").display().to_string(), fs::read(&path).expect("file"))
        };
        blobs.chain(files).map(named).collect()
    }

    #[test]
    fn every_digest_and_size_of_a_written_layout_holds() {
        let (_keep, layout) = written();
        verify(&layout).expect("sound");
    }

    #[test]
    fn two_writes_of_one_binary_give_the_same_bytes() {
        let ((_keep, one), (_keep_too, other)) = (written(), written());
        assert_eq!(content(&one), content(&other));
        assert_eq!(content(&one).len(), 5, "index, layout, manifest, config, layer");
    }

    #[test]
    fn a_layout_is_replaced_as_a_whole() {
        let (_keep, layout) = written();
        let stray = layout.join("blobs/sha256/stray");
        fs::write(&stray, "x").expect("stray");
        write(&layout, &Image { version: "2", architecture: "arm64", binary: vec![1] }).expect("written");
        assert!(!stray.exists());
        verify(&layout).expect("sound");
    }

    #[test]
    fn a_blob_that_was_changed_cut_or_lost_is_named() {
        let (_keep, layout) = written();
        let blobs: Vec<PathBuf> = fs::read_dir(layout.join("blobs/sha256"))
            .expect("blobs")
            .map(|entry| entry.expect("entry").path())
            .collect();
        for path in blobs {
            let name = path.file_name().expect("name").display().to_string();
            let sound = fs::read(&path).expect("blob");
            let mut flipped = sound.clone();
            flipped[sound.len() / 2] ^= 1;
            for broken in [Some(flipped.as_slice()), Some(&sound[1..]), None] {
                match broken {
                    Some(bytes) => fs::write(&path, bytes).expect("broken"),
                    None => fs::remove_file(&path).expect("removed"),
                }
                let error = verify(&layout).expect_err("broken").to_string();
                assert!(error.contains(&name), "{error}");
            }
            fs::write(&path, sound).expect("restored");
        }
        verify(&layout).expect("sound again");
    }

    #[test]
    fn the_image_starts_kandela_up_and_names_its_ports_and_its_volume() {
        let (_keep, layout) = written();
        let index: Index = read_json(&layout.join("index.json")).expect("index");
        let manifest: Manifest =
            serde_json::from_slice(&checked(&layout, &index.manifests[0]).expect("manifest"))
                .expect("manifest");
        let config: Value =
            serde_json::from_slice(&checked(&layout, &manifest.config).expect("config")).expect("config");
        assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/kandela"]));
        assert_eq!(config["config"]["Cmd"], json!(["up"]));
        let ports = config["config"]["ExposedPorts"].as_object().expect("ports");
        assert_eq!(
            ports.keys().map(String::as_str).collect::<Vec<_>>(),
            ["4317/tcp", "4318/tcp", "7676/tcp"]
        );
        assert_eq!(config["config"]["Volumes"], json!({ "/data": {} }));

        let layer = checked(&layout, &manifest.layers[0]).expect("layer");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(layer.as_slice()));
        let paths: Vec<String> = archive
            .entries()
            .expect("entries")
            .map(|entry| entry.expect("entry").path().expect("path").display().to_string())
            .collect();
        assert_eq!(paths, ["data/", "tmp/", "usr/", "usr/bin/", "usr/bin/kandela"]);
    }
}
