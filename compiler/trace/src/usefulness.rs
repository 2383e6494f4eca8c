//! Which values the arms of a `match` leave out, and which arms are never taken: Maranget, "Warnings for pattern matching"
//! (Journal of Functional Programming, 2007), with whole numbers as intervals.
//!
//! Rows of patterns are looked at column by column: for each constructor that may stand in the first column, the rows that admit
//! it, with the patterns of its parts in its place.

use whorl_syntax::ast::EnumDef;

/// What a value is made with.
#[derive(Clone, PartialEq, Debug)]
pub enum Head<'a> {
    /// A variant, by its number.
    Variant(&'a EnumDef, usize),
    Tuple(usize),
    Array(usize),
    /// With its fields in order.
    Record(Vec<&'a str>),
    Bool(bool),
    /// The numbers from `low` to `high` of a type that has those from `of.0` to `of.1`, ends included.
    Whole {
        low: i64,
        high: i64,
        of: (i64, i64),
    },
    Text(&'a str),
}

#[derive(Clone, PartialEq, Debug)]
pub enum Pat<'a> {
    Any,
    /// As many parts as the constructor has.
    Of(Head<'a>, Vec<Pat<'a>>),
}

/// The question has too many cases: such a `match` is refused.
#[derive(Debug)]
pub struct TooMany;

/// Steps before that.
const MOST_STEPS: usize = 20_000;
/// Parts side by side before that: each is a call deeper.
const MOST_COLUMNS: usize = 1_000;

type Rows<'a> = Vec<Vec<Pat<'a>>>;

/// An example of each kind of value that no row admits.
pub fn missing<'a>(rows: &[Pat<'a>]) -> Result<Vec<Pat<'a>>, TooMany> {
    let rows: Rows<'a> = rows.iter().map(|p| vec![p.clone()]).collect();
    let mut steps = 0;
    let (heads, open) = constructors(rows.iter().map(|r| &r[0]));
    let mut examples = Vec::new();
    for head in &heads {
        let left = left_out(&specialised(&rows, head), head.arity(), &mut steps)?;
        examples.extend(left.map(|parts| Pat::Of(head.example(), parts)));
    }
    if (open || heads.is_empty()) && defaults(&rows).is_empty() {
        examples.push(Pat::Any);
    }
    Ok(examples)
}

/// Whether the pattern admits a value that none of the rows before it does.
pub fn useful<'a>(rows: &[Pat<'a>], pattern: &Pat<'a>) -> Result<bool, TooMany> {
    let rows: Rows<'a> = rows.iter().map(|p| vec![p.clone()]).collect();
    is_useful(&rows, std::slice::from_ref(pattern), &mut 0)
}

impl<'a> Pat<'a> {
    /// Whether it admits every value of its type, if no enum has one variant only.
    pub fn is_irrefutable(&self) -> bool {
        match self {
            Pat::Any => true,
            Pat::Of(Head::Tuple(_) | Head::Array(_) | Head::Record(_), parts) => parts.iter().all(Pat::is_irrefutable),
            Pat::Of(Head::Variant(..) | Head::Bool(_) | Head::Whole { .. } | Head::Text(_), _) => false,
        }
    }

    /// As it is written in an arm.
    pub fn text(&self) -> String {
        let Pat::Of(head, parts) = self else { return "_".to_string() };
        let list = || parts.iter().map(Pat::text).collect::<Vec<_>>().join(", ");
        let fields = |names: &mut dyn Iterator<Item = &'a str>| {
            let told = names.zip(parts).filter(|(_, p)| **p != Pat::Any);
            told.map(|(n, p)| format!("{n}: {}", p.text())).collect::<Vec<_>>().join(", ")
        };
        match head {
            Head::Variant(def, k) => {
                let variant = &def.variants[*k];
                let name = &variant.name.text;
                if parts.iter().all(|p| *p == Pat::Any) {
                    return name.clone();
                }
                match variant.named {
                    true => {
                        format!("{name} {{ {} }}", fields(&mut variant.fields.iter().map(|f| f.name.text.as_str())))
                    }
                    false => format!("{name}({})", list()),
                }
            }
            Head::Tuple(1) => format!("({},)", list()),
            Head::Tuple(_) => format!("({})", list()),
            Head::Array(_) => format!("[{}]", list()),
            Head::Record(names) => format!("{{ {} }}", fields(&mut names.iter().copied())),
            Head::Bool(x) => x.to_string(),
            Head::Whole { low, high, .. } if low == high => low.to_string(),
            Head::Whole { low, high, .. } => format!("{low}..{}", high.saturating_add(1)),
            Head::Text(text) => format!("{text:?}"),
        }
    }
}

