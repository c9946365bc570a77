//! Paths in the dependency graph, as `cargo metadata` reports them with all features of all packages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

use super::workspace;

/// What has sockets, an executor, files or the system's randomness in it: none of it belongs under the wire crate.
const NOT_UNDER_PROTO: &[&str] = &[
    "aws-lc-rs",
    "axum",
    "hpke",
    "hyper",
    "mio",
    "reqwest",
    "rustix",
    "rustls",
    "socket2",
    "tempfile",
    "tokio",
    "tracing",
];

struct Graph {
    metadata: Metadata,
    edges: BTreeMap<PackageId, Vec<PackageId>>,
}

impl Graph {
    /// Normal and build dependencies; what only tests use does not ship.
    fn load() -> Self {
        let manifest = workspace().join("Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(manifest)
            .features(cargo_metadata::CargoOpt::AllFeatures)
            .exec()
            .expect("cargo metadata");
        let resolve = metadata.resolve.clone().expect("a resolved graph");
        let edges = resolve.nodes.into_iter().map(|node| {
            let ships = |dep: &cargo_metadata::NodeDep| {
                dep.dep_kinds
                    .iter()
                    .any(|kind| kind.kind != DependencyKind::Development)
            };
            (
                node.id,
                node.deps.into_iter().filter(ships).map(|dep| dep.pkg).collect(),
            )
        });
        Self {
            edges: edges.collect(),
            metadata,
        }
    }

    fn name(&self, id: &PackageId) -> String {
        self.metadata[id].name.to_string()
    }

    /// Shortest path from a package to one of those that `forbidden` names.
    fn path(&self, from: &str, forbidden: impl Fn(&cargo_metadata::Package) -> bool) -> Option<Vec<String>> {
        let package = self
            .metadata
            .workspace_packages()
            .into_iter()
            .find(|package| package.name.as_str() == from);
        let start = package.unwrap_or_else(|| panic!("no package {from}")).id.clone();
        let mut seen = BTreeSet::from([start.clone()]);
        let mut queue = VecDeque::from([vec![start]]);
        while let Some(path) = queue.pop_front() {
            let last = path.last().expect("a path has an end").clone();
            if path.len() > 1 && forbidden(&self.metadata[&last]) {
                return Some(path.iter().map(|id| self.name(id)).collect());
            }
            for next in self.edges.get(&last).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    queue.push_back([path.clone(), vec![next.clone()]].concat());
                }
            }
        }
        None
    }
}

fn lies_under_client(package: &cargo_metadata::Package) -> bool {
    package
        .manifest_path
        .starts_with(workspace().join("client").to_str().expect("a path in UTF-8"))
}

#[test]
fn no_path_leads_from_the_gateway_to_what_may_see_plaintext() {
    assert_eq!(Graph::load().path("sealpost-gateway", lies_under_client), None);
}

#[test]
fn nothing_with_sockets_files_or_an_executor_is_under_the_wire_crate() {
    let graph = Graph::load();
    assert_eq!(
        graph.path("sealpost-proto", |package| NOT_UNDER_PROTO
            .contains(&package.name.as_str())),
        None
    );
    assert_eq!(
        graph.path("sealpost-proto", |package| package.name.starts_with("sealpost-")),
        None
    );
}

#[test]
fn the_search_finds_the_paths_that_are_there() {
    let graph = Graph::load();
    let to_sealed = graph.path("sealpost-client", |package| package.name.as_str() == "sealpost-sealed");
    assert_eq!(
        to_sealed,
        Some(vec!["sealpost-client".to_owned(), "sealpost-sealed".to_owned()])
    );
    assert!(
        graph.path("sealpost-sealed", lies_under_client).is_none(),
        "sealed leans on no other client package"
    );
    assert!(
        graph
            .path("sealpost-gateway", |package| package.name.as_str() == "mio")
            .is_some(),
        "through tokio"
    );
}

#[test]
fn nothing_that_ships_has_failpoints() {
    let manifest = workspace().join("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .exec()
        .expect("cargo metadata");
    let mut switched_on_for_tests = 0;
    for package in metadata.workspace_packages() {
        for (feature, switches) in &package.features {
            let by_another = feature != "failpoints" && switches.iter().any(|on| on.contains("failpoints"));
            assert!(!by_another, "{}: `{feature}` switches failpoints on", package.name);
        }
        for dependency in &package.dependencies {
            if !dependency.features.iter().any(|feature| feature == "failpoints") {
                continue;
            }
            assert_eq!(dependency.kind, DependencyKind::Development, "{}", package.name);
            switched_on_for_tests += 1;
        }
    }
    assert!(switched_on_for_tests > 0, "the tests have them");
}
