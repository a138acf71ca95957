//! Times of certificates and lists (RFC 5280 sections 4.1.2.5 and 5.1.2.4), in Unix seconds.
//!
//! This file decides what a time is. It must not know which clock it is compared with.

use chrono::NaiveDate;

use super::der::{NotDer, Reader, tag};

/// The next element, which is a time.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<i64, NotDer> {
    let element = reader.element()?;
    let text = element.value;
    let (year, rest) = match element.tag {
        tag::UTC_TIME => {
            let (year, rest) = number(text, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        tag::GENERALIZED_TIME => number(text, 4)?,
        _ => return Err(NotDer),
    };
    let (month, rest) = number(rest, 2)?;
    let (day, rest) = number(rest, 2)?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest, 2)?;
    let (second, rest) = number(rest, 2)?;
    if rest != b"Z" {
        return Err(NotDer);
    }
    let year = i32::try_from(year).map_err(|_| NotDer)?;
    let date = NaiveDate::from_ymd_opt(year, month, day).ok_or(NotDer)?;
    let time = date.and_hms_opt(hour, minute, second).ok_or(NotDer)?;
    Ok(time.and_utc().timestamp())
}

/// Whether the next element is a time.
pub(super) fn is_next(reader: Reader<'_>) -> bool {
    let mut reader = reader;
    reader
        .element()
        .is_ok_and(|element| matches!(element.tag, tag::UTC_TIME | tag::GENERALIZED_TIME))
}

/// So many digits, and what stands behind them.
fn number(text: &[u8], digits: usize) -> Result<(u32, &[u8]), NotDer> {
    let (digits, rest) = text.split_at_checked(digits).ok_or(NotDer)?;
    let mut value = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(NotDer);
        }
        value = value * 10 + u32::from(digit - b'0');
    }
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same_time() {
        let time = |tag: u8, text: &str| {
            let bytes = [&[tag, text.len() as u8], text.as_bytes()].concat();
            read(&mut Reader::new(&bytes))
        };
        assert_eq!(time(0x17, "260131235959Z"), Ok(1_769_903_999));
        assert_eq!(time(0x18, "20260131235959Z"), Ok(1_769_903_999));
        assert_eq!(time(0x17, "500101000000Z"), Ok(-631_152_000));
        assert_eq!(time(0x18, "99991231235959Z"), Ok(253_402_300_799));
        for wrong in ["260231000000Z", "260131235959", "26013123595Z", "260131235959+01", ""] {
            assert_eq!(time(0x17, wrong), Err(NotDer), "{wrong}");
        }
        assert_eq!(time(0x13, "260131235959Z"), Err(NotDer));
    }
}
