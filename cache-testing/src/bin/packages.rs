//! What `scripts/test.sh` must know of the workspace, read from `cargo metadata` so that no list there grows old.
//!
//! - `packages features`: one line for each way to build a published package with at most one feature:
//!   `<package>` without any, then `<package> <feature>` for each.
//! - `packages examples`: the names of the examples.
//! - `packages included`: checks that every file that a published package includes in its code is packaged with it.
//! - `packages rust-versions`: checks that no dependency of a published package needs a newer Rust than we promise.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::process::{Command, ExitCode};

use cargo_metadata::semver::Version;
use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let metadata = MetadataCommand::new().features(CargoOpt::AllFeatures).exec()?;
    match std::env::args().nth(1).as_deref() {
        Some("features") => features(&metadata),
        Some("examples") => examples(&metadata),
        Some("included") => return included(&metadata),
        Some("rust-versions") => return rust_versions(&metadata),
        other => {
            return Err(format!("unknown command {other:?}; use features, examples, included or rust-versions").into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn published(metadata: &Metadata) -> Vec<&Package> {
    let kept_private = |package: &Package| package.publish.as_ref().is_some_and(Vec::is_empty);
    metadata.workspace_packages().into_iter().filter(|package| !kept_private(package)).collect()
}

fn features(metadata: &Metadata) {
    for package in published(metadata) {
        println!("{}", package.name);
        for feature in package.features.keys().filter(|feature| *feature != "default") {
            println!("{} {feature}", package.name);
        }
    }
}

fn examples(metadata: &Metadata) {
    let targets = metadata.workspace_packages().into_iter().flat_map(|package| &package.targets);
    for target in targets.filter(|target| target.is_example()) {
        println!("{}", target.name);
    }
}

fn rust_versions(metadata: &Metadata) -> Result<ExitCode, Box<dyn Error>> {
    let published = published(metadata);
    let promised = published.iter().map(|package| package.rust_version.as_ref().ok_or_else(|| unstated(package)));
    let promised = promised.collect::<Result<Vec<&Version>, _>>()?.into_iter().min().ok_or("nothing is published")?;
    let dependencies = dependencies(metadata, &published)?;
    let needs = |id: &PackageId| metadata[id].rust_version.as_ref();
    let newer: Vec<_> = dependencies.iter().filter(|id| needs(id).is_some_and(|needed| needed > promised)).collect();
    for id in &newer {
        let Package { name, version, rust_version, .. } = &metadata[*id];
        println!("{name} {version} needs Rust {}", rust_version.as_ref().ok_or("it was just compared")?);
    }
    let stated = dependencies.iter().filter(|id| needs(id).is_some()).count();
    println!(
        "Rust {promised} is promised; of {} dependencies {stated} state what they need, {} need more",
        dependencies.len(),
        newer.len()
    );
    Ok(if newer.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn unstated(package: &Package) -> String {
    format!("{} states no rust-version; add `rust-version.workspace = true`", package.name)
}

/// Everything that a user of a published package compiles, on any platform and with any feature.
fn dependencies<'a>(
    metadata: &'a Metadata,
    published: &[&'a Package],
) -> Result<BTreeSet<&'a PackageId>, Box<dyn Error>> {
    let resolve = metadata.resolve.as_ref().ok_or("cargo metadata resolved no dependencies")?;
    let nodes: HashMap<&PackageId, &Node> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut found = BTreeSet::new();
    let mut open: Vec<&PackageId> = published.iter().map(|package| &package.id).collect();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let compiled = |kind| matches!(kind, DependencyKind::Normal | DependencyKind::Build);
            let edges = nodes.get(id).into_iter().flat_map(|node| &node.deps);
            open.extend(edges.filter(|edge| edge.dep_kinds.iter().any(|k| compiled(k.kind))).map(|edge| &edge.pkg));
        }
    }
    published.iter().for_each(|package| {
        found.remove(&package.id);
    });
    Ok(found)
}

/// What is included for documentation tests alone is missed by nobody who builds the package.
fn included(metadata: &Metadata) -> Result<ExitCode, Box<dyn Error>> {
    let mut missing = false;
    for package in published(metadata) {
        let root = package.manifest_path.parent().ok_or("a manifest lies in a directory")?.canonicalize()?;
        let output = Command::new(env!("CARGO"))
            .args(["package", "--list", "--allow-dirty", "--package", package.name.as_str()])
            .current_dir(&root)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let packaged: BTreeSet<_> = String::from_utf8(output.stdout)?.lines().map(|file| root.join(file)).collect();
        for source in packaged.iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs")) {
            let code = std::fs::read_to_string(source)?;
            for part in code.split("include_str!(\"").skip(1) {
                let Some((name, _)) = part.split_once('"') else { continue };
                let file = source.with_file_name(name).canonicalize()?;
                if !packaged.contains(&file) {
                    missing = true;
                    println!("{} includes {}, which is not packaged", source.display(), file.display());
                }
            }
        }
    }
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
