//! Reads Rust sources and lists every path they name, as absolute paths of their crate.
//!
//! `use` trees, types, expressions, patterns and the insides of macros are read; what is compiled for tests alone is not.

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// A path that a source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) file: PathBuf,
    pub(super) line: usize,
    /// Segments; the first is `crate` for the crate's own modules.
    pub(super) segments: Vec<String>,
}

impl Named {
    pub(super) fn text(&self) -> String {
        self.segments.join("::")
    }
}

/// Reads every source below `folder` (a crate's `src`).
pub(super) fn of_crate(folder: &Path) -> Vec<Named> {
    let sources = super::files_below(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"));
    sources
        .flat_map(|path| {
            let text = std::fs::read_to_string(&path).expect("a source in UTF-8");
            let within = path.strip_prefix(folder).expect("below the folder").to_path_buf();
            of_source(&within, &text)
        })
        .collect()
}

/// Reads one source. `file` is its path below `src`; `tests.rs` and what lies in a folder `tests` is not read.
pub(super) fn of_source(file: &Path, text: &str) -> Vec<Named> {
    if file.with_extension("").iter().any(|part| part == "tests") {
        return Vec::new();
    }
    let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut reader = Reader {
        file: file.to_path_buf(),
        module: module_of(file),
        named: Vec::new(),
    };
    reader.visit_file(&parsed);
    reader.named
}

/// The module that a file is: `store/fs/mod.rs` is `store::fs`, `main.rs` and `lib.rs` the root.
fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> = file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let last = module.pop().unwrap_or_default();
    let stem = last.trim_end_matches(".rs");
    if !["mod", "lib", "main"].contains(&stem) {
        module.push(stem.to_owned());
    }
    module
}

struct Reader {
    file: PathBuf,
    module: Vec<String>,
    named: Vec<Named>,
}

impl Reader {
    fn note(&mut self, segments: &[String], line: usize) {
        let mut module = self.module.clone();
        let mut rest = segments;
        let mut own = false;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" => module.clear(),
                "self" => {}
                "super" => drop(module.pop()),
                _ => break,
            }
            own = true;
            rest = &rest[1..];
        }
        let mut absolute = if own {
            [vec!["crate".to_owned()], module].concat()
        } else {
            Vec::new()
        };
        absolute.extend_from_slice(rest);
        self.named.push(Named {
            file: self.file.clone(),
            line,
            segments: absolute,
        });
    }

    fn note_tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let line = tree.span().start().line;
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.note_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) if name.ident == "self" => self.note(before, line),
            syn::UseTree::Name(name) => self.note(&with(&name.ident), line),
            syn::UseTree::Rename(rename) => self.note(&with(&rename.ident), line),
            syn::UseTree::Glob(_) => self.note(before, line),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.note_tree(item, before)),
        }
    }

    /// Paths of two segments and more among the tokens of a macro.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut line) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_of_path(&mut path, line);
                    }
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.end_of_path(&mut path, line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.note_tokens(group.stream());
                    }
                }
            }
        }
        self.end_of_path(&mut path, line);
    }

    fn end_of_path(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.note(&path, line);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !only_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.note(&segments, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.note_tokens(mac.tokens.clone());
        visit::visit_macro(self, mac);
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]` and `#[cfg(any(test, ...))]`.
fn only_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string().replace(' ', "");
        list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("any(test,"))
    })
}