impl<'a> Head<'a> {
    fn arity(&self) -> usize {
        match self {
            Head::Variant(def, k) => def.variants[*k].fields.len(),
            Head::Tuple(n) | Head::Array(n) => *n,
            Head::Record(names) => names.len(),
            Head::Bool(_) | Head::Whole { .. } | Head::Text(_) => 0,
        }
    }

    /// Whether every value made with `other` is one that this admits; `other` is one of [`constructors`].
    fn admits(&self, other: &Head<'a>) -> bool {
        match (self, other) {
            (Head::Whole { low, high, .. }, Head::Whole { low: from, high: to, .. }) => low <= from && to <= high,
            (a, b) => a == b,
        }
    }

    /// One of the values, where it stands for many: the number nearest to 0.
    fn example(&self) -> Head<'a> {
        match self {
            Head::Whole { low, high, of } => {
                let number = 0.clamp(*low, *high);
                Head::Whole { low: number, high: number, of: *of }
            }
            other => other.clone(),
        }
    }
}

/// All constructors that the values of a column may have, as far as its patterns tell them apart, and whether there are more;
/// none where no pattern looks.
fn constructors<'p, 'a: 'p>(column: impl Iterator<Item = &'p Pat<'a>>) -> (Vec<Head<'a>>, bool) {
    let mut heads: Vec<&Head<'a>> = Vec::new();
    for pattern in column {
        if let Pat::Of(head, _) = pattern
            && !heads.contains(&head)
        {
            heads.push(head);
        }
    }
    match heads.first() {
        None => (Vec::new(), false),
        Some(Head::Variant(def, _)) => ((0..def.variants.len()).map(|k| Head::Variant(def, k)).collect(), false),
        Some(Head::Tuple(_) | Head::Array(_) | Head::Record(_)) => {
            (heads.into_iter().take(1).cloned().collect(), false)
        }
        Some(Head::Bool(_)) => (vec![Head::Bool(false), Head::Bool(true)], false),
        Some(Head::Text(_)) => (heads.into_iter().cloned().collect(), true),
        Some(Head::Whole { of, .. }) => {
            // The numbers at which one of the intervals begins, or the one behind its end.
            let mut starts = vec![of.0];
            for head in &heads {
                if let Head::Whole { low, high, .. } = head {
                    starts.push(*low);
                    starts.extend(high.checked_add(1).filter(|s| *s <= of.1));
                }
            }
            starts.sort_unstable();
            starts.dedup();
            let ends = starts[1..].iter().map(|s| s - 1).chain([of.1]);
            (starts.iter().zip(ends).map(|(&low, high)| Head::Whole { low, high, of: *of }).collect(), false)
        }
    }
}

/// The rows that admit a constructor in their first column, its parts in its place.
fn specialised<'a>(rows: &[Vec<Pat<'a>>], head: &Head<'a>) -> Rows<'a> {
    rows.iter().filter_map(|row| specialised_row(row, head)).collect()
}

fn specialised_row<'a>(row: &[Pat<'a>], head: &Head<'a>) -> Option<Vec<Pat<'a>>> {
    let (first, rest) = row.split_first()?;
    let mut new = match first {
        Pat::Any => vec![Pat::Any; head.arity()],
        Pat::Of(own, parts) if own.admits(head) => parts.clone(),
        Pat::Of(..) => return None,
    };
    new.extend_from_slice(rest);
    Some(new)
}

/// The rows that admit anything in their first column, without it.
fn defaults<'a>(rows: &[Vec<Pat<'a>>]) -> Rows<'a> {
    rows.iter().filter(|r| r[0] == Pat::Any).map(|r| r[1..].to_vec()).collect()
}

fn count(steps: &mut usize, columns: usize) -> Result<(), TooMany> {
    *steps += 1;
    if *steps > MOST_STEPS || columns > MOST_COLUMNS { Err(TooMany) } else { Ok(()) }
}

