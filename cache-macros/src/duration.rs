//! Durations as people write them: `"5m"`.

use std::time::Duration;

/// What a duration may look like, for error messages.
pub(crate) const EXAMPLES: &str = "`\"300ms\"`, `\"30s\"`, `\"5m\"`, `\"1h30m\"` or `\"7d\"`";

/// Reads one or more numbers, each with its unit, largest first or not: `1h30m`, `1.5s`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(format!("an empty duration: write for example {EXAMPLES}"));
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (part, remaining) = part(text, rest)?;
        total = total.checked_add(part).ok_or_else(|| format!("`{text}` is too long for a duration"))?;
        rest = remaining;
    }
    if total.is_zero() {
        return Err(format!("`{text}` is no time at all: write for example {EXAMPLES}, or leave the argument out"));
    }
    Ok(total)
}

/// The first number and unit of `rest`, and what follows them.
fn part<'a>(text: &str, rest: &'a str) -> Result<(Duration, &'a str), String> {
    let malformed = || format!("`{text}` is no duration: write for example {EXAMPLES}");
    let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, after) = rest.split_at(unit_at);
    if number.is_empty() {
        return Err(malformed());
    }
    let after = after.trim_start();
    let unit_end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
    let (unit, remaining) = after.split_at(unit_end);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        "" => return Err(format!("`{text}` has a number without a unit: write for example {EXAMPLES}")),
        other => return Err(format!("`{other}` is no unit; the units are ms, s, m, h and d, as in {EXAMPLES}")),
    };
    let length = scaled(number, unit, seconds).ok_or_else(malformed)?;
    Ok((length, remaining.trim_start()))
}

/// `number` units, exact for whole numbers.
fn scaled(number: &str, unit: &str, seconds: f64) -> Option<Duration> {
    match number.parse::<u64>() {
        Ok(whole) if unit == "ms" => Some(Duration::from_millis(whole)),
        Ok(whole) => whole.checked_mul(seconds as u64).map(Duration::from_secs),
        Err(_) => Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [
            ("300ms", 300),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("7d", 604_800_000),
            ("1.5s", 1_500),
            (" 2s ", 2_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for text in [
            "",
            "5",
            "m",
            "5 m m",
            "5minutes",
            "5,5s",
            "-5s",
            "0s",
            "1.2.3s",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("\"5m\"") || error.contains("too long"), "{text}: {error}");
        }
    }
}
