//! Every SQL statement of the program, as its source has it: what is added tomorrow is found here by itself.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::LitStr;

/// A statement and the file that has it.
pub(crate) struct Statement {
    pub(crate) place: String,
    pub(crate) sql: String,
}

/// How a statement begins.
const BEGINNINGS: [&str; 6] = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "WITH ", "CALL "];

/// Folders of programs that are not the service.
const ELSEWHERE: [&str; 5] = ["tests", "benches", "examples", "sandbox", "private_postgres"];

/// All of them.
pub(crate) fn all() -> Vec<Statement> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut files = Vec::new();
    for folder in ["src", "jobs"] {
        collect(&workspace.join(folder), &mut files);
    }
    files.sort();
    let mut statements = Vec::new();
    for file in files {
        let place = file.strip_prefix(workspace).unwrap().display().to_string();
        let source: TokenStream = fs::read_to_string(&file).unwrap().parse().unwrap();
        for sql in texts(source).into_iter().filter(|text| is_statement(text)) {
            statements.push(Statement { place: place.clone(), sql });
        }
    }
    statements
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !ELSEWHERE.contains(&name.as_ref()) {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}

fn is_statement(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| text.trim_start().starts_with(beginning))
}

/// Every text of a source that is no test's.
fn texts(source: TokenStream) -> Vec<String> {
    let (mut texts, mut is_test) = (Vec::new(), false);
    for token in source {
        match token {
            TokenTree::Literal(literal) => {
                texts.extend(syn::parse_str::<LitStr>(&literal.to_string()).ok().map(|text| text.value()));
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                let attribute = group.stream().to_string().replace(' ', "");
                is_test |= attribute == "cfg(test)";
                // A doc comment is an attribute too.
                if !attribute.starts_with("doc=") {
                    texts.extend(self::texts(group.stream()));
                }
            }
            // What is only there for tests ends with the first braces behind the attribute.
            TokenTree::Group(group) if is_test && group.delimiter() == Delimiter::Brace => is_test = false,
            TokenTree::Group(group) => texts.extend(self::texts(group.stream())),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
    texts
}

#[test]
fn a_statement_is_found_wherever_it_stands_and_however_it_is_written() {
    let source = r##"
        /// SELECT of the documentation
        const ONE: &str = "SELECT 1";
        fn two() { query(r#"UPDATE "t" SET a = 1"#); if x { ["DELETE FROM t \
            WHERE a = 'x'"]; } }
        #[cfg(test)]
        mod tests { const NONE: &str = "SELECT of a test"; }
        const THREE: &str = "WITH a AS (SELECT) SELECT"; // "SELECT of a comment"
    "##;

    let found: Vec<String> =
        texts(source.parse().unwrap()).into_iter().filter(|text| is_statement(text)).collect();

    let wanted =
        ["SELECT 1", "UPDATE \"t\" SET a = 1", "DELETE FROM t WHERE a = 'x'", "WITH a AS (SELECT) SELECT"];
    assert_eq!(found, wanted);
}