/// Values for `n` columns that no row admits.
fn left_out<'a>(rows: &Rows<'a>, n: usize, steps: &mut usize) -> Result<Option<Vec<Pat<'a>>>, TooMany> {
    count(steps, n)?;
    if rows.is_empty() {
        return Ok(Some(vec![Pat::Any; n]));
    }
    if n == 0 {
        return Ok(None);
    }
    let (heads, open) = constructors(rows.iter().map(|r| &r[0]));
    for head in &heads {
        let arity = head.arity();
        if let Some(mut values) = left_out(&specialised(rows, head), arity + n - 1, steps)? {
            let rest = values.split_off(arity);
            let mut all = vec![Pat::Of(head.example(), values)];
            all.extend(rest);
            return Ok(Some(all));
        }
    }
    if open || heads.is_empty() {
        let rest = left_out(&defaults(rows), n - 1, steps)?;
        return Ok(rest.map(|rest| std::iter::once(Pat::Any).chain(rest).collect()));
    }
    Ok(None)
}

fn is_useful<'a>(rows: &Rows<'a>, pattern: &[Pat<'a>], steps: &mut usize) -> Result<bool, TooMany> {
    count(steps, pattern.len())?;
    if rows.is_empty() {
        return Ok(true);
    }
    let Some((first, rest)) = pattern.split_first() else { return Ok(false) };
    let (heads, open) = constructors(rows.iter().map(|r| &r[0]).chain([first]));
    for head in &heads {
        if let Some(pattern) = specialised_row(pattern, head)
            && is_useful(&specialised(rows, head), &pattern, steps)?
        {
            return Ok(true);
        }
    }
    let more = (open || heads.is_empty()) && *first == Pat::Any;
    Ok(more && is_useful(&defaults(rows), rest, steps)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(low: i64, high: i64) -> Pat<'static> {
        Pat::Of(Head::Whole { low, high, of: (0, 255) }, Vec::new())
    }

    fn pair(a: Pat<'static>, b: Pat<'static>) -> Pat<'static> {
        Pat::Of(Head::Tuple(2), vec![a, b])
    }

    fn truth(x: bool) -> Pat<'static> {
        Pat::Of(Head::Bool(x), Vec::new())
    }

    fn texts(rows: &[Pat<'static>]) -> Vec<String> {
        missing(rows).expect("few steps").iter().map(Pat::text).collect()
    }

    #[test]
    fn intervals() {
        assert!(texts(&[number(0, 9), number(10, 255)]).is_empty());
        assert_eq!(texts(&[number(0, 9), number(11, 255)]), ["10"]);
        assert!(!useful(&[number(0, 5), number(6, 20)], &number(3, 12)).expect("few steps"));
        assert!(useful(&[number(0, 5), number(7, 20)], &number(3, 12)).expect("few steps"));
    }

    /// Every set of rows over pairs of bools and small numbers, by trying all values.
    #[test]
    fn as_trying_all_values_says() {
        let firsts = [Pat::Any, truth(true), truth(false)];
        let seconds = [Pat::Any, number(0, 0), number(0, 100), number(101, 255)];
        let all: Vec<Pat> = firsts.iter().flat_map(|a| seconds.iter().map(|b| pair(a.clone(), b.clone()))).collect();
        let admits = |p: &Pat, x: bool, i: i64| {
            let Pat::Of(_, parts) = p else { return true };
            let first = match &parts[0] {
                Pat::Of(Head::Bool(b), _) => *b == x,
                _ => true,
            };
            first
                && match &parts[1] {
                    Pat::Of(Head::Whole { low, high, .. }, _) => (*low..=*high).contains(&i),
                    _ => true,
                }
        };
        let values: Vec<(bool, i64)> = [false, true].into_iter().flat_map(|b| [0, 50, 200].map(|i| (b, i))).collect();
        for a in &all {
            for b in &all {
                for c in &all {
                    let rows = [a.clone(), b.clone(), c.clone()];
                    let left = values.iter().any(|(x, i)| !rows.iter().any(|r| admits(r, *x, *i)));
                    assert_eq!(!missing(&rows).expect("few steps").is_empty(), left, "{rows:?}");
                    let needed =
                        values.iter().any(|(x, i)| admits(c, *x, *i) && !rows[..2].iter().any(|r| admits(r, *x, *i)));
                    assert_eq!(useful(&rows[..2], c).expect("few steps"), needed, "{rows:?}");
                }
            }
        }
    }
}
