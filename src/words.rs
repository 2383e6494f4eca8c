//! Numbers, sizes and times as people read them.

use std::time::SystemTime;

/// `1.2 MiB`
pub fn bytes(n: usize) -> String {
    match n {
        n if n >= 1 << 30 => format!("{:.1} GiB", n as f64 / (1 << 30) as f64),
        n if n >= 1 << 20 => format!("{:.1} MiB", n as f64 / (1 << 20) as f64),
        n if n >= 1 << 10 => format!("{:.1} KiB", n as f64 / 1024.0),
        n => format!("{n} bytes"),
    }
}

/// `3.20 M`, `311 k`
pub fn si(x: f64) -> String {
    match x {
        x if x >= 1e9 => format!("{:.2} G", x / 1e9),
        x if x >= 1e6 => format!("{:.2} M", x / 1e6),
        x if x >= 1e3 => format!("{:.0} k", x / 1e3),
        x => format!("{x:.0}"),
    }
}

/// A mean, with the standard deviation where there are several runs.
pub fn with_spread(mean: f64, deviation: f64, runs: usize) -> String {
    let digits = if mean.abs() >= 100.0 { 1 } else { 4 };
    if runs > 1 { format!("{mean:.digits$} ± {deviation:.digits$}") } else { format!("{mean:.digits$}") }
}

/// Now, as `20261122-120632` (UTC).
pub fn timestamp() -> String {
    let (date, clock) = utc();
    format!("{}-{}", date.replace('-', ""), clock.replace(':', ""))
}

/// Now, as `2026-11-22T12:06:32Z`.
pub fn now() -> String {
    let (date, clock) = utc();
    format!("{date}T{clock}Z")
}

fn utc() -> (String, String) {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    (date(seconds / 86400), format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60))
}

/// A day of the Gregorian calendar, by days since 1970 (H. Hinnant, chrono-compatible low-level date algorithms, 2013).
fn date(days: u64) -> String {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(
            [0, 59, 11_016, 20_779].map(date),
            ["1970-01-01", "1970-03-01", "2000-02-29", "2026-11-22"].map(str::to_string)
        );
    }

    #[test]
    fn sizes() {
        assert_eq!([512, 1536, 3 << 20, 5 << 30].map(bytes), ["512 bytes", "1.5 KiB", "3.0 MiB", "5.0 GiB"]);
        assert_eq!([12.0, 4_321.0, 3.2e6, 7e9].map(si), ["12", "4 k", "3.20 M", "7.00 G"]);
    }
}
