//! A text in SQL that is compared with a column of states, reasons or outcomes is one that the column may hold: the database itself would take a misspelt one
//! for a state in which nothing is.

use std::collections::{BTreeMap, BTreeSet};

use crate::Tables;
use crate::plans::statements;
use crate::text_enums::{self, Texts};

const FUNCTIONS: &str = include_str!("../../../migrations/functions.sql");

#[tokio::test]
async fn every_text_that_is_compared_with_a_column_is_one_that_it_may_hold() {
    let tables = Tables::new().await;
    let allowed = text_enums::allowed(&mut tables.pg.acquire().await.unwrap()).await;

    let mut comparisons = Vec::new();
    for statement in statements::all() {
        comparisons.extend(find(&statement.place, &statement.sql, &allowed));
    }
    for function in FUNCTIONS.split("CREATE OR REPLACE FUNCTION ") {
        let name = function.split('(').next().unwrap();
        comparisons.extend(find(name, function, &allowed));
    }

    let wrong: Vec<&Comparison> = comparisons.iter().filter(|one| !one.may_hold).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(comparisons.len() > 120, "only {} were found", comparisons.len());
}

#[test]
fn a_text_is_looked_up_in_the_column_of_its_table() {
    let column = |name: &str, texts: &[&str]| {
        (name.to_owned(), texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>())
    };
    let allowed = Texts::from([column("a.state", &["open", "shut"]), column("b.state", &["on", "off"])]);
    let cases: [(&str, &[(&str, bool)]); 9] = [
        ("SELECT 1 FROM a WHERE state = 'open'", &[("open", true)]),
        ("SELECT 1 FROM a WHERE state <> 'opn'", &[("opn", false)]),
        ("SELECT 1 FROM a WHERE state NOT IN ('open', 'off')", &[("open", true), ("off", false)]),
        (
            "SELECT 1 FROM a x JOIN b AS y ON TRUE WHERE x.state = 'on' AND y.state = 'on'",
            &[("on", false), ("on", true)],
        ),
        ("UPDATE b SET state = 'of' WHERE note = 'of'", &[("of", false)]),
        ("SELECT 1 FROM a, b WHERE state = 'off'", &[("off", true)]),
        ("IF NEW.state IS DISTINCT FROM 'it''s' THEN", &[("it's", false)]),
        ("SELECT 1 FROM c WHERE state = 'any'", &[]),
        ("SELECT 1 FROM a -- state = 'none'\n WHERE state::TEXT = 'shut'", &[("shut", true)]),
    ];

    for (sql, wanted) in cases {
        let found = find("here", sql, &allowed);
        let found: Vec<(&str, bool)> = found.iter().map(|one| (one.text.as_str(), one.may_hold)).collect();
        assert_eq!(found, wanted, "{sql}");
    }
}

/// A column that is compared with a text, or set to it.
#[derive(Debug)]
#[expect(dead_code, reason = "a failed test prints all of it")]
struct Comparison {
    place: String,
    column: String,
    text: String,
    may_hold: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A name with its dots, or a keyword.
    Word(String),
    Text(String),
    /// An operator or another sign.
    Sign(String),
}

/// Compared texts of columns that have an enum.
fn find(place: &str, sql: &str, allowed: &Texts) -> Vec<Comparison> {
    let tokens = tokens(sql);
    let tables = tables(&tokens, allowed);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(name) = token else { continue };
        let (owner, column) = name.rsplit_once('.').unwrap_or(("", name));
        let may_hold = texts_of(owner, column, &tables, allowed);
        if may_hold.is_empty() {
            continue;
        }
        for text in compared(&tokens[at + 1..]) {
            let may_hold = may_hold.contains(text);
            found.push(Comparison {
                place: place.to_owned(),
                column: name.clone(),
                text: text.to_owned(),
                may_hold,
            });
        }
    }
    found
}

