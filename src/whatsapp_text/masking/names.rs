//! Names between two pairs of underscores, as in `__init__.py`, which CommonMark takes for bold.

use std::ops::Range;

/// Names between two pairs of underscores that stand alone in a sentence: Python's, PHP's, C's and those of test folders. Any other such
/// word is emphasis, unless its surroundings tell.
const DUNDER_NAMES: &[&str] = &[
    "abs",
    "add",
    "aenter",
    "aexit",
    "aiter",
    "all",
    "and",
    "anext",
    "annotations",
    "array",
    "author",
    "await",
    "bases",
    "bool",
    "build_class",
    "builtins",
    "bytes",
    "call",
    "class",
    "closure",
    "code",
    "construct",
    "contains",
    "copy",
    "debug",
    "deepcopy",
    "defaults",
    "del",
    "delattr",
    "delete",
    "delitem",
    "destruct",
    "dict",
    "dir",
    "doc",
    "enter",
    "eq",
    "exit",
    "file",
    "fixtures",
    "float",
    "floordiv",
    "format",
    "func",
    "function",
    "future",
    "ge",
    "get",
    "getattr",
    "getattribute",
    "getitem",
    "getstate",
    "globals",
    "gt",
    "hash",
    "iadd",
    "import",
    "index",
    "init",
    "init_subclass",
    "instancecheck",
    "int",
    "invert",
    "iter",
    "le",
    "len",
    "line",
    "loader",
    "lt",
    "main",
    "matmul",
    "metaclass",
    "method",
    "missing",
    "mocks",
    "mod",
    "module",
    "mro",
    "mul",
    "name",
    "namespace",
    "ne",
    "neg",
    "new",
    "next",
    "or",
    "package",
    "path",
    "pos",
    "post_init",
    "pow",
    "proto",
    "pycache",
    "qualname",
    "radd",
    "reduce",
    "repr",
    "reversed",
    "rmul",
    "round",
    "self",
    "set",
    "set_name",
    "setattr",
    "setitem",
    "setstate",
    "sizeof",
    "slots",
    "snapshots",
    "spec",
    "str",
    "sub",
    "subclasses",
    "subclasshook",
    "tests",
    "toString",
    "truediv",
    "typename",
    "version",
    "weakref",
    "xor",
    "DIR",
    "FILE",
    "LINE",
    "CLASS",
    "FUNCTION",
    "METHOD",
    "NAMESPACE",
    "DATE",
    "TIME",
    "COUNTER",
    "TRAIT",
];

/// The underscores around names such as `__init__`.
pub(super) fn dunders(source: &str, token: Range<usize>) -> Vec<Range<usize>> {
    let mut signs = Vec::new();
    let mut at = token.start;
    while let Some(found) = source[at..token.end].find("__") {
        let start = at + found;
        let name = &source[start + 2..token.end];
        let length =
            name.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(name.len());
        let whole_end = start + 2 + length;
        at = whole_end.max(start + 2);
        let Some(name) = name[..length].strip_suffix("__").filter(|name| is_name(name)) else { continue };
        let before = source[token.start..start].chars().next_back();
        if before.is_some_and(|char| char.is_alphanumeric() || char == '_' || char == '\\') {
            continue;
        }
        let after = &source[whole_end..token.end];
        let is_called = after.starts_with('(') && name.chars().all(|char| !char.is_ascii_uppercase());
        let has_extension =
            after.strip_prefix('.').is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
        let is_member = before.is_some_and(|char| matches!(char, '.' | '/' | '\\'));
        if DUNDER_NAMES.contains(&name)
            || name.contains('_')
            || is_called
            || has_extension
            || is_member
            || after.starts_with('/')
        {
            signs.push(start..start + 2);
            signs.push(whole_end - 2..whole_end);
        }
    }
    signs
}

fn is_name(name: &str) -> bool {
    name.starts_with(|char: char| char.is_ascii_alphabetic()) && !name.ends_with('_')
}
