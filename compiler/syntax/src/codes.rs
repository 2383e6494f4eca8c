//! The codes of syntax errors. They are stable: the book explains each, and scripts may match on them.
//!
//! | code | what happened |
//! |---|---|
//! | E0001 | a character that no token begins with |
//! | E0002 | a string that is not closed on its line |
//! | E0003 | an escape in a string that does not exist |
//! | E0004 | a malformed number (`1.`, `12abc`, `0x`) |
//! | E0005 | a number too large to hold |
//! | E0006 | a string in single quotes |
//! | E0007 | a comment that begins with `#` |
//! | E0008 | a comment between `/*` and `*/` |
//! | E0010 | something else was expected here |
//! | E0011 | an expression was expected |
//! | E0012 | a bracket is not closed |
//! | E0013 | a bracket closes nothing |
//! | E0014 | two statements on a line without `;` |
//! | E0015 | something at the top of a file that is not an item |
//! | E0016 | nested too deeply |
//! | E0017 | a chain of comparisons (`a < b < c`) |
//! | E0018 | an item inside a block |
//! | E0019 | a type was expected |
//! | E0020 | an `enum` without variants, or one that cannot be told from a name |
//! | E0021 | a pattern was expected |
//! | E0022 | a keyword where a name belongs |
//! | E0023 | a record in a head, where `{` opens the body |
//! | E0024 | a line that begins with `- `, which does not go on with the line before |
//! | E0025 | `7 // 2`: `//` begins a comment |
//! | E0026 | `"""text"""` |
//! | E0040 | `x ** 2` |
//! | E0041 | `lambda x: …` |
//! | E0042 | `x += 1` |
//! | E0043 | `x = 1` without `let`, or an assignment to an element or a field |
//! | E0044 | `def f(x):` |
//! | E0045 | `elif` |
//! | E0046 | `None`, `True`, `False` |
//! | E0047 | `&&` or `\|\|` |
//! | E0048 | `!x` |
//! | E0049 | a slice `a:b` |
//! | E0050 | `:` where a body in braces belongs |
//! | E0051 | `return` |
//! | E0052 | `a if c else b` |
//! | E0053 | `[f(x) for x in xs]` |
//! | E0054 | an argument `name=value` |
//! | E0055 | `from m import x` |
//! | E0056 | `let mut` |
//! | E0057 | `while` without a carried state |
//! | E0058 | something else than a code or a message after `fails` |
//! | E0059 | a `prop` that draws nothing |
//! | E0060 | a parameter of a `prop` without a type |
//! | E0061 | `let a, b = …` |
//! | E0062 | `fn f(x): f32` |
//! | E0063 | a `class`, a `struct`, a decorator and other items of other languages |
//! | E0064 | `try`, `global`, `print x` and other statements of other languages |
//! | E0065 | `x as f32`, `x in xs`, `{ "a": 1 }` and other expressions of other languages |

/// A code as diagnostics carry it.
pub type Code = &'static str;

pub const UNKNOWN_CHARACTER: Code = "E0001";
pub const UNCLOSED_STRING: Code = "E0002";
pub const UNKNOWN_ESCAPE: Code = "E0003";
pub const MALFORMED_NUMBER: Code = "E0004";
pub const NUMBER_TOO_LARGE: Code = "E0005";
pub const SINGLE_QUOTES: Code = "E0006";
pub const HASH_COMMENT: Code = "E0007";
pub const BLOCK_COMMENT: Code = "E0008";
pub const EXPECTED: Code = "E0010";
pub const EXPECTED_EXPRESSION: Code = "E0011";
pub const UNCLOSED_BRACKET: Code = "E0012";
pub const STRAY_BRACKET: Code = "E0013";
pub const EXPECTED_LINE_END: Code = "E0014";
pub const NOT_AN_ITEM: Code = "E0015";
pub const TOO_DEEP: Code = "E0016";
pub const CHAINED_COMPARISON: Code = "E0017";
pub const ITEM_IN_BLOCK: Code = "E0018";
pub const EXPECTED_TYPE: Code = "E0019";
pub const BAD_VARIANT: Code = "E0020";
pub const EXPECTED_PATTERN: Code = "E0021";
pub const KEYWORD_AS_NAME: Code = "E0022";
pub const RECORD_IN_HEAD: Code = "E0023";
pub const MINUS_LINE: Code = "E0024";
pub const DIVISION_COMMENT: Code = "E0025";
pub const DOC_STRING: Code = "E0026";
pub const STAR_STAR: Code = "E0040";
pub const PYTHON_LAMBDA: Code = "E0041";
pub const ASSIGN_OPERATOR: Code = "E0042";
pub const ASSIGNMENT: Code = "E0043";
pub const PYTHON_DEF: Code = "E0044";
pub const ELIF: Code = "E0045";
pub const PYTHON_CONSTANT: Code = "E0046";
pub const SYMBOLIC_LOGIC: Code = "E0047";
pub const BANG: Code = "E0048";
pub const COLON_SLICE: Code = "E0049";
pub const COLON_BODY: Code = "E0050";
pub const RETURN: Code = "E0051";
pub const PYTHON_CONDITIONAL: Code = "E0052";
pub const COMPREHENSION: Code = "E0053";
pub const EQUALS_ARGUMENT: Code = "E0054";
pub const FROM_IMPORT: Code = "E0055";
pub const LET_MUT: Code = "E0056";
pub const WHILE_WITHOUT_STATE: Code = "E0057";
pub const BAD_FAILS: Code = "E0058";
pub const NOTHING_DRAWN: Code = "E0059";
pub const DRAWN_WITHOUT_TYPE: Code = "E0060";
pub const TUPLE_PATTERN: Code = "E0061";
pub const RESULT_COLON: Code = "E0062";
pub const FOREIGN_ITEM: Code = "E0063";
pub const FOREIGN_STATEMENT: Code = "E0064";
pub const FOREIGN_EXPRESSION: Code = "E0065";
