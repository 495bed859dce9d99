//! The one value of a NumPy `.npy` file, which is all that AffectNet's annotations need.

/// A whole number from a `.npy` file that holds one value: an integer, a float without fraction, or
/// a string of digits (`<U1`, as AffectNet's `ID_exp.npy`).
///
/// # Errors
/// No `.npy` file, one that is cut short, holds several values or another type.
pub fn whole_number(bytes: &[u8]) -> Result<i64, String> {
    let (header, data) = split(bytes).ok_or("is no .npy file, or is cut short")?;
    let descr = quoted_after(header, "'descr':").ok_or("its header names no type")?;
    let shape = header.split_once("'shape':").map_or("", |(_, rest)| rest);
    let shape = shape.split_once(')').map_or(shape, |(shape, _)| shape);
    let dimensions = shape.trim_start_matches([' ', '(']).split(',').map(str::trim);
    if dimensions.filter(|length| !length.is_empty()).any(|length| length != "1") {
        return Err(format!("holds shape {}), must hold one value", shape.trim()));
    }
    value(descr, data).ok_or_else(|| format!("its value of type {descr} is no whole number"))
}

/// Header text and data. The length of the header has 2 bytes in version 1, 4 in 2 and 3.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_at_checked(2)?;
    let (length, rest) = rest.split_at_checked(if version[0] == 1 { 2 } else { 4 })?;
    let length = length.iter().rev().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
    let (header, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

fn quoted_after<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    header.split_once(key)?.1.split('\'').nth(1)
}

fn value(descr: &str, data: &[u8]) -> Option<i64> {
    let whole = |value: f64| (value.fract() == 0. && value.abs() < 1e15).then_some(value as i64);
    match descr {
        "|u1" => Some(i64::from(*data.first()?)),
        "|i1" => Some(i64::from(i8::from_le_bytes(*data.first_chunk()?))),
        "<i2" => Some(i64::from(i16::from_le_bytes(*data.first_chunk()?))),
        "<i4" => Some(i64::from(i32::from_le_bytes(*data.first_chunk()?))),
        "<i8" => Some(i64::from_le_bytes(*data.first_chunk()?)),
        "<f4" => whole(f64::from(f32::from_le_bytes(*data.first_chunk()?))),
        "<f8" => whole(f64::from_le_bytes(*data.first_chunk()?)),
        _ => text(descr, data)?.trim().parse().ok(),
    }
}

/// `<U` strings have 4 bytes a character, `|S` strings one; both are padded with zeros.
fn text(descr: &str, data: &[u8]) -> Option<String> {
    let (width, length) = match descr.split_at_checked(2)? {
        ("<U", length) => (4, length),
        ("|S", length) => (1, length),
        _ => return None,
    };
    let data = data.get(..length.parse::<usize>().ok()?.checked_mul(width)?)?;
    let character = |bytes: &[u8]| {
        let code = bytes.iter().rev().fold(0u32, |sum, byte| (sum << 8) | u32::from(*byte));
        char::from_u32(code)
    };
    let characters: Option<String> = data.chunks(width).map(character).collect();
    Some(characters?.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!(
            "{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}          \n"
        );
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn every_type_that_numpy_may_have_written_is_read() {
        let cases: [(&str, &str, Vec<u8>, i64); 8] = [
            ("<U1", "()", vec![b'7', 0, 0, 0], 7),
            ("<U2", "()", [[b'1', 0, 0, 0], [b'0', 0, 0, 0]].concat(), 10),
            ("<U2", "(1,)", [[b'3', 0, 0, 0], [0; 4]].concat(), 3),
            ("|S1", "()", vec![b'4'], 4),
            ("<i8", "()", 6i64.to_le_bytes().into(), 6),
            ("<i4", "(1, 1)", (-2i32).to_le_bytes().into(), -2),
            ("<f8", "()", 5f64.to_le_bytes().into(), 5),
            ("|u1", "()", vec![2], 2),
        ];
        for (descr, shape, data, value) in cases {
            assert_eq!(whole_number(&file(descr, shape, &data)), Ok(value), "{descr} {shape}");
        }
    }

    #[test]
    fn what_holds_no_whole_number_is_refused_with_the_reason() {
        let half = 0.5f64.to_le_bytes();
        for (bytes, reason) in [
            (b"no array".to_vec(), "no .npy file"),
            (file("<i8", "()", &[1, 2])[..20].to_vec(), "cut short"),
            (file("<i8", "()", &[1, 2]), "type <i8"),
            (file("<f8", "()", &half), "no whole number"),
            (file("<U1", "()", &[b'x', 0, 0, 0]), "type <U1"),
            (file("|O", "()", &[0; 8]), "type |O"),
            (file("<f8", "(136,)", &[0; 8]), "must hold one value"),
        ] {
            let error = whole_number(&bytes).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            descr in "[<|>][UiufSO][0-9]{0,20}",
            shape in "[(), 0-9]{0,8}",
        ) {
            let _ = whole_number(&bytes);
            let _ = whole_number(&file(&descr, &shape, &bytes));
        }
    }
}
