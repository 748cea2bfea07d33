use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What comes before the name of something that a module defines.
const DEFINES: [&str; 9] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules"];

/// What is said in one module, without its tests.
#[derive(Default)]
pub(super) struct Said {
    pub(super) modules: Vec<Declared>,
    pub(super) imports: Vec<Use>,
    /// What `use …::*` stands for.
    pub(super) globs: Vec<Vec<String>>,
    /// Paths of several names, wherever they stand.
    pub(super) paths: BTreeSet<Vec<String>>,
    /// The names of what is defined.
    pub(super) items: BTreeSet<String>,
}

pub(super) struct Declared {
    pub(super) name: String,
    /// What `#[path]` says.
    pub(super) file: Option<String>,
    /// Where it is written in place.
    pub(super) body: Option<TokenStream>,
}

pub(super) struct Use {
    pub(super) path: Vec<String>,
    /// What it is called here.
    pub(super) name: String,
}

impl Said {
    pub(super) fn in_module(tokens: TokenStream) -> Self {
        let mut said = Self::default();
        said.read(tokens);
        said
    }

    fn read(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut file = None;
        let mut at = 0;
        while at < trees.len() {
            if let Some((attribute, length)) = attribute(&trees[at..]) {
                at += length;
                if attribute == "cfg(test)" {
                    at += item_length(&trees[at..]);
                } else if let Some(path) = attribute.strip_prefix("path=") {
                    file = Some(path.trim_matches('"').to_owned());
                }
                continue;
            }
            at += match &trees[at] {
                TokenTree::Group(group) => {
                    self.read(group.stream());
                    1
                }
                TokenTree::Ident(word) if word == "mod" => self.read_module(&trees[at..], file.take()),
                TokenTree::Ident(word) if word == "use" => self.read_use(&trees[at..]),
                TokenTree::Ident(_) if !follows_a_path_or_dot(&trees[..at]) => self.read_path(&trees[at..]),
                _ => 1,
            };
        }
    }

    /// From the word `mod` on.
    fn read_module(&mut self, trees: &[TokenTree], file: Option<String>) -> usize {
        let Some(TokenTree::Ident(name)) = trees.get(1) else { return 1 };
        let body = match trees.get(2) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
            _ => None,
        };
        self.modules.push(Declared { name: name.to_string(), file, body });
        3
    }

    /// From the word `use` on.
    fn read_use(&mut self, trees: &[TokenTree]) -> usize {
        let length = trees.iter().position(|tree| is_punct(tree, ';')).unwrap_or(trees.len());
        self.read_use_tree(&[], &trees[1..length]);
        length
    }

    fn read_use_tree(&mut self, before: &[String], trees: &[TokenTree]) {
        for trees in trees.split(|tree| is_punct(tree, ',')) {
            let mut path = before.to_vec();
            let mut name = None;
            let mut trees = trees.iter();
            while let Some(tree) = trees.next() {
                match tree {
                    TokenTree::Ident(word) if word == "as" => name = trees.next().map(ToString::to_string),
                    TokenTree::Ident(word) => path.push(word.to_string()),
                    TokenTree::Punct(punct) if punct.as_char() == '*' => self.globs.push(std::mem::take(&mut path)),
                    TokenTree::Group(group) => {
                        let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                        self.read_use_tree(&std::mem::take(&mut path), &inner);
                    }
                    _ => {}
                }
            }
            if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            if let Some(last) = path.last().cloned() {
                self.imports.push(Use { path, name: name.unwrap_or(last) });
            }
        }
    }

    /// From a name on, which may be the first of a path.
    fn read_path(&mut self, trees: &[TokenTree]) -> usize {
        let word = trees[0].to_string();
        if DEFINES.contains(&word.as_str()) {
            self.items.extend(trees[1..].iter().find(|tree| !is_punct(tree, '!')).map(ToString::to_string));
            return 1;
        }
        let mut path = vec![word];
        let mut length = 1;
        while let [TokenTree::Punct(one), TokenTree::Punct(other), TokenTree::Ident(next), ..] = &trees[length..] {
            if (one.as_char(), other.as_char()) != (':', ':') {
                break;
            }
            path.push(next.to_string());
            length += 3;
        }
        if path.len() > 1 {
            self.paths.insert(path);
        }
        length
    }
}

/// What an attribute that stands here says, without spaces, and the trees that it takes.
fn attribute(trees: &[TokenTree]) -> Option<(String, usize)> {
    let [first, rest @ ..] = trees else { return None };
    let bang = usize::from(rest.first().is_some_and(|tree| is_punct(tree, '!')));
    match rest.get(bang) {
        Some(TokenTree::Group(group)) if is_punct(first, '#') && group.delimiter() == Delimiter::Bracket => {
            Some((group.stream().to_string().replace(' ', ""), bang + 2))
        }
        _ => None,
    }
}

/// The trees of the item, field or arm that stands here, with its attributes.
fn item_length(trees: &[TokenTree]) -> usize {
    let is_end = |tree: &TokenTree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        tree => is_punct(tree, ';') || is_punct(tree, ','),
    };
    trees.iter().position(is_end).map_or(trees.len(), |end| end + 1)
}

/// Whether the name that comes next goes on with a path, or is a field or a method; after `..` it is neither.
fn follows_a_path_or_dot(before: &[TokenTree]) -> bool {
    match before {
        [.., one, other] if is_punct(one, '.') && is_punct(other, '.') => false,
        [.., one, other] if is_punct(one, ':') && is_punct(other, ':') => true,
        [.., last] => is_punct(last, '.'),
        [] => false,
    }
}

fn is_punct(tree: &TokenTree, character: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == character)
}
