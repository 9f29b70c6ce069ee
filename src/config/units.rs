//! Durations and sizes as people write them: `30s`, `1h30m`, `64KiB`.
//!
//! Invariants: a bare number is never taken for one; what is printed parses back
//! to the same value.

use std::time::Duration;

use super::error::Problem;

/// Units of time in milliseconds, the longest first.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size in bytes, the biggest first.
const SIZE_UNITS: [(&str, u64); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `30s`, `250ms` or `1h30m`.
///
/// # Errors
///
/// [`Problem::UnitMissing`] for a bare number, [`Problem::WrongType`] for anything
/// else that is not a duration.
pub fn parse_duration(text: &str) -> Result<Duration, Problem> {
    parse(text, &TIME_UNITS, "30s", "a duration such as `30s`, `5m` or `250ms`")
        .map(Duration::from_millis)
}

/// Reads `64KiB`.
///
/// # Errors
///
/// As [`parse_duration`].
pub(super) fn parse_size(text: &str) -> Result<u64, Problem> {
    parse(text, &SIZE_UNITS, "64KiB", "a size such as `512B`, `64KiB` or `256MiB`")
}

/// Writes `duration` in the biggest unit that fits exactly.
pub(super) fn print_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    // Days are read but not written: `24h` says more plainly what it is about.
    let [_days, units @ ..] = TIME_UNITS;
    print(milliseconds, &units)
}

/// Writes `bytes` in the biggest unit that fits exactly.
pub(super) fn print_size(bytes: u64) -> String {
    print(bytes, &SIZE_UNITS)
}

fn print(value: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor))
        .map_or_else(|| value.to_string(), |(unit, factor)| format!("{}{unit}", value / factor))
}

fn parse(
    text: &str,
    units: &[(&str, u64)],
    example: &'static str,
    expected: &'static str,
) -> Result<u64, Problem> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(Problem::WrongType(expected));
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|letter: char| !letter.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        if unit.is_empty() && tail.is_empty() {
            return Err(Problem::UnitMissing(example));
        }
        let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let part = number.parse::<u64>().ok().zip(factor);
        let part = part.and_then(|(number, factor)| number.checked_mul(factor));
        total =
            part.and_then(|part| total.checked_add(part)).ok_or(Problem::WrongType(expected))?;
        rest = tail;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::any, proptest};

    use super::*;

    #[test]
    fn durations_and_sizes_need_their_unit() {
        let duration = |text| parse_duration(text).map(|value| value.as_millis());
        assert_eq!(duration("30s"), Ok(30_000));
        assert_eq!(duration("1h30m"), Ok(5_400_000));
        assert_eq!(duration(" 250ms "), Ok(250));
        assert_eq!(duration("2d"), Ok(172_800_000));
        for bare in ["30", "0", "18446744073709551616"] {
            assert_eq!(duration(bare), Err(Problem::UnitMissing("30s")), "{bare}");
            assert_eq!(parse_size(bare), Err(Problem::UnitMissing("64KiB")), "{bare}");
        }
        for wrong in ["", "s", "-1s", "1.5s", "30 s", "30S", "s30", "99999999999999999999s", "9e9d"]
        {
            assert!(matches!(duration(wrong), Err(Problem::WrongType(_))), "{wrong}");
        }
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        for wrong in ["64KB", "64k", "1.5MiB", "-1B", "18446744073709551616B", "99999999999GiB"] {
            assert!(matches!(parse_size(wrong), Err(Problem::WrongType(_))), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(milliseconds in 0..u64::MAX / 1_000, bytes in any::<u64>()) {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
            assert_eq!(parse_size(&print_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            // Reading twice gives the same answer, whatever the text is.
            assert_eq!(parse_duration(&text), parse_duration(&text));
            assert_eq!(parse_size(&text), parse_size(&text));
        }
    }
}
