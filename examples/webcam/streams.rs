//! Pictures that follow each other in one stream of bytes: JPEG (MJPEG) and binary PPM.

use std::io::{self, BufRead, ErrorKind, Read};

/// A picture of more bytes than this is taken for something else.
const MOST_BYTES: u64 = 64 << 20;
const LONGEST_SIDE: u32 = 16_384;

// Second bytes of JPEG markers (ITU-T T.81, table B.1); the first is 0xff.
const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// The next JPEG picture, from its first to its last byte; none at the end of the stream. Bytes
/// between pictures, such as a multipart stream's headers, are passed over.
pub fn read_jpeg(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut before = None;
    loop {
        match next_byte(input)? {
            None => return Ok(None),
            Some(START_OF_IMAGE) if before == Some(0xff) => break,
            byte => before = byte,
        }
    }
    let mut bytes = vec![0xff, START_OF_IMAGE];
    let mut input = input.by_ref().take(MOST_BYTES);
    let mut marker = read_marker(&mut input, &mut bytes)?;
    loop {
        marker = match marker {
            END_OF_IMAGE => return Ok(Some(bytes)),
            START_OF_SCAN => {
                read_segment(&mut input, &mut bytes)?;
                read_scan(&mut input, &mut bytes)?
            }
            _ => {
                read_segment(&mut input, &mut bytes)?;
                read_marker(&mut input, &mut bytes)?
            }
        };
    }
}

/// Copies a marker; gives its second byte.
fn read_marker(input: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<u8> {
    match copy_byte(input, bytes)? {
        0xff => read_after_filling(input, bytes),
        _ => Err(damaged("a JPEG picture has no marker where one must be")),
    }
}

/// Copies up to the first byte that is not 0xff, of which a marker may begin with any number.
fn read_after_filling(input: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<u8> {
    loop {
        match copy_byte(input, bytes)? {
            0xff => {}
            marker => return Ok(marker),
        }
    }
}

/// Copies what belongs to a marker: two bytes of length, which they count in, and the rest.
fn read_segment(input: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<()> {
    let length = u16::from_be_bytes([copy_byte(input, bytes)?, copy_byte(input, bytes)?]);
    let rest = u64::from(length).checked_sub(2);
    let rest =
        rest.ok_or_else(|| damaged("a JPEG segment is shorter than its own length field"))?;
    match input.take(rest).read_to_end(bytes)? as u64 {
        read if read == rest => Ok(()),
        _ => Err(cut_short()),
    }
}

/// Copies coded pixels up to the next marker that is none of theirs; gives its second byte.
fn read_scan(input: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<u8> {
    loop {
        input.read_until(0xff, bytes)?;
        match read_after_filling(input, bytes)? {
            0x00 | 0xd0..=0xd7 => {} // a coded 0xff, a restart
            marker => return Ok(marker),
        }
    }
}

/// The next binary PPM picture: red, green and blue, width, height; none at the end of the stream.
pub fn read_ppm(input: &mut impl BufRead) -> io::Result<Option<(Vec<u8>, u32, u32)>> {
    if input.fill_buf()?.is_empty() {
        return Ok(None);
    }
    if [next_byte(input)?, next_byte(input)?] != [Some(b'P'), Some(b'6')] {
        return Err(damaged("a PPM picture does not start with P6"));
    }
    let [width, height, most] = [read_number(input)?, read_number(input)?, read_number(input)?];
    let sides = 1..=LONGEST_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) || most != 255 {
        let reason = format!(
            "a PPM picture of {width}x{height} pixels with samples up to {most}: \
             1 to {LONGEST_SIDE} pixels a side and samples up to 255 are read"
        );
        return Err(damaged(&reason));
    }
    let mut bytes = vec![0; width as usize * height as usize * 3];
    input.read_exact(&mut bytes)?;
    Ok(Some((bytes, width, height)))
}

/// A decimal number between white space, of which one byte after it is consumed.
fn read_number(input: &mut impl BufRead) -> io::Result<u32> {
    let mut digits = String::new();
    while digits.len() < 10 {
        match next_byte(input)?.ok_or_else(cut_short)? {
            byte if byte.is_ascii_digit() => digits.push(char::from(byte)),
            byte if !byte.is_ascii_whitespace() => break,
            _ if digits.is_empty() => {}
            _ => return digits.parse().map_err(|_| damaged("a PPM header's number is too large")),
        }
    }
    Err(damaged("a PPM header has something else where a number must be"))
}

fn copy_byte(input: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<u8> {
    let byte = next_byte(input)?.ok_or_else(cut_short)?;
    bytes.push(byte);
    Ok(byte)
}

/// None at the end.
fn next_byte(input: &mut impl BufRead) -> io::Result<Option<u8>> {
    let byte = input.fill_buf()?.first().copied();
    input.consume(usize::from(byte.is_some()));
    Ok(byte)
}

fn damaged(reason: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

fn cut_short() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the stream ends within a picture")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two segments, a scan with a coded 0xff, a restart and filling, then a second scan.
    const JPEG: &[u8] = &[
        0xff, 0xd8, 0xff, 0xe0, 0, 4, 0xff, 0xd9, 0xff, 0xff, 0xda, 0, 3, 7, 1, 0xff, 0, 2, 0xff,
        0xd0, 3, 0xff, 0xff, 0xda, 0, 2, 9, 0xff, 0xd9,
    ];

    #[test]
    fn jpegs_are_told_apart_whatever_lies_between_them() {
        let stream = [b"--next\r\n", JPEG, b"\r\n\xff--next\r\n", JPEG, JPEG].concat();
        let mut input = &stream[..];
        for _ in 0..3 {
            assert_eq!(read_jpeg(&mut input).unwrap().as_deref(), Some(JPEG));
        }
        assert_eq!(read_jpeg(&mut input).unwrap(), None);
    }

    #[test]
    fn a_jpeg_that_ends_early_is_an_error_at_every_place() {
        for end in 2..JPEG.len() {
            assert!(read_jpeg(&mut &JPEG[..end]).is_err(), "{end}");
        }
        assert!(read_jpeg(&mut &[0xff, 0xd8, 0xff, 0xe0, 0, 1][..]).is_err(), "length 1");
        assert!(read_jpeg(&mut &[0xff, 0xd8, 7][..]).is_err(), "no marker");
    }

    #[test]
    fn ppm_pictures_follow_each_other_and_broken_ones_are_refused() {
        let stream = b"P6\n1 2\n255\nabcdefP6 2 1 255 ghijkl";
        let mut input = &stream[..];
        assert_eq!(read_ppm(&mut input).unwrap(), Some((b"abcdef".to_vec(), 1, 2)));
        assert_eq!(read_ppm(&mut input).unwrap(), Some((b"ghijkl".to_vec(), 2, 1)));
        assert_eq!(read_ppm(&mut input).unwrap(), None);
        for bad in ["P5 1 1 255 a", "P6 0 1 255 ", "P6 1 1 65535 abcdef", "P6 x", "P6 1 1 255 ab"] {
            assert!(read_ppm(&mut bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read_ppm(&mut &b"P6 99999999999 1 255 "[..]).is_err());
    }
}
