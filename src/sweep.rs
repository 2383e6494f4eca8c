//! `--sweep`: a script at several values of its params and sizes.
//!
//! ```text
//! --sweep ppo.lr=1e-4,3e-4,1e-3   --sweep "ppo.lr=log(1e-4, 1e-2, 8)"   --sweep "ppo.clip=linear(0.1, 0.3, 5)"   --sweep seeds=1..5
//! ```
//!
//! Several are all combinations; the last one goes fastest. What is a param is an input of one compiled program, and the runs of
//! all points are runs of that program. Sizes shape a program, so there is one for each of theirs ([`each`]).

pub mod each;
pub mod outcome;

use whorl_trace::{Script, SweptProgram};

/// A sweep of more points than this is a mistake.
const MOST_POINTS: usize = 10_000;
/// Digits of the values inside of a range; more where values would be the same.
const DIGITS: usize = 6;

/// What is swept, and through which values.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Sweep {
    pub axes: Vec<Axis>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// As it was written; the short name, once the script is known.
    pub name: String,
    /// As `--set` takes them.
    pub values: Vec<String>,
    /// Whether the values were spread evenly by their logarithms.
    pub logarithmic: bool,
}

impl Sweep {
    /// Reads `name=values`, each of a `--sweep`. An error is a sentence.
    pub fn parse(texts: &[String]) -> Result<Sweep, String> {
        let axes = texts.iter().map(|text| axis(text).map_err(|e| format!("--sweep {text}: {e}")));
        let axes = axes.collect::<Result<Vec<Axis>, String>>()?;
        let points = axes.iter().try_fold(1usize, |n, a| n.checked_mul(a.values.len()));
        match points {
            Some(n) if n <= MOST_POINTS => Ok(Sweep { axes }),
            Some(_) | None => {
                let sizes: Vec<String> = axes.iter().map(|a| a.values.len().to_string()).collect();
                Err(format!("--sweep: {} combinations are more than {MOST_POINTS}", sizes.join(" × ")))
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.axes.is_empty()
    }

    /// The programs that the sweep takes, with the names as the script has them. Errors are diagnostics of the script.
    pub fn programs(
        &mut self,
        script: &mut Script,
        settings: &[(String, String)],
    ) -> Result<Vec<SweptProgram>, Vec<whorl_source::Diagnostic>> {
        let axes: Vec<(String, Vec<String>)> = self.axes.iter().map(|a| (a.name.clone(), a.values.clone())).collect();
        let programs = script.sweep(settings, &axes)?;
        for axis in &mut self.axes {
            axis.name = script.knob_name(&axis.name).unwrap_or(axis.name.clone());
        }
        Ok(programs)
    }

    /// What a point is called: `ppo.lr=3e-4 ppo.clip=0.1`, by the axes that have more than one value.
    pub fn label(&self, at: &[usize]) -> String {
        let shown = |(axis, &k): (&Axis, &usize)| format!("{}={}", axis.name, axis.values[k]);
        let several = self.axes.iter().zip(at).filter(|(axis, _)| axis.values.len() > 1).map(shown);
        let several: Vec<String> = several.collect();
        if several.is_empty() {
            self.axes.iter().zip(at).map(shown).collect::<Vec<_>>().join(" ")
        } else {
            several.join(" ")
        }
    }

    /// The value of an axis as TOML writes it, for the table of params in `config.toml`.
    pub fn toml_values(&self, name: &str) -> Option<String> {
        let axis = self.axes.iter().find(|a| a.name == name)?;
        let value = |text: &String| {
            let plain = text.replace('_', "");
            match (plain.parse::<i64>(), plain.parse::<f64>()) {
                (Ok(i), _) => toml::Value::Integer(i),
                (Err(_), Ok(x)) => toml::Value::Float(x),
                (Err(_), Err(_)) => toml::Value::Boolean(plain == "true"),
            }
        };
        Some(toml::Value::Array(axis.values.iter().map(value).collect()).to_string())
    }
}

fn axis(text: &str) -> Result<Axis, String> {
    let (name, values) = text.split_once('=').ok_or("write --sweep name=1,2,3 or \"name=log(1e-4, 1e-2, 8)\"")?;
    let (name, values) = (name.trim(), values.trim());
    if name.is_empty() {
        return Err("which param or size?".to_string());
    }
    let logarithmic = values.starts_with("log(");
    let values = match values.split_once('(') {
        Some(("log", rest)) => range(rest, true)?,
        Some(("linear", rest)) => range(rest, false)?,
        Some((other, _)) => {
            return Err(format!("there is no `{other}(…)`; there are log(low, high, n) and linear(low, high, n)"));
        }
        None => match values.split_once("..") {
            Some((from, to)) => whole(from, to)?,
            None => values.split(',').map(|v| v.trim().to_string()).collect(),
        },
    };
    if let Some(k) = values.iter().position(String::is_empty) {
        return Err(format!("value {} is missing", k + 1));
    }
    let number = |v: &String| v.replace('_', "").parse::<f64>().map_or(Err(v.clone()), |x| Ok(x.to_bits()));
    for (k, v) in values.iter().enumerate() {
        if values[..k].iter().any(|before| number(before) == number(v)) {
            return Err(format!("{v} is there twice"));
        }
    }
    Ok(Axis { name: name.to_string(), values, logarithmic })
}

/// `low, high, n)`: n values from low to high, both included.
fn range(text: &str, logarithmic: bool) -> Result<Vec<String>, String> {
    let form = if logarithmic { "log(low, high, n)" } else { "linear(low, high, n)" };
    let inside = text.strip_suffix(')').ok_or(format!("`)` is missing behind {form}"))?;
    let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
    let [low_text, high_text, n] = parts[..] else { return Err(format!("write {form}")) };
    let number = |t: &str| {
        t.replace('_', "").parse::<f64>().ok().filter(|x| x.is_finite()).ok_or(format!("`{t}` is not a number"))
    };
    let (low, high) = (number(low_text)?, number(high_text)?);
    let n: usize = n.parse().map_err(|_| format!("`{n}` is not a number of values"))?;
    if !(2..=MOST_POINTS).contains(&n) {
        return Err(format!("{n} values: {form} takes from 2 to {MOST_POINTS}"));
    }
    if logarithmic && !(low > 0.0 && high > 0.0) {
        return Err("logarithms are of numbers above 0".to_string());
    }
    let at = |k: usize| {
        let part = k as f64 / (n - 1) as f64;
        if logarithmic { (low.ln() + part * (high.ln() - low.ln())).exp() } else { low + part * (high - low) }
    };
    // As few digits as tell the values apart: what is said is what is used.
    let written = |digits: usize| -> Vec<String> {
        let value = |k| match k {
            0 => low_text.to_string(),
            k if k == n - 1 => high_text.to_string(),
            k => rounded(at(k), digits, low_text.contains('e') || high_text.contains('e')),
        };
        (0..n).map(value).collect()
    };
    let all_differ = |v: &Vec<String>| {
        let mut numbers: Vec<u64> =
            v.iter().filter_map(|t| t.replace('_', "").parse::<f64>().ok()).map(f64::to_bits).collect();
        numbers.sort_unstable();
        numbers.windows(2).all(|w| w[0] != w[1])
    };
    let values = (DIGITS..=17).map(written).find(all_differ);
    values.ok_or(format!("from {low_text} to {high_text} there are not {n} numbers"))
}

/// The number rounded to so many digits, written as the ends of its range are.
fn rounded(x: f64, digits: usize, exponent: bool) -> String {
    let x: f64 = format!("{x:.*e}", digits - 1).parse().unwrap_or(x);
    if exponent { format!("{x:e}") } else { format!("{x}") }
}

/// `from..to`: whole numbers, without the last, as everywhere in the language.
fn whole(from: &str, to: &str) -> Result<Vec<String>, String> {
    let number =
        |t: &str| t.trim().replace('_', "").parse::<i64>().map_err(|_| format!("`{}` is not a whole number", t.trim()));
    let (from, to) = (number(from)?, number(to)?);
    match to.checked_sub(from) {
        Some(n) if n > 0 && n <= MOST_POINTS as i64 => Ok((from..to).map(|i| i.to_string()).collect()),
        Some(n) if n <= 0 => Err(format!("{from}..{to} holds no numbers: the end is not part of it")),
        Some(_) | None => Err(format!("{from}..{to} holds more than {MOST_POINTS} numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<Vec<String>, String> {
        Sweep::parse(&[text.to_string()]).map(|s| s.axes[0].values.clone())
    }

    #[test]
    fn lists_and_ranges() {
        let good = [
            ("ppo.lr=1e-4, 3e-4,1e-3", "1e-4 3e-4 1e-3"),
            ("a=true,false", "true false"),
            ("a=log(1e-4, 1e-2, 3)", "1e-4 1e-3 1e-2"),
            ("a=log(16,256,5)", "16 32 64 128 256"),
            ("a=log(1e-9, 1e-7, 3)", "1e-9 1e-8 1e-7"),
            ("a=linear(0, 1, 5)", "0 0.25 0.5 0.75 1"),
            ("a=linear(1_000_000, 1_000_004, 5)", "1_000_000 1000001 1000002 1000003 1_000_004"),
            ("a=linear(1, 0, 2)", "1 0"),
            ("a=-2..2", "-2 -1 0 1"),
            ("a=5", "5"),
        ];
        for (text, expected) in good {
            assert_eq!(values(text).unwrap_or_else(|e| panic!("{e}")).join(" "), expected, "{text}");
        }
        let log = Sweep::parse(&["a=log(1,8,4)".into(), "b=linear(1,8,4)".into()]).expect("a sweep");
        assert_eq!(log.axes.iter().map(|a| a.logarithmic).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn mistakes_are_answered() {
        let wrong = [
            ("lr", "write --sweep name=1,2,3"),
            ("=1,2", "which param"),
            ("a=", "value 1 is missing"),
            ("a=1,,2", "value 2 is missing"),
            ("a=1,2,1.0", "1.0 is there twice"),
            ("a=exp(1,2,3)", "there is no `exp(…)`"),
            ("a=log(0,1,3)", "above 0"),
            ("a=log(1,2,3", "`)` is missing"),
            ("a=log(1,2)", "write log(low, high, n)"),
            ("a=linear(1,x,3)", "`x` is not a number"),
            ("a=linear(1,inf,3)", "`inf` is not a number"),
            ("a=linear(1,2,1)", "takes from 2"),
            ("a=linear(1,2,99999999)", "takes from 2"),
            ("a=linear(1,1,3)", "not 3 numbers"),
            ("a=3..3", "the end is not part"),
            ("a=0..99999999", "more than"),
            ("a=-9223372036854775808..9223372036854775807", "more than"),
            ("a=1..x", "`x` is not a whole number"),
        ];
        for (text, part) in wrong {
            let e = values(text).expect_err(text);
            assert!(e.contains(part) && e.contains(text), "{text}: {e}");
        }
        let many = ["a=0..101".to_string(), "b=0..100".to_string()];
        assert!(Sweep::parse(&many).is_err_and(|e| e.contains("101 × 100")));
    }

    #[test]
    fn labels_name_what_differs() {
        let s =
            Sweep::parse(&["lr=1e-4,1e-3".into(), "hidden=64".into(), "anneal=true,false".into()]).expect("a sweep");
        assert_eq!(s.label(&[1, 0, 0]), "lr=1e-3 anneal=true");
        let one = Sweep::parse(&["hidden=64".into()]).expect("a sweep");
        assert_eq!(one.label(&[0]), "hidden=64");
        assert_eq!(s.toml_values("lr").as_deref(), Some("[0.0001, 0.001]"));
        assert_eq!(s.toml_values("anneal").as_deref(), Some("[true, false]"));
    }
}