/// What a column may hold: of the table that its owner names; otherwise of any table that the statement names; of a trigger's row, of any table at all.
fn texts_of<'a>(
    owner: &str,
    column: &str,
    tables: &BTreeMap<String, String>,
    allowed: &'a Texts,
) -> BTreeSet<&'a str> {
    let texts = |table: &str| allowed.get(&format!("{table}.{column}"));
    let of: Vec<&BTreeSet<String>> = if let Some(table) = tables.get(owner) {
        texts(table).into_iter().collect()
    } else if matches!(owner, "NEW" | "OLD") {
        allowed
            .iter()
            .filter(|(name, _)| name.rsplit_once('.').is_some_and(|of| of.1 == column))
            .map(|of| of.1)
            .collect()
    } else {
        tables.values().filter_map(|table| texts(table)).collect()
    };
    of.into_iter().flatten().map(String::as_str).collect()
}

/// The tables of a statement, by their names and aliases.
fn tables(tokens: &[Token], allowed: &Texts) -> BTreeMap<String, String> {
    let known: BTreeSet<&str> = allowed.keys().filter_map(|name| Some(name.rsplit_once('.')?.0)).collect();
    let mut tables = BTreeMap::new();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(table) = token else { continue };
        if !known.contains(table.as_str()) {
            continue;
        }
        tables.insert(table.clone(), table.clone());
        let mut behind = tokens[at + 1..].iter().filter(|token| **token != Token::Word("AS".to_owned()));
        if let Some(Token::Word(alias)) = behind.next()
            && alias.chars().all(|sign| sign.is_ascii_lowercase() || sign == '_')
        {
            tables.insert(alias.clone(), table.clone());
        }
    }
    tables
}

/// The texts that stand behind a column and an operator.
fn compared(behind: &[Token]) -> Vec<&str> {
    let words: Vec<&str> = behind
        .iter()
        .take(40)
        .map(|token| match token {
            Token::Word(word) | Token::Sign(word) => word.as_str(),
            Token::Text(_) => "''",
        })
        .collect();
    let words = if let ["::", _, ..] = words[..] { &words[2..] } else { &words[..] };
    let skipped = behind.len().min(40) - words.len();
    let (operator, is_list) = match words {
        ["=" | "<>", "''", ..] => (1, false),
        ["IS", "DISTINCT", "FROM", "''", ..] => (3, false),
        ["IS", "NOT", "DISTINCT", "FROM", "''", ..] => (4, false),
        ["IN", "(", "''", ..] => (2, true),
        ["NOT", "IN", "(", "''", ..] => (3, true),
        _ => return Vec::new(),
    };
    let texts = behind[skipped + operator..].iter().take_while(|token| match token {
        Token::Text(_) => true,
        Token::Sign(sign) => sign == ",",
        Token::Word(_) => false,
    });
    let texts =
        texts.filter_map(|token| if let Token::Text(text) = token { Some(text.as_str()) } else { None });
    texts.take(if is_list { usize::MAX } else { 1 }).collect()
}

/// The words, texts and signs of a statement, without its comments.
fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql.trim_start();
    while let Some(first) = rest.chars().next() {
        let end_of = |is_part: fn(char) -> bool| rest.find(|sign| !is_part(sign)).unwrap_or(rest.len());
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '\'' {
            let text = text(&rest[1..]);
            tokens.push(Token::Text(text.replace("''", "'")));
            text.len() + 2
        } else if first.is_alphanumeric() || first == '_' {
            let length = end_of(|sign| sign.is_alphanumeric() || matches!(sign, '_' | '.'));
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        } else {
            let length = end_of(|sign| matches!(sign, '=' | '<' | '>' | '!' | ':')).max(first.len_utf8());
            tokens.push(Token::Sign(rest[..length].to_owned()));
            length
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    tokens
}

/// A text up to the quotation mark that ends it; two of them stand for one in it.
fn text(rest: &str) -> &str {
    let mut end = 0;
    while let Some(mark) = rest[end..].find('\'') {
        end += mark;
        if !rest[end + 1..].starts_with('\'') {
            return &rest[..end];
        }
        end += 2;
    }
    rest
}
